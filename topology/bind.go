package topology

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/lovoo/goka"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology/kafka"
	"github.com/vouch-engine/vouch/topology/store"
)

// The headers of a quarantined record; SPEC section 3.
const (
	headerReason    = "vouch-reason"
	headerError     = "vouch-error"
	headerTopic     = "vouch-topic"
	headerPartition = "vouch-partition"
	headerOffset    = "vouch-offset"
)

// certifier binds the steps of processors/certify to one partition: it alone
// touches a goka.Context, decodes what comes and encodes what goes. It is used
// by the goroutine of its partition only.
type certifier struct {
	prefix    string
	streams   map[string]goka.Stream // outputs by topic without prefix
	catalogue *catalogue.Catalogue
	codecs    *codecs
	rules     *certify.Rules
	partition certify.Partition // a copy in memory of the row under the partition's own key
	tally     *tally
	rows      *store.Partition

	evidence schemas.Evidence // used again for every record, since they are the many
}

// recall reads the partition's own row, which its ticks have written, and
// refuses a partition that a later catalogue has decided: two versions would
// take turns.
func (c *certifier) recall(tickKey string) error {
	bytes, err := c.rows.Get(tickKey)
	if err != nil || bytes == nil {
		return err
	}
	row, err := certify.DecodeRow(bytes)
	if err != nil {
		return err
	}
	if row.Partition == nil {
		return nil // a citizen of that name, and no tick yet
	}
	if held := row.Partition.CatalogueVersion; held > c.catalogue.Version {
		return fmt.Errorf("the partition was decided under version %d of the catalogue, and this instance has version %d: give it the later one with --catalogue", held, c.catalogue.Version)
	}
	c.partition = *row.Partition
	return nil
}

// inputs are the callbacks of the certifier's inputs, by topic.
func (c *certifier) inputs() map[string]goka.ProcessCallback {
	return map[string]goka.ProcessCallback{
		Evidence: func(ctx goka.Context, value any) {
			c.on(ctx, value, Evidence, func(bytes []byte) (any, error) {
				return &c.evidence, c.codecs.evidence.Decode(ctx.Context(), bytes, &c.evidence)
			})
		},
		Roster: func(ctx goka.Context, value any) {
			c.on(ctx, value, Roster, func(bytes []byte) (any, error) {
				entry := new(schemas.RosterEntry) // enters the row whole
				return entry, c.codecs.roster.Decode(ctx.Context(), bytes, entry)
			})
		},
		Payout: func(ctx goka.Context, value any) {
			c.on(ctx, value, Payout, func(bytes []byte) (any, error) {
				payout := new(schemas.Payout)
				return payout, c.codecs.payout.Decode(ctx.Context(), bytes, payout)
			})
		},
		Clock: func(ctx goka.Context, value any) {
			c.on(ctx, value, Clock, func(bytes []byte) (any, error) {
				tick := new(schemas.ClockTick)
				return tick, c.codecs.clock.Decode(ctx.Context(), bytes, tick)
			})
		},
	}
}

// on takes one input through decode, step and encode.
func (c *certifier) on(ctx goka.Context, value any, topic string, decode func([]byte) (any, error)) {
	c.tally.read(topic)
	bytes, _ := value.([]byte)
	if value == nil {
		c.quarantine(ctx, topic, nil, certify.NullValue, errors.New("the record has no value"))
		return
	}
	record, err := decodeWaiting(ctx.Context(), bytes, decode)
	var unknown *avro.UnknownSchemaError
	var undecodable *avro.UndecodableError
	switch {
	case errors.As(err, &unknown):
		c.quarantine(ctx, topic, bytes, certify.UnknownSchema, err)
		return
	case errors.As(err, &undecodable):
		c.quarantine(ctx, topic, bytes, certify.Undecodable, err)
		return
	case err != nil:
		ctx.Fail(fmt.Errorf("decode a record of %s at offset %d: %w", ctx.Topic(), ctx.Offset(), err))
	}
	at := schemas.Instant(ctx.Timestamp().UnixMilli())
	if tick, is := record.(*schemas.ClockTick); is {
		c.onTick(ctx, tick, at, bytes)
		return
	}
	row, _ := ctx.Value().(*certify.Row)
	if row == nil {
		row = new(certify.Row)
	}
	decision, refusal := c.rules.Step(&row.Citizen, ctx.Key(), record, at, c.partition.Clock)
	if refusal != certify.Accepted {
		c.quarantine(ctx, topic, bytes, refusal, errors.New(refusal.Explain()))
		return
	}
	if decision.Changed {
		ctx.SetValue(row)
	}
	c.emit(ctx, &decision)
	c.tally.count(topic, decision.Count)
}

// onTick moves the partition's clock and passes the tick on to the timer, in
// its place behind everything that was decided before it.
func (c *certifier) onTick(ctx goka.Context, tick *schemas.ClockTick, at schemas.Instant, bytes []byte) {
	if refusal := c.rules.RefuseTick(tick, at); refusal != certify.Accepted {
		c.quarantine(ctx, Clock, bytes, refusal, errors.New(refusal.Explain()))
		return
	}
	clock, count := certify.OnTick(c.partition.Clock, tick)
	if count == certify.Applied {
		row, _ := ctx.Value().(*certify.Row)
		if row == nil {
			row = new(certify.Row)
		}
		c.partition.Clock = clock
		c.partition.CatalogueVersion, c.partition.CatalogueHash = c.catalogue.Version, c.catalogue.Hash()
		partition := c.partition
		row.Partition = &partition
		ctx.SetValue(row)
		c.send(ctx, Schedule, ctx.Key(), c.codecs.tick.Append(nil, tick), goka.WithCtxEmitHeaders(kafka.ToPartition(ctx.Partition())))
	}
	c.tally.count(Clock, count)
}

// emit writes what a decision says, topic by topic.
func (c *certifier) emit(ctx goka.Context, d *certify.Decision) {
	for i := range d.Alerts {
		c.send(ctx, Alert, ctx.Key(), c.codecs.alert.Append(nil, &d.Alerts[i]))
	}
	for i := range d.Completed {
		c.send(ctx, CertificationCompleted, ctx.Key(), c.codecs.completed.Append(nil, &d.Completed[i]))
	}
	for i := range d.Revoked {
		c.send(ctx, CertificationRevoked, ctx.Key(), c.codecs.revoked.Append(nil, &d.Revoked[i]))
	}
	for i := range d.Claims {
		c.send(ctx, Payee, d.Claims[i].Payee, c.codecs.claim.Append(nil, &d.Claims[i]))
	}
	if d.Schedule != nil {
		c.send(ctx, Schedule, ctx.Key(), c.codecs.schedule.Append(nil, d.Schedule))
	}
}

// send emits a value; it gets the Kafka timestamp of the input in hand.
func (c *certifier) send(ctx goka.Context, topic, key string, value []byte, options ...goka.ContextOption) {
	ctx.Emit(c.streams[topic], key, value, options...)
	c.tally.emitted(topic)
}

// quarantine keeps an input with its bytes untouched and goes on.
func (c *certifier) quarantine(ctx goka.Context, topic string, value []byte, reason certify.Refusal, why error) {
	headers := goka.Headers{
		headerReason:    []byte(reason),
		headerError:     []byte(why.Error()),
		headerTopic:     []byte(c.prefix + topic),
		headerPartition: strconv.AppendInt(nil, int64(ctx.Partition()), 10),
		headerOffset:    strconv.AppendInt(nil, ctx.Offset(), 10),
	}
	var emitted any
	if value != nil {
		emitted = value
	}
	ctx.Emit(c.streams[Quarantine], ctx.Key(), emitted,
		goka.WithCtxEmitHeaders(ctx.Headers().Merged(headers)))
	c.tally.quarantined(topic, reason)
	c.tally.emitted(Quarantine)
}

// registryPause is the wait between two questions to a registry that does not
// answer.
const registryPause = 100 * time.Millisecond

// decodeWaiting decodes; while the registry does not answer it waits and the
// lag grows, since no record may be judged by a registry that is down.
func decodeWaiting(ctx context.Context, bytes []byte, decode func([]byte) (any, error)) (any, error) {
	for {
		record, err := decode(bytes)
		if !errors.Is(err, avro.ErrRegistryUnavailable) {
			return record, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(registryPause):
		}
	}
}
