package certify

import (
	"slices"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// Rules are the steps under one catalogue. They hold scratch memory and so are
// for one goroutine, but nothing that a step leaves there changes a later one.
type Rules struct {
	catalogue *catalogue.Catalogue
	zone      schemas.Zone

	before, after view
	keep          []bool
	newer         []uint8 // by kind: how many of its records were passed
	months        []seenMonth
	id            eventID

	scheduled      schemas.ScheduleEntry
	scheduledClock schemas.Instant

	assuredA catalogue.KindSet // the strong kinds of assurance A, which are like a scope
	scopes   []scopeSet        // by kind: which have it
}

// New gives the steps under a catalogue.
func New(c *catalogue.Catalogue) *Rules {
	r := &Rules{
		catalogue: c, zone: c.Zone, newer: make([]uint8, len(c.Kinds)), scopes: make([]scopeSet, len(c.Kinds)),
		after:     view{reasons: []string{}}, // like the lists of scheduled never nil, which would be null
		scheduled: schemas.ScheduleEntry{Benefits: []schemas.ScheduledBenefit{}, Leads: []schemas.Lead{}, Weak: []schemas.Lead{}},
	}
	for kind := range c.Kinds {
		if c.Kinds[kind].Strength == catalogue.Strong && c.Kinds[kind].Assurance == 'A' {
			r.assuredA.Add(kind)
		}
	}
	for place, scope := range append(slices.Clone(c.Scopes), r.assuredA) {
		for kind := range c.Kinds {
			if scope.Has(kind) {
				r.scopes[kind] |= 1 << place
			}
		}
	}
	return r
}

// look looks up, once for a row that was just read, what the catalogue and the
// zone say of the codes and the instants in it.
func (r *Rules) look(row *Citizen) {
	if row.under == r {
		return
	}
	row.under = r
	for i := range row.entries {
		place, known := r.catalogue.BenefitIndex(row.entries[i].Benefit)
		if !known {
			place = gone
		}
		row.entries[i].place = place
	}
	for i := range row.evidence {
		r.lookEvidence(&row.evidence[i])
	}
}

func (r *Rules) lookEvidence(e *evidence) {
	place, known := r.catalogue.KindIndex(e.kind)
	e.place, e.of = gone, nil
	if known {
		e.place, e.of = place, &r.catalogue.Kinds[place]
	}
	r.lookTime(e)
}

func (r *Rules) lookTime(e *evidence) {
	e.on = r.zone.Date(e.occurredAt)
	e.month = e.on.Month()
}

// Count says what became of an input that was not refused.
type Count string

// Every input that is not quarantined is counted under one of these.
const (
	Applied    Count = "applied"
	Superseded Count = "superseded" // an equal or greater version is held
	NotHeld    Count = "not_held"   // beyond a bound
	OldTick    Count = "old_tick"   // the clock is there already
)

// Counts lists every count, for metrics and for tests that add them up.
var Counts = []Count{Applied, Superseded, NotHeld, OldTick}

// Decision is what one input led to, each list in the order in which it is to
// be written: topic by topic in the order of their names. Its schedule entry
// comes with nearly every one; it lies in the Rules' scratch memory, and whoever
// wants it for longer than to the next step clones it.
type Decision struct {
	Count     Count
	Changed   bool // the row; when false it need not be written
	Alerts    []schemas.Alert
	Completed []schemas.CertificationCompleted
	Revoked   []schemas.CertificationRevoked // at most one
	Claims    []schemas.PayeeClaim
	Schedule  *schemas.ScheduleEntry // nil when nothing that the timer must know has changed
}

// input is what all steps know of the record that they decide.
type input struct {
	citizen            string
	at                 schemas.Instant // its Kafka timestamp
	clock              schemas.Instant // the certifier's
	today              schemas.Date    // its civil date
	evidenceID, source string          // empty for a roster entry
}

// reached tells whether the clock has reached a day. Without a tick it has
// reached none.
func (in *input) reached(day schemas.Date) bool { return in.clock != NoTick && in.today >= day }

// OnEvidence takes down an evidence record that was not refused. The row of
// the citizen is changed in place; at is the record's Kafka timestamp, clock
// the certifier's or NoTick.
func (r *Rules) OnEvidence(row *Citizen, e *schemas.Evidence, at, clock schemas.Instant) Decision {
	r.look(row)
	r.derive(row, &r.before)
	count, changed := r.takeDown(row, e)
	if changed {
		r.deriveAgain(row, &r.after, &r.before)
	}
	d := r.decide(row, changed, &input{e.CitizenID, at, clock, r.zone.Date(clock), e.EvidenceID, e.Source})
	d.Count = count
	return d
}

// OnRoster takes down a roster entry that was not refused, as OnEvidence does
// an evidence record.
func (r *Rules) OnRoster(row *Citizen, e *schemas.RosterEntry, at, clock schemas.Instant) Decision {
	r.look(row)
	r.derive(row, &r.before)
	payeeBefore := row.payee(e.Benefit)
	changed := r.enrol(row, e)
	if changed {
		r.derive(row, &r.after)
	}
	d := r.decide(row, changed, &input{e.CitizenID, at, clock, r.zone.Date(clock), "", ""})
	d.Claims = claims(e, payeeBefore, row.payee(e.Benefit))
	d.Count = Superseded
	if changed {
		d.Count = Applied
	}
	return d
}

// OnPayout takes down a payout that was not refused. It announces nothing.
func (r *Rules) OnPayout(row *Citizen, p *schemas.Payout) Decision {
	count := row.pay(p)
	return Decision{Count: count, Changed: count == Applied}
}

// OnTick moves the clock of a partition on. A tick that does not is counted
// and goes no further.
func OnTick(clock schemas.Instant, t *schemas.ClockTick) (schemas.Instant, Count) {
	if t.At <= clock {
		return clock, OldTick
	}
	return t.At, Applied
}

// decide says what is new since before was derived, and after, if the row has
// changed.
func (r *Rules) decide(row *Citizen, changed bool, in *input) Decision {
	before, after := &r.before, &r.before
	if changed {
		after = &r.after
	}
	d := Decision{Changed: changed}
	if len(before.enrolments) == 0 && len(after.enrolments) == 0 {
		return d // evidence of somebody who draws nothing is held, and that is all
	}
	r.announce(row, before, after, in, &d)
	if changed {
		r.raise(before, after, in, &d)
		if scheduleChanged(before, after) {
			d.Schedule = r.scheduleEntry(row, after, in.citizen, in.clock)
		}
	}
	return d
}

// Step refuses a record or takes it down: OnEvidence, OnRoster or OnPayout,
// as its type says. key is the record's own key, at its Kafka timestamp.
func (r *Rules) Step(row *Citizen, key string, record any, at, clock schemas.Instant) (Decision, Refusal) {
	switch record := record.(type) {
	case *schemas.Evidence:
		if refusal := r.RefuseEvidence(key, record, at); refusal != Accepted {
			return Decision{}, refusal
		}
		return r.OnEvidence(row, record, at, clock), Accepted
	case *schemas.RosterEntry:
		if refusal := r.RefuseRoster(key, record, at); refusal != Accepted {
			return Decision{}, refusal
		}
		return r.OnRoster(row, record, at, clock), Accepted
	case *schemas.Payout:
		if refusal := r.RefusePayout(key, record, at); refusal != Accepted {
			return Decision{}, refusal
		}
		return r.OnPayout(row, record), Accepted
	}
	panic("certify: a step was given a record that is no input of a citizen")
}
