package schemas

// RosterOp says what a version of a roster entry does.
type RosterOp string

// The operations on roster entries.
const (
	Enrol    RosterOp = "ENROL"
	Withdraw RosterOp = "WITHDRAW"
)

// RosterEntry says that a citizen draws a benefit. Its identity, within the
// citizen, is the benefit; the greatest RecordedAt holds.
type RosterEntry struct {
	EntryID         string            `avro:"entry_id" json:"entry_id"`
	CitizenID       string            `avro:"citizen_id" json:"citizen_id"`
	Benefit         string            `avro:"benefit" json:"benefit"`
	Op              RosterOp          `avro:"op" json:"op"`
	RecordedAt      Instant           `avro:"recorded_at" json:"recorded_at"`
	EffectiveOn     Date              `avro:"effective_on" json:"effective_on"`
	DueOn           *Date             `avro:"due_on" json:"due_on"`
	LastCertifiedOn *Date             `avro:"last_certified_on" json:"last_certified_on"`
	Region          string            `avro:"region" json:"region"`
	Phone           *string           `avro:"phone" json:"phone"`
	Payee           *string           `avro:"payee" json:"payee"`
	AmountFen       *int64            `avro:"amount_fen" json:"amount_fen"` // a period
	BirthOn         *Date             `avro:"birth_on" json:"birth_on"`
	Attributes      map[string]string `avro:"attributes" json:"attributes"`
}
