package schemas

// PayeeClaim says that a citizen's benefit is paid to a payee, or no longer.
// Its key is the payee.
type PayeeClaim struct {
	Payee     string `avro:"payee" json:"payee"`
	CitizenID string `avro:"citizen_id" json:"citizen_id"`
	Benefit   string `avro:"benefit" json:"benefit"`
	Claims    bool   `avro:"claims" json:"claims"`
}
