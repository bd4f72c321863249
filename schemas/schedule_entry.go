package schemas

// ScheduleEntry is what the timer must know of a citizen. The certifier writes
// it whenever that changes; a citizen who left has no benefits in it.
type ScheduleEntry struct {
	CitizenID  string             `avro:"citizen_id" json:"citizen_id"`
	Benefits   []ScheduledBenefit `avro:"benefits" json:"benefits"` // sorted by code
	Region     string             `avro:"region" json:"region"`
	Phone      *string            `avro:"phone" json:"phone"`
	LastSeenAt *Instant           `avro:"last_seen_at" json:"last_seen_at"`
	Leads      []Lead             `avro:"leads" json:"leads"` // strong and weak, newest first, at most 3
	Weak       []Lead             `avro:"weak" json:"weak"`   // the held weak records, newest first
	Clock      *Instant           `avro:"clock" json:"clock"` // the certifier's, nil before the first tick
	Catalogue  string             `avro:"catalogue" json:"catalogue"`
}

// ScheduledBenefit is one enrolment of a ScheduleEntry.
type ScheduledBenefit struct {
	Benefit string   `avro:"benefit" json:"benefit"`
	DueOn   Date     `avro:"due_on" json:"due_on"`
	Reasons []string `avro:"reasons" json:"reasons"` // sorted; never lapsed, which is the timer's
}
