package schemas

// EvidenceOp says what a version of an evidence record does.
type EvidenceOp string

// The operations on evidence.
const (
	Assert  EvidenceOp = "ASSERT"
	Retract EvidenceOp = "RETRACT"
)

// Evidence is what a department saw of a citizen. Its identity is (Source,
// EvidenceID); of several versions of one identity the greatest RecordedAt holds.
type Evidence struct {
	EvidenceID string            `avro:"evidence_id" json:"evidence_id"`
	CitizenID  string            `avro:"citizen_id" json:"citizen_id"`
	Kind       string            `avro:"kind" json:"kind"`
	Source     string            `avro:"source" json:"source"`
	Op         EvidenceOp        `avro:"op" json:"op"`
	OccurredAt Instant           `avro:"occurred_at" json:"occurred_at"`
	RecordedAt Instant           `avro:"recorded_at" json:"recorded_at"`
	Reference  *string           `avro:"reference" json:"reference"`
	Attributes map[string]string `avro:"attributes" json:"attributes"`
}
