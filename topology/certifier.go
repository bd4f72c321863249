package topology

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/lovoo/goka"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology/kafka"
)

// certifier binds the steps of processors/certify to one partition: it decodes
// what comes and encodes what goes. It is used by the goroutine of its partition
// only.
type certifier struct {
	*binding
	catalogue *catalogue.Catalogue
	codecs    *codecs
	rules     *certify.Rules
	partition certify.Partition // a copy in memory of the row under the partition's own key
	resend    bool              // a pass is wanted whatever the row says

	evidence schemas.Evidence // used again for every record, since they are the many
}

func (c *certifier) bound() *binding { return c.binding }

func (c *certifier) outputs() []string {
	return []string{Alert, CertificationCompleted, CertificationRevoked, Quarantine, Schedule, Payee}
}

func (c *certifier) rows() goka.Codec { return new(certifierRows) }

func (c *certifier) again() bool { return false }

func (c *certifier) clock() (applied, reached schemas.Instant) {
	return c.partition.Clock, c.partition.Clock
}

func (c *certifier) recall(bytes []byte) error {
	if bytes != nil {
		row, err := certify.DecodeRow(bytes)
		if err != nil {
			return err
		}
		if row.Partition != nil { // else it is a citizen of that name
			c.partition = *row.Partition
		}
	}
	due, err := c.partition.Begin(c.catalogue, c.resend)
	if err != nil {
		return err
	}
	if due {
		c.pass.start(c.partition.Clock, c.partition.Cursor)
	}
	return nil
}

// onOwn decides a citizen anew, in a pass.
func (c *certifier) onOwn(ctx goka.Context, _ any) {
	row := certifierRow(ctx)
	if c.pass.cursors() {
		if c.pass.given > 0 {
			c.partition.Reach(c.pass.cursor)
		}
		if c.pass.over {
			c.partition.End()
		}
		c.keep(ctx, row)
		return
	}
	decision := c.rules.Redecide(&row.Citizen, ctx.Key(), c.partition.Clock)
	if decision.Changed {
		ctx.SetValue(row)
	}
	c.emit(ctx, &decision)
	c.tally.passed++
}

// inputs are the callbacks of the certifier's inputs, by topic.
func (c *certifier) inputs() map[string]goka.ProcessCallback {
	return map[string]goka.ProcessCallback{
		ownTopic(CertifierGroup): c.onOwn,
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
		c.quarantine(ctx, topic, nil, certify.NullValue, errNoValue)
		return
	}
	record, err := decodeWaiting(ctx.Context(), bytes, decode)
	if err != nil {
		if !c.quarantineUnread(ctx, topic, bytes, err) {
			ctx.Fail(fmt.Errorf("decode a record of %s at offset %d: %w", ctx.Topic(), ctx.Offset(), err))
		}
		return
	}
	at := schemas.Instant(ctx.Timestamp().UnixMilli())
	if tick, is := record.(*schemas.ClockTick); is {
		c.onTick(ctx, tick, at, bytes)
		return
	}
	row := certifierRow(ctx)
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
		row := certifierRow(ctx)
		c.partition.Clock = clock
		c.keep(ctx, row)
		emit(c.binding, ctx, Schedule, ctx.Key(), c.codecs.tick, tick, goka.WithCtxEmitHeaders(kafka.ToPartition(ctx.Partition())))
	}
	c.tally.count(Clock, count)
}

// emit writes what a decision says, topic by topic.
func (c *certifier) emit(ctx goka.Context, d *certify.Decision) {
	for i := range d.Alerts {
		emit(c.binding, ctx, Alert, ctx.Key(), c.codecs.alert, &d.Alerts[i])
	}
	for i := range d.Completed {
		emit(c.binding, ctx, CertificationCompleted, ctx.Key(), c.codecs.completed, &d.Completed[i])
	}
	for i := range d.Revoked {
		emit(c.binding, ctx, CertificationRevoked, ctx.Key(), c.codecs.revoked, &d.Revoked[i])
	}
	for i := range d.Claims {
		emit(c.binding, ctx, Payee, d.Claims[i].Payee, c.codecs.claim, &d.Claims[i])
	}
	if d.Schedule != nil {
		emit(c.binding, ctx, Schedule, ctx.Key(), c.codecs.schedule, d.Schedule)
	}
}

// keep writes down the partition's own row.
func (c *certifier) keep(ctx goka.Context, row *certify.Row) {
	partition := c.partition
	row.Partition = &partition
	ctx.SetValue(row)
}

// certifierRow is the row of the key in hand; the zero value if there is none.
func certifierRow(ctx goka.Context) *certify.Row {
	if row, _ := ctx.Value().(*certify.Row); row != nil {
		return row
	}
	return new(certify.Row)
}

// certifierRows is the form of one partition's rows, for one goroutine. The row
// in hand is read into memory that the next one uses again, and written into
// memory likewise: the store copies it.
type certifierRows struct {
	row     certify.Row
	scratch []byte
}

func (c *certifierRows) Encode(value any) ([]byte, error) {
	c.scratch = certify.AppendRow(c.scratch[:0], value.(*certify.Row))
	return c.scratch, nil
}

// Decode does not copy: the store changes no bytes of a row before Seal.
func (c *certifierRows) Decode(bytes []byte) (any, error) {
	return &c.row, certify.DecodeRowInto(&c.row, unsafe.String(unsafe.SliceData(bytes), len(bytes)))
}
