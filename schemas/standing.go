package schemas

// Standing is how a citizen stands today: one row of a compacted table.
type Standing struct {
	CitizenID string            `avro:"citizen_id" json:"citizen_id"`
	At        Instant           `avro:"at" json:"at"`
	Benefits  []BenefitStanding `avro:"benefits" json:"benefits"` // sorted by code
	Catalogue string            `avro:"catalogue" json:"catalogue"`
}

// BenefitStanding is how one benefit of a citizen stands.
type BenefitStanding struct {
	Benefit string   `avro:"benefit" json:"benefit"`
	Status  Status   `avro:"status" json:"status"`
	Reasons []string `avro:"reasons" json:"reasons"` // sorted
	DueOn   Date     `avro:"due_on" json:"due_on"`
}

// Status says whether a benefit may be paid: only Good may.
type Status string

// The statuses of a benefit.
const (
	Good       Status = "GOOD"
	Lapsed     Status = "LAPSED"
	Suspended  Status = "SUSPENDED"
	Terminated Status = "TERMINATED"
)
