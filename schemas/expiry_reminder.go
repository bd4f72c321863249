package schemas

// ExpiryReminder says that benefits of a citizen come due.
type ExpiryReminder struct {
	EventID   string       `avro:"event_id" json:"event_id"`
	CitizenID string       `avro:"citizen_id" json:"citizen_id"`
	FiresAt   Instant      `avro:"fires_at" json:"fires_at"`
	Stage     int32        `avro:"stage" json:"stage"`       // 0 is the earliest
	Benefits  []DueBenefit `avro:"benefits" json:"benefits"` // sorted by code
	Region    string       `avro:"region" json:"region"`
	Phone     *string      `avro:"phone" json:"phone"`
	Catalogue string       `avro:"catalogue" json:"catalogue"`
}

// DueBenefit is one benefit that comes due.
type DueBenefit struct {
	Benefit    string `avro:"benefit" json:"benefit"`
	Department string `avro:"department" json:"department"`
	DueOn      Date   `avro:"due_on" json:"due_on"`
	DaysLeft   int32  `avro:"days_left" json:"days_left"` // from the civil date of the tick
}
