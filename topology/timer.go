package topology

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/lovoo/goka"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/processors/remind"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/topology/store"
)

const (
	// roundEntries of the due index are judged of one partition in one
	// transaction at most. More would make transactions of which readers wait for
	// the end, fewer would make a storm of more commits than fires.
	roundEntries = 2_000
	// tickLogged is the time between two words in the log about a tick that
	// fires for long.
	tickLogged = 10 * time.Second
)

// timer binds the steps of processors/remind to one partition. It is used by
// the goroutine of its partition only.
//
// A tick is taken from the due index, in rounds of roundEntries, one a
// transaction: the tick is handed over again, its position unmoved, and goes on
// behind the cursor in the partition's row. So a storm is many small
// transactions; a kill in the middle finds the cursor of the last one that was
// committed, with exactly the records before it; and nothing else of the
// partition comes in between, so that all is judged by the same rows.
type timer struct {
	*binding
	codecs    *timerCodecs
	rules     *remind.Rules
	partition remind.Partition // a copy in memory of the row under the partition's own key

	more         bool            // of the tick in hand is left
	reached      schemas.Instant // by the tick in hand
	fired        int             // by the tick in hand
	began, wrote time.Time       // the tick in hand, a word about it

	// Used again for every record, or every round.
	entry    schemas.ScheduleEntry
	fires    remind.Row
	due      []remind.Due
	citizens []string // of due
}

func (t *timer) bound() *binding { return t.binding }

func (t *timer) inputs() map[string]goka.ProcessCallback {
	return map[string]goka.ProcessCallback{ownTopic(TimerGroup): t.onOwn, Schedule: t.onSchedule}
}

func (t *timer) outputs() []string {
	return []string{ExpiryReminder, VisitRequested, Standing, Quarantine}
}

func (t *timer) rows() goka.Codec { return new(timerRows) }

func (t *timer) again() bool { return t.more }

func (t *timer) clock() (applied, reached schemas.Instant) {
	if t.more {
		return t.partition.Clock, t.reached
	}
	return t.partition.Clock, t.partition.Clock
}

func (t *timer) recall(bytes []byte) error {
	if bytes != nil {
		row, err := remind.DecodeRow(bytes)
		if err != nil {
			return err
		}
		if row.Partition != nil { // else it is a citizen of that name
			t.partition = *row.Partition
		}
	}
	if err := t.rules.Begin(&t.partition); err != nil {
		return err
	}
	t.beginPass()
	return nil
}

// beginPass begins the pass that is due, or goes on with it. One of which a
// tick is in the way waits for its end.
func (t *timer) beginPass() {
	if t.partition.PassDue() {
		t.pass.start(t.partition.Clock, t.partition.PassCursor)
	}
}

// onOwn sets the instants of a citizen anew, in a pass.
func (t *timer) onOwn(ctx goka.Context, _ any) {
	row := timerRow(ctx)
	if t.pass.cursors() {
		if t.pass.given > 0 {
			t.partition.Passed(t.pass.cursor)
		}
		if t.pass.over {
			t.partition.EndPass()
		}
		t.keep(ctx, row)
		return
	}
	event, said := t.rules.Renew(&row.Citizen, ctx.Key(), t.partition.Clock)
	t.set(ctx, row)
	if said {
		t.emit(ctx, ctx.Key(), event)
	}
	t.tally.passed++
}

// onSchedule takes down an entry, or fires a tick in its place.
func (t *timer) onSchedule(ctx goka.Context, value any) {
	bytes, _ := value.([]byte)
	if t.codecs.isTick(bytes) {
		var tick schemas.ClockTick
		if err := t.codecs.tick.Decode(ctx.Context(), bytes, &tick); err != nil {
			t.foreign(ctx, bytes, certify.Undecodable, err)
			return
		}
		t.onTick(ctx, &tick, bytes)
		return
	}
	if bytes == nil {
		t.foreign(ctx, nil, certify.NullValue, errNoValue)
		return
	}
	if err := t.codecs.entry.Decode(ctx.Context(), bytes, &t.entry); err != nil {
		t.tally.read(Schedule)
		if !t.quarantineUnread(ctx, Schedule, bytes, err) {
			ctx.Fail(fmt.Errorf("decode a record of %s at offset %d: %w", ctx.Topic(), ctx.Offset(), err))
		}
		return
	}
	if t.entry.CitizenID != ctx.Key() {
		t.foreign(ctx, bytes, certify.KeyMismatch, errors.New(certify.KeyMismatch.Explain()))
		return
	}
	row := timerRow(ctx)
	event, said := t.rules.OnEntry(&row.Citizen, &t.entry, schemas.Instant(ctx.Timestamp().UnixMilli()), t.partition.Clock)
	t.set(ctx, row)
	if said {
		t.emit(ctx, ctx.Key(), event)
	}
	t.tally.read(Schedule)
	t.tally.count(Schedule, certify.Applied)
}

// foreign puts in quarantine what no certifier writes.
func (t *timer) foreign(ctx goka.Context, value []byte, reason certify.Refusal, why error) {
	t.tally.read(Schedule)
	t.quarantine(ctx, Schedule, value, reason, why)
}

// onTick fires the next round of a tick.
func (t *timer) onTick(ctx goka.Context, tick *schemas.ClockTick, bytes []byte) {
	if ctx.Key() != t.pass.own {
		t.foreign(ctx, bytes, certify.KeyMismatch, errors.New(certify.KeyMismatch.Explain()))
		return
	}
	interval, fires := t.rules.OnTick(&t.partition, tick)
	if !fires {
		t.tally.read(Schedule)
		t.tally.count(Schedule, certify.OldTick)
		return
	}
	if !t.more {
		t.fired, t.reached, t.began, t.wrote = 0, t.partition.Clock, time.Now(), time.Now()
	}
	switch err := t.round(ctx, interval); {
	case errors.Is(err, store.ErrStaged):
		t.more = true // in the next transaction, when the row is committed
		return
	case err != nil:
		ctx.Fail(fmt.Errorf("fire the tick at offset %d of %s: %w", ctx.Offset(), ctx.Topic(), err))
	}
	if !t.more {
		t.partition.Over(interval)
		t.beginPass()
		t.tally.read(Schedule)
		t.tally.count(Schedule, certify.Applied)
	}
	t.keep(ctx, timerRow(ctx))
	t.tell()
}

// round judges the next entries of the due index, in their order, and says
// whether more of them are left.
func (t *timer) round(ctx goka.Context, interval remind.Interval) (err error) {
	from, to := t.partition.Range(interval)
	t.due, t.citizens, t.more = t.due[:0], t.citizens[:0], false
	scanned := t.table.Scan(from, to, func(entry []byte) bool {
		if t.more = len(t.due) == roundEntries; t.more {
			return false
		}
		var due remind.Due
		if due, err = remind.DecodeDue(entry); err != nil {
			return false
		}
		t.due, t.citizens = append(t.due, due), append(t.citizens, due.Citizen)
		return true
	})
	if err := errors.Join(err, scanned); err != nil || len(t.due) == 0 {
		return err
	}
	rows, err := t.table.GetMany(t.citizens)
	if err != nil {
		return err
	}
	for i, due := range t.due {
		if rows[i] == nil {
			continue // the citizen has left since
		}
		if err := remind.DecodeRowInto(&t.fires, rows[i]); err != nil {
			return err
		}
		if event, said := interval.Fire(&t.fires.Citizen, due); said {
			t.emit(ctx, due.Citizen, event)
			t.fired++
		}
	}
	last := t.due[len(t.due)-1]
	t.partition.Cursor, t.reached = string(last.Append(nil)), last.At
	return nil
}

// tell says in the log how far a tick has come that fires for long.
func (t *timer) tell() {
	now := time.Now()
	switch {
	case t.more && now.Sub(t.wrote) > tickLogged:
		t.pass.log.Info("a tick fires", "group", t.pass.group, "partition", t.pass.partition, "fired", t.fired, "reached", t.reached)
		t.wrote = now
	case !t.more && now.Sub(t.began) > tickLogged:
		t.pass.log.Info("a tick has fired", "group", t.pass.group, "partition", t.pass.partition, "fired", t.fired, "took", now.Sub(t.began).Round(time.Millisecond))
	}
}

// emit writes an event.
func (t *timer) emit(ctx goka.Context, citizen string, event remind.Event) {
	switch {
	case event.Standing != nil:
		emit(t.binding, ctx, Standing, citizen, t.codecs.standing, event.Standing)
	case event.Reminder != nil:
		emit(t.binding, ctx, ExpiryReminder, citizen, t.codecs.reminder, event.Reminder)
	case event.Visit != nil:
		emit(t.binding, ctx, VisitRequested, citizen, t.codecs.visit, event.Visit)
	default:
		t.send(ctx, Standing, citizen, nil) // a tombstone
	}
}

// keep writes down the partition's own row.
func (t *timer) keep(ctx goka.Context, row *remind.Row) {
	partition := t.partition
	row.Partition = &partition
	ctx.SetValue(row)
}

// set writes down the row of a citizen, or takes out that of one who left.
func (t *timer) set(ctx goka.Context, row *remind.Row) {
	if row.Empty() {
		ctx.Delete()
		return
	}
	ctx.SetValue(row)
}

// timerRow is the row of the key in hand; the zero value if there is none.
func timerRow(ctx goka.Context) *remind.Row {
	if row, _ := ctx.Value().(*remind.Row); row != nil {
		return row
	}
	return new(remind.Row)
}

// timerRows is the form of one partition's rows, as certifierRows is.
type timerRows struct{ scratch []byte }

func (c *timerRows) Encode(value any) ([]byte, error) {
	c.scratch = remind.AppendRow(c.scratch[:0], value.(*remind.Row))
	return c.scratch, nil
}

func (c *timerRows) Decode(bytes []byte) (any, error) { return remind.DecodeRow(bytes) }

// appendTick is a tick as it travels with committed positions: milliseconds in
// decimal, empty for none.
func appendTick(at schemas.Instant) string {
	if at == certify.NoTick {
		return ""
	}
	return strconv.FormatInt(int64(at), 10)
}
