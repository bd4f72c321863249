package remind

import (
	"slices"
	"strconv"

	"github.com/vouch-engine/vouch/schemas"
)

// sends tells whether the tick has a message about an enrolment at all: not
// about one that is stopped for a reason, the one that comes up within the
// interval too.
func (in Interval) sends(row *Citizen, n *enrolment) bool {
	return len(n.reasons) == 0 && !n.lapsed(max(in.to, row.clock))
}

// stage is the last of an enrolment's stages in the interval, -1 if there is
// none. The ones before it, which the tick came too late for, do not fire.
func (in Interval) stage(n *enrolment) int {
	for stage, at := range slices.Backward(n.remindAt) {
		if in.messages < at && at <= in.to {
			return stage
		}
	}
	return -1
}

// remind is the one reminder of all enrolments whose stage has the instant.
func (in Interval) remind(row *Citizen, due Due) (Event, bool) {
	m := schemas.ExpiryReminder{CitizenID: due.Citizen, FiresAt: due.At, Region: row.region, Phone: row.phone}
	for i := range row.enrolments {
		n := &row.enrolments[i]
		if stage := in.stage(n); stage >= 0 && n.remindAt[stage] == due.At && in.sends(row, n) {
			m.Benefits = append(m.Benefits, in.dueBenefit(n))
			m.Stage = max(m.Stage, int32(stage))
		}
	}
	if len(m.Benefits) == 0 {
		return Event{}, false
	}
	m.EventID = eventID(m.Benefits, "reminder", due.Citizen, strconv.Itoa(int(m.Stage)))
	m.Catalogue = row.catalogue.String()
	return Event{Reminder: &m}, true
}

// visit is the one visit of all enrolments whose visit has the instant.
func (in Interval) visit(row *Citizen, due Due) (Event, bool) {
	m := schemas.VisitRequested{CitizenID: due.Citizen, FiresAt: due.At, Region: row.region, Phone: row.phone}
	for i := range row.enrolments {
		if n := &row.enrolments[i]; n.visitAt == due.At && due.At > in.messages && in.sends(row, n) {
			m.Benefits = append(m.Benefits, in.dueBenefit(n))
		}
	}
	if len(m.Benefits) == 0 {
		return Event{}, false
	}
	m.EventID = eventID(m.Benefits, "visit", due.Citizen)
	m.Priority = row.priority(due.At)
	m.LastSeenAt = row.lastSeenAt
	m.Leads = append([]schemas.Lead{}, row.leads...)
	m.Catalogue = row.catalogue.String()
	return Event{Visit: &m}, true
}

func (in Interval) dueBenefit(n *enrolment) schemas.DueBenefit {
	return schemas.DueBenefit{Benefit: n.benefit, Department: n.department, DueOn: n.dueOn, DaysLeft: int32(n.dueOn - in.date)}
}

// eventID is the id of a message about benefits.
func eventID(benefits []schemas.DueBenefit, fields ...string) string {
	for i := range benefits {
		fields = append(fields, benefits[i].Benefit+":"+benefits[i].DueOn.String())
	}
	return schemas.EventID(fields...)
}

// The priorities of a visit, and what they rest on.
const (
	priorityHigh   = "HIGH"
	priorityNormal = "NORMAL"
	priorityLow    = "LOW"

	unseenMax      = 180 * schemas.Day // not seen for longer is pressing
	tracesWithin   = 90 * schemas.Day  // before the visit; of traces that make it less so
	traceKindsMin  = 3
	traceSourceMin = 2
)

// priority says how pressing a visit at an instant is.
func (c *Citizen) priority(at schemas.Instant) string {
	if c.lastSeenAt == nil || *c.lastSeenAt < at-unseenMax {
		return priorityHigh
	}
	var kinds, sources []string
	for i := range c.weak {
		if trace := &c.weak[i]; at-tracesWithin <= trace.OccurredAt && trace.OccurredAt <= at {
			kinds, sources = append(kinds, trace.Kind), append(sources, trace.Source)
		}
	}
	if distinct(kinds) >= traceKindsMin && distinct(sources) >= traceSourceMin {
		return priorityLow
	}
	return priorityNormal
}

func distinct(codes []string) int {
	slices.Sort(codes)
	return len(slices.Compact(codes))
}
