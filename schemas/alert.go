package schemas

// Alert is something that a person should look at. It stops no payment by
// itself.
type Alert struct {
	EventID   string   `avro:"event_id" json:"event_id"`
	CitizenID string   `avro:"citizen_id" json:"citizen_id"`
	Rule      string   `avro:"rule" json:"rule"`
	Subject   string   `avro:"subject" json:"subject"`
	At        Instant  `avro:"at" json:"at"` // Kafka timestamp of the input that led to it
	Benefits  []string `avro:"benefits" json:"benefits"`
	Facts     []Fact   `avro:"facts" json:"facts"`
	Catalogue string   `avro:"catalogue" json:"catalogue"`
}

// Fact is a named value of an Alert, in the text form of facts files.
type Fact struct {
	Name  string `avro:"name" json:"name"`
	Value string `avro:"value" json:"value"`
}
