package schemas

// Payout is what was paid to a citizen for one benefit and month.
type Payout struct {
	PayoutID  string  `avro:"payout_id" json:"payout_id"`
	CitizenID string  `avro:"citizen_id" json:"citizen_id"`
	Benefit   string  `avro:"benefit" json:"benefit"`
	Period    string  `avro:"period" json:"period"` // YYYY-MM
	AmountFen int64   `avro:"amount_fen" json:"amount_fen"`
	PaidAt    Instant `avro:"paid_at" json:"paid_at"`
	Payee     *string `avro:"payee" json:"payee"`
}
