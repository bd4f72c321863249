package schemas

// ClockTick is the time, as the log tells it. Nothing else does.
type ClockTick struct {
	At Instant `avro:"at" json:"at"`
}
