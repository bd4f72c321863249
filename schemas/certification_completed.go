package schemas

// CertificationCompleted says that one proof certifies these benefits: one
// message to the citizen, every payer informed.
type CertificationCompleted struct {
	EventID     string             `avro:"event_id" json:"event_id"`
	CitizenID   string             `avro:"citizen_id" json:"citizen_id"`
	CertifiedAt Instant            `avro:"certified_at" json:"certified_at"` // the proof's occurred_at
	DecidedAt   Instant            `avro:"decided_at" json:"decided_at"`     // Kafka timestamp of the input that led to it
	Channel     string             `avro:"channel" json:"channel"`           // AUTOMATIC, SELF_SERVICE, COUNTER or HOME_VISIT
	EvidenceID  string             `avro:"evidence_id" json:"evidence_id"`
	Kind        string             `avro:"kind" json:"kind"`
	Source      string             `avro:"source" json:"source"`
	Benefits    []CertifiedBenefit `avro:"benefits" json:"benefits"` // sorted by code
	Region      string             `avro:"region" json:"region"`
	Phone       *string            `avro:"phone" json:"phone"`
	Catalogue   string             `avro:"catalogue" json:"catalogue"`
}

// CertifiedBenefit is one benefit of a CertificationCompleted.
type CertifiedBenefit struct {
	Benefit       string `avro:"benefit" json:"benefit"`
	Department    string `avro:"department" json:"department"`
	PreviousDueOn Date   `avro:"previous_due_on" json:"previous_due_on"`
	ValidUntil    Date   `avro:"valid_until" json:"valid_until"`
	InTime        bool   `avro:"in_time" json:"in_time"`
	Restores      bool   `avro:"restores" json:"restores"`
}
