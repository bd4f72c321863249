package topology

import (
	"context"
	"errors"
	"fmt"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
)

// codecs read the certifier's inputs and write its outputs. They are safe for
// use by many goroutines, so that all partitions share one.
type codecs struct {
	roster   *avro.Decoder[schemas.RosterEntry]
	evidence *avro.Decoder[schemas.Evidence]
	payout   *avro.Decoder[schemas.Payout]
	clock    *avro.Decoder[schemas.ClockTick]

	alert     *avro.Encoder[schemas.Alert]
	completed *avro.Encoder[schemas.CertificationCompleted]
	revoked   *avro.Encoder[schemas.CertificationRevoked]

	// The internal topics: always in single-object encoding, so that no
	// internal traffic waits for a registry.
	schedule *avro.Encoder[schemas.ScheduleEntry]
	tick     *avro.Encoder[schemas.ClockTick]
	claim    *avro.Encoder[schemas.PayeeClaim]
}

// newCodecs makes them. Where a registry is configured it waits for its answer,
// and every subject that is missing is named at once.
func newCodecs(ctx context.Context, codec *avro.Codec, prefix string) (*codecs, error) {
	c := &codecs{
		roster:   avro.NewDecoder[schemas.RosterEntry](codec),
		evidence: avro.NewDecoder[schemas.Evidence](codec),
		payout:   avro.NewDecoder[schemas.Payout](codec),
		clock:    avro.NewDecoder[schemas.ClockTick](codec),
		schedule: avro.NewInternalEncoder[schemas.ScheduleEntry](),
		tick:     avro.NewInternalEncoder[schemas.ClockTick](),
		claim:    avro.NewInternalEncoder[schemas.PayeeClaim](),
	}
	return c, errors.Join(
		encoder(ctx, codec, prefix+Alert, &c.alert),
		encoder(ctx, codec, prefix+CertificationCompleted, &c.completed),
		encoder(ctx, codec, prefix+CertificationRevoked, &c.revoked),
	)
}

// timerCodecs read schedule and write the timer's outputs. They are safe for
// use by many goroutines.
type timerCodecs struct {
	entry *avro.Decoder[schemas.ScheduleEntry]
	tick  *avro.Decoder[schemas.ClockTick]
	ticks *avro.Encoder[schemas.ClockTick] // as the certifier writes them

	reminder *avro.Encoder[schemas.ExpiryReminder]
	visit    *avro.Encoder[schemas.VisitRequested]
	standing *avro.Encoder[schemas.Standing]
}

// newTimerCodecs makes them, as newCodecs does.
func newTimerCodecs(ctx context.Context, codec *avro.Codec, prefix string) (*timerCodecs, error) {
	c := &timerCodecs{
		entry: avro.NewDecoder[schemas.ScheduleEntry](avro.New(nil)), // as it was written: no registry has a say in it
		tick:  avro.NewDecoder[schemas.ClockTick](avro.New(nil)),
		ticks: avro.NewInternalEncoder[schemas.ClockTick](),
	}
	return c, errors.Join(
		encoder(ctx, codec, prefix+ExpiryReminder, &c.reminder),
		encoder(ctx, codec, prefix+VisitRequested, &c.visit),
		encoder(ctx, codec, prefix+Standing, &c.standing),
	)
}

// isTick says whether a value of schedule is a tick.
func (c *timerCodecs) isTick(value []byte) bool { return c.ticks.Wrote(value) }

// Encoders write inputs, for the tools that produce them: the engine itself
// writes none.
type Encoders struct {
	roster   *avro.Encoder[schemas.RosterEntry]
	evidence *avro.Encoder[schemas.Evidence]
	payout   *avro.Encoder[schemas.Payout]
	clock    *avro.Encoder[schemas.ClockTick]
}

// NewEncoders makes the encoders of all inputs. They write Confluent's format
// if the codec has a registry, which must then have the subjects of the
// inputs, and single-object encoding otherwise.
func NewEncoders(ctx context.Context, codec *avro.Codec, prefix string) (*Encoders, error) {
	e := new(Encoders)
	return e, errors.Join(
		encoder(ctx, codec, prefix+Roster, &e.roster),
		encoder(ctx, codec, prefix+Evidence, &e.evidence),
		encoder(ctx, codec, prefix+Payout, &e.payout),
		encoder(ctx, codec, prefix+Clock, &e.clock),
	)
}

// NewClockEncoders makes the encoder of ticks alone, all that RunClock needs.
func NewClockEncoders(ctx context.Context, codec *avro.Codec, prefix string) (*Encoders, error) {
	e := new(Encoders)
	return e, encoder(ctx, codec, prefix+Clock, &e.clock)
}

func encoder[T any](ctx context.Context, codec *avro.Codec, topic string, into **avro.Encoder[T]) (err error) {
	*into, err = avro.NewEncoder[T](ctx, codec, topic)
	return err
}

// RegisteredTopic is a topic whose values have a subject in a schema registry.
type RegisteredTopic struct {
	Name   string // without prefix
	Record string // the name of its schema
}

// RegisteredTopics lists the inputs and outputs. Quarantine holds the values of
// other topics, and the internal topics never need a registry.
func RegisteredTopics() []RegisteredTopic {
	return []RegisteredTopic{
		{Roster, "RosterEntry"}, {Evidence, "Evidence"}, {Payout, "Payout"}, {Clock, "ClockTick"},
		{CertificationCompleted, "CertificationCompleted"}, {CertificationRevoked, "CertificationRevoked"},
		{ExpiryReminder, "ExpiryReminder"}, {VisitRequested, "VisitRequested"},
		{Standing, "Standing"}, {Alert, "Alert"},
	}
}

// Register writes the schema of a topic under its subject, unless it is there,
// and gives its id. It refuses one that could not read what stands in the topic,
// whatever the registry would say to it.
func Register(ctx context.Context, registry *avro.Registry, prefix string, topic RegisteredTopic) (id int, err error) {
	before, err := registry.Versions(ctx, prefix+topic.Name)
	if err != nil {
		return 0, err
	}
	if schema, found := avro.Find(topic.Record); found {
		if err := avro.Compatible(schema.Text, before, "BACKWARD_TRANSITIVE"); err != nil {
			return 0, fmt.Errorf("register %s under %s: %w", topic.Record, avro.Subject(prefix+topic.Name), err)
		}
	}
	return registry.Register(ctx, prefix+topic.Name, topic.Record)
}
