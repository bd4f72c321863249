package schemas

// CertificationRevoked says that announced certifications do not hold as long
// as was said.
type CertificationRevoked struct {
	EventID    string           `avro:"event_id" json:"event_id"`
	CitizenID  string           `avro:"citizen_id" json:"citizen_id"`
	DecidedAt  Instant          `avro:"decided_at" json:"decided_at"`   // Kafka timestamp of the input that led to it
	EvidenceID string           `avro:"evidence_id" json:"evidence_id"` // empty where a roster entry led to it
	Source     string           `avro:"source" json:"source"`           // likewise
	Benefits   []RevokedBenefit `avro:"benefits" json:"benefits"`       // sorted by code
	Region     string           `avro:"region" json:"region"`
	Phone      *string          `avro:"phone" json:"phone"`
	Catalogue  string           `avro:"catalogue" json:"catalogue"`
}

// RevokedBenefit is one benefit of a CertificationRevoked.
type RevokedBenefit struct {
	Benefit      string `avro:"benefit" json:"benefit"`
	Department   string `avro:"department" json:"department"`
	RevokedUntil Date   `avro:"revoked_until" json:"revoked_until"` // as it was announced
	DueOn        Date   `avro:"due_on" json:"due_on"`               // as it is now
}
