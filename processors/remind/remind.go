package remind

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// Rules are the steps under one catalogue. They are a value to be shared.
type Rules struct {
	catalogue *catalogue.Catalogue
	zone      schemas.Zone
	hash      catalogueHash
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
// row shares no memory with the entry.
func (r *Rules) OnEntry(row *Citizen, e *schemas.ScheduleEntry, at, clock schemas.Instant) (Event, bool) {
	said := row.stands(row.latest(clock))
	*row = r.citizen(e, at)
	now := row.stands(row.latest(clock))
	if slices.EqualFunc(said, now, equalStanding) {
		return Event{}, false
	}
	if len(now) == 0 {
		return Event{Left: true}, true
	}
	return Event{Standing: row.standing(e.CitizenID, row.latest(clock))}, true
}

// citizen is the row of an entry.
func (r *Rules) citizen(e *schemas.ScheduleEntry, at schemas.Instant) Citizen {
	c := Citizen{
		at: at, clock: NoTick, catalogue: r.hash,
		region: strings.Clone(e.Region), phone: cloneText(e.Phone),
		leads: r.cloneLeads(e.Leads), weak: r.cloneLeads(e.Weak),
	}
	if e.Clock != nil {
		c.clock = *e.Clock
	}
	if e.LastSeenAt != nil {
		seen := *e.LastSeenAt
		c.lastSeenAt = &seen
	}
	ofDay := schemas.Instant(r.catalogue.SendAt+spread(e.CitizenID, r.catalogue.SpreadMinutes)) * schemas.Minute
	for i := range e.Benefits {
		if benefit, known := r.catalogue.BenefitIndex(e.Benefits[i].Benefit); known {
			c.enrolments = append(c.enrolments, r.enrolment(&e.Benefits[i], benefit, ofDay))
		} else {
			s := &e.Benefits[i]
			c.unknown = append(c.unknown, schemas.ScheduledBenefit{Benefit: strings.Clone(s.Benefit), DueOn: s.DueOn, Reasons: cloneTexts(s.Reasons)})
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
		reasons:  cloneTexts(s.Reasons),
		lapsesAt: r.zone.StartOf(r.catalogue.LapseOn(benefit, s.DueOn)),
	}
	n.visitAt = r.zone.Instant(s.DueOn-schemas.Date(b.VisitDays), ofDay)
	for _, days := range b.Reminders {
		n.remindAt = append(n.remindAt, r.zone.Instant(s.DueOn-schemas.Date(days), ofDay))
	}
	return n
}

// cloneLeads copies leads. Codes of the catalogue stand for themselves.
func (r *Rules) cloneLeads(leads []schemas.Lead) []schemas.Lead {
	all := slices.Clone(leads)
	for i := range all {
		if kind, known := r.catalogue.KindIndex(all[i].Kind); known && r.catalogue.Kinds[kind].Source == all[i].Source {
			all[i].Kind, all[i].Source = r.catalogue.Kinds[kind].Code, r.catalogue.Kinds[kind].Source
			continue
		}
		all[i].Kind, all[i].Source = strings.Clone(all[i].Kind), strings.Clone(all[i].Source)
	}
	return all
}

func cloneTexts(texts []string) []string {
	all := slices.Clone(texts)
	for i := range all {
		all[i] = strings.Clone(all[i])
	}
	return all
}

func cloneText(text *string) *string {
	if text == nil {
		return nil
	}
	clone := strings.Clone(*text)
	return &clone
}
