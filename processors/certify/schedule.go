package certify

import (
	"slices"

	"github.com/vouch-engine/vouch/schemas"
)

// schedule tells the timer, if anything has changed that it must know.
func (r *Rules) schedule(before, after *view, in input, d *Decision) {
	if !scheduleChanged(before, after) {
		return
	}
	s := &schemas.ScheduleEntry{
		CitizenID: in.citizen, Benefits: make([]schemas.ScheduledBenefit, len(after.enrolments)),
		Region: after.region, Phone: after.phone,
		Leads: append([]schemas.Lead{}, after.leads...), Weak: append([]schemas.Lead{}, after.weak...),
		Catalogue: r.catalogue.Hash(),
	}
	reasons := append([]string{}, after.reasons...)
	for i := range after.enrolments {
		n := &after.enrolments[i]
		s.Benefits[i] = schemas.ScheduledBenefit{Benefit: r.catalogue.Benefits[n.benefit].Code, DueOn: n.dueOn, Reasons: reasons}
	}
	if !after.sighting.none() {
		at := after.sighting.at
		s.LastSeenAt = &at
	}
	if in.clock != NoTick {
		s.Clock = &in.clock
	}
	d.Schedule = s
}

func scheduleChanged(before, after *view) bool {
	return !slices.EqualFunc(before.enrolments, after.enrolments, func(a, b enrolment) bool { return a.benefit == b.benefit && a.dueOn == b.dueOn }) ||
		!slices.Equal(before.reasons, after.reasons) ||
		before.region != after.region || text(before.phone) != text(after.phone) ||
		before.sighting.month != after.sighting.month || before.sighting.none() != after.sighting.none()
}
