package certify

import (
	"slices"

	"github.com/vouch-engine/vouch/schemas"
)

// schedule tells the timer, if anything has changed that it must know.
func (r *Rules) schedule(before, after *view, in input, d *Decision) {
	if scheduleChanged(before, after) {
		d.Schedule = r.scheduleEntry(after, in.citizen, in.clock)
	}
}

// scheduleEntry is all that the timer must know.
func (r *Rules) scheduleEntry(v *view, citizen string, clock schemas.Instant) *schemas.ScheduleEntry {
	s := &schemas.ScheduleEntry{
		CitizenID: citizen, Benefits: make([]schemas.ScheduledBenefit, len(v.enrolments)),
		Region: v.region, Phone: v.phone,
		Leads: append([]schemas.Lead{}, v.leads...), Weak: append([]schemas.Lead{}, v.weak...),
		Catalogue: r.catalogue.Hash(),
	}
	reasons := append([]string{}, v.reasons...)
	for i := range v.enrolments {
		n := &v.enrolments[i]
		s.Benefits[i] = schemas.ScheduledBenefit{Benefit: r.catalogue.Benefits[n.benefit].Code, DueOn: n.dueOn, Reasons: reasons}
	}
	if !v.sighting.none() {
		at := v.sighting.at
		s.LastSeenAt = &at
	}
	if clock != NoTick {
		s.Clock = &clock
	}
	return s
}

func scheduleChanged(before, after *view) bool {
	return !slices.EqualFunc(before.enrolments, after.enrolments, func(a, b enrolment) bool { return a.benefit == b.benefit && a.dueOn == b.dueOn }) ||
		!slices.Equal(before.reasons, after.reasons) ||
		before.region != after.region || text(before.phone) != text(after.phone) ||
		before.sighting.month != after.sighting.month || before.sighting.none() != after.sighting.none()
}
