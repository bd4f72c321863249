package certify

import (
	"slices"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// scheduleEntry is all that the timer must know, in scratch memory.
func (r *Rules) scheduleEntry(row *Citizen, v *view, citizen string, clock schemas.Instant) *schemas.ScheduleEntry {
	s := &r.scheduled
	s.CitizenID, s.Region, s.Phone, s.Catalogue = citizen, v.region, v.phone, r.catalogue.Hash()
	s.Benefits, s.Leads, s.Weak = s.Benefits[:0], s.Leads[:0], s.Weak[:0]
	for i := range v.enrolments {
		n := &v.enrolments[i]
		s.Benefits = append(s.Benefits, schemas.ScheduledBenefit{Benefit: r.catalogue.Benefits[n.benefit].Code, DueOn: n.dueOn, Reasons: v.reasons})
	}
	for i := range row.evidence {
		e := &row.evidence[i]
		if !e.counts() || e.of.Strength == catalogue.Adverse {
			continue
		}
		lead := schemas.Lead{Kind: e.kind, Source: e.source, OccurredAt: e.occurredAt}
		if len(s.Leads) < leadsScheduled {
			s.Leads = append(s.Leads, lead)
		}
		if e.of.Strength == catalogue.Weak {
			s.Weak = append(s.Weak, lead)
		}
	}
	s.LastSeenAt, s.Clock = nil, nil
	if !v.sighting.none() {
		s.LastSeenAt = &v.sighting.at
	}
	if r.scheduledClock = clock; clock != NoTick {
		s.Clock = &r.scheduledClock
	}
	return s
}

// scheduleChanged tells whether anything has changed that the timer must know.
func scheduleChanged(before, after *view) bool {
	return !slices.EqualFunc(before.enrolments, after.enrolments, func(a, b enrolment) bool { return a.benefit == b.benefit && a.dueOn == b.dueOn }) ||
		!slices.Equal(before.reasons, after.reasons) ||
		before.region != after.region || text(before.phone) != text(after.phone) ||
		before.sighting.month != after.sighting.month || before.sighting.none() != after.sighting.none()
}
