package schemas

// VisitRequested says that a citizen should be visited at home.
type VisitRequested struct {
	EventID    string       `avro:"event_id" json:"event_id"`
	CitizenID  string       `avro:"citizen_id" json:"citizen_id"`
	FiresAt    Instant      `avro:"fires_at" json:"fires_at"`
	Benefits   []DueBenefit `avro:"benefits" json:"benefits"` // sorted by code
	Region     string       `avro:"region" json:"region"`
	Phone      *string      `avro:"phone" json:"phone"`
	Priority   string       `avro:"priority" json:"priority"` // HIGH, NORMAL or LOW
	LastSeenAt *Instant     `avro:"last_seen_at" json:"last_seen_at"`
	Leads      []Lead       `avro:"leads" json:"leads"` // newest first, at most 3
	Catalogue  string       `avro:"catalogue" json:"catalogue"`
}

// Lead is a held record that says where a citizen was seen.
type Lead struct {
	Kind       string  `avro:"kind" json:"kind"`
	Source     string  `avro:"source" json:"source"`
	OccurredAt Instant `avro:"occurred_at" json:"occurred_at"`
}
