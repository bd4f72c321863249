package remind

import (
	"encoding/hex"
	"slices"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// Rules are the steps under one catalogue. They are a value to be shared.
type Rules struct {
	catalogue *catalogue.Catalogue
	zone      schemas.Zone
	hash      catalogueHash
}

// hashText is a catalogue's hash as records carry it. Almost always it is that
// of these rules, which is there already.
func (r *Rules) hashText(hash catalogueHash) string {
	if hash == r.hash {
		return r.catalogue.Hash()
	}
	return hash.String()
}

// New gives the steps under a catalogue.
func New(c *catalogue.Catalogue) *Rules {
	r := &Rules{catalogue: c, zone: c.Zone}
	if n, err := hex.Decode(r.hash[:], []byte(c.Hash())); err != nil || n != len(r.hash) {
		panic("remind: the catalogue's hash is not 16 hex digits")
	}
	return r
}

// Event is a record to be written with the citizen's id as its key. Exactly
// one field is set.
type Event struct {
	Standing *schemas.Standing
	Left     bool // a tombstone in the place of the Standing
	Reminder *schemas.ExpiryReminder
	Visit    *schemas.VisitRequested
}

// OnEntry takes down a ScheduleEntry in the place of the one before it, and
// says how the citizen stands now where that differs from what was said last.
// at is the entry's Kafka timestamp, clock is T₀ or NoTick. An entry that is
// written again changes nothing but the row's at, and fires nothing again.
//
// An enrolment of a benefit that the catalogue does not know is held and counts
// for nothing: the certifier may have been given a later catalogue first. The
// row shares the entry's texts, and nothing else: where these lie in memory that
// is used again, the row goes through its bytes before that.
func (r *Rules) OnEntry(row *Citizen, e *schemas.ScheduleEntry, at, clock schemas.Instant) (Event, bool) {
	before := *row
	*row = r.citizen(e, at)
	if row.standsLike(row.latest(clock), &before, before.latest(clock)) {
		return Event{}, false
	}
	if len(row.enrolments) == 0 {
		return Event{Left: true}, true
	}
	return Event{Standing: r.standing(row, e.CitizenID, row.latest(clock))}, true
}

// citizen is the row of an entry.
func (r *Rules) citizen(e *schemas.ScheduleEntry, at schemas.Instant) Citizen {
	c := Citizen{
		at: at, clock: NoTick, catalogue: r.hash,
		region: e.Region, phone: given(e.Phone), lastSeenAt: given(e.LastSeenAt),
		leads: slices.Clone(e.Leads), weak: slices.Clone(e.Weak),
		enrolments: make([]enrolment, 0, len(e.Benefits)),
	}
	if e.Clock != nil {
		c.clock = *e.Clock
	}
	ofDay := schemas.Instant(r.catalogue.SendAt+spread(e.CitizenID, r.catalogue.SpreadMinutes)) * schemas.Minute
	for i := range e.Benefits {
		s := &e.Benefits[i]
		if benefit, known := r.catalogue.BenefitIndex(s.Benefit); known {
			c.enrolments = append(c.enrolments, r.enrolment(s, benefit, ofDay))
		} else {
			c.unknown = append(c.unknown, schemas.ScheduledBenefit{Benefit: s.Benefit, DueOn: s.DueOn, Reasons: slices.Clone(s.Reasons)})
		}
	}
	return c
}

// enrolment sets the instants of an enrolment. Messages go out at a time of
// day on the wall clock; an enrolment lapses as the civil day begins.
func (r *Rules) enrolment(s *schemas.ScheduledBenefit, benefit int, ofDay schemas.Instant) enrolment {
	b := &r.catalogue.Benefits[benefit]
	n := enrolment{
		benefit: b.Code, department: b.Department, dueOn: s.DueOn,
		reasons:  slices.Clone(s.Reasons),
		lapsesAt: r.zone.StartOf(r.catalogue.LapseOn(benefit, s.DueOn)),
	}
	n.visitAt = r.zone.Instant(s.DueOn-schemas.Date(b.VisitDays), ofDay)
	n.remindAt = make([]schemas.Instant, 0, len(b.Reminders))
	for _, days := range b.Reminders {
		n.remindAt = append(n.remindAt, r.zone.Instant(s.DueOn-schemas.Date(days), ofDay))
	}
	return n
}
