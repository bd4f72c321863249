package remind

import "github.com/vouch-engine/vouch/schemas"

// Partition is what the timer holds of a partition as a whole. Begin with
// NewPartition.
type Partition struct {
	Clock  schemas.Instant // T₀: the last tick that has fired whole, or NoTick
	Cursor string          // the entry of the due index at which a tick that is cut into rounds has come; empty between ticks

	CatalogueVersion int64  // of the catalogue under which the instants of the partition's rows are set
	CatalogueHash    string // its hash; empty if nothing is known of one
	Pass             bool   // a pass under that catalogue is under way
	PassCursor       string // the last citizen that it has done; empty before the first
}

// NewPartition is a partition that has seen no tick and no catalogue.
func NewPartition() *Partition { return &Partition{Clock: NoTick} }

// Interval is what one tick T reaches over: what is due in (T₀, T].
type Interval struct {
	after    schemas.Instant // T₀
	messages schemas.Instant // reminders and visits up to it do not fire
	to       schemas.Instant // T
	date     schemas.Date    // of T
	rules    *Rules
}

// OnTick gives the interval of a tick. It is false for a tick that the
// partition's clock has reached already, which is ignored.
//
// A tick is then fired in one or more rounds: the entries of Range are judged
// by Fire in their order, as many as a transaction may hold, and Cursor is set
// to the last one. The next round goes on behind it, from the same tick.
// After the last one Over moves the clock. Between the rounds of a tick the
// partition takes no ScheduleEntry, so that all are judged by the same rows.
func (r *Rules) OnTick(p *Partition, t *schemas.ClockTick) (Interval, bool) {
	in := Interval{after: p.Clock, messages: p.Clock, to: t.At, date: r.zone.Date(t.At), rules: r}
	if p.Clock == NoTick {
		// Whoever has lapsed has lapsed; but nobody is sent the messages of
		// years on the day on which the engine is switched on.
		in.messages = r.zone.StartOf(in.date)
	}
	return in, t.At > p.Clock
}

// Range gives the bounds of the tick's entries in the due index that are still
// to be judged, the first one in it and the last one not.
func (p *Partition) Range(in Interval) (from, to []byte) {
	from = appendInstant(nil, in.after+1)
	if p.Cursor != "" {
		from = append([]byte(p.Cursor), 0)
	}
	return from, appendInstant(nil, in.to+1)
}

// Over ends a tick: all that is due has fired.
func (p *Partition) Over(in Interval) { p.Clock, p.Cursor = in.to, "" }

// Fire judges one entry of the due index: whether something is to be written
// at a tick. The entry is one of the tick's Range; row is that of its citizen
// as the last ScheduleEntry left it, the zero value if there is none.
func (in Interval) Fire(row *Citizen, due Due) (Event, bool) {
	switch due.Kind {
	case Lapse:
		return in.lapse(row, due)
	case Remind:
		return in.remind(row, due)
	default:
		return in.visit(row, due)
	}
}

// lapse says how the citizen stands as of the instant at which enrolments
// lapse: all that lapse at that one are one record.
func (in Interval) lapse(row *Citizen, due Due) (Event, bool) {
	if due.At <= row.clock { // lapsed at once, when the entry came
		return Event{}, false
	}
	for i := range row.enrolments {
		if row.enrolments[i].lapsesAt == due.At {
			return Event{Standing: in.rules.standing(row, due.Citizen, due.At)}, true
		}
	}
	return Event{}, false
}
