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

// reminder and visit are a message and what it holds, in one piece of memory,
// of which a storm asks for a million. It is enough for most citizens.
type (
	reminder struct {
		schemas.ExpiryReminder
		phone    string
		benefits [2]schemas.DueBenefit
	}
	visit struct {
		schemas.VisitRequested
		phone    string
		seen     schemas.Instant
		benefits [2]schemas.DueBenefit
	}
)

// remind is the one reminder of all enrolments whose stage has the instant.
func (in Interval) remind(row *Citizen, due Due) (Event, bool) {
	var m *reminder
	for i := range row.enrolments {
		n := &row.enrolments[i]
		stage := in.stage(n)
		if stage < 0 || n.remindAt[stage] != due.At || !in.sends(row, n) {
			continue
		}
		if m == nil {
			m = &reminder{ExpiryReminder: schemas.ExpiryReminder{CitizenID: due.Citizen, FiresAt: due.At, Region: row.region}}
			m.Benefits = m.benefits[:0]
		}
		m.Benefits = append(m.Benefits, in.dueBenefit(n))
		m.Stage = max(m.Stage, int32(stage))
	}
	if m == nil {
		return Event{}, false
	}
	var room [256]byte
	id := append(append(room[:0], "reminder\n"...), due.Citizen...)
	id = strconv.AppendInt(append(id, '\n'), int64(m.Stage), 10)
	m.EventID = eventID(id, m.Benefits)
	m.Phone = row.phone.pointer(&m.phone)
	m.Catalogue = in.rules.hashText(row.catalogue)
	return Event{Reminder: &m.ExpiryReminder}, true
}

// visit is the one visit of all enrolments whose visit has the instant.
func (in Interval) visit(row *Citizen, due Due) (Event, bool) {
	var m *visit
	for i := range row.enrolments {
		n := &row.enrolments[i]
		if n.visitAt != due.At || due.At <= in.messages || !in.sends(row, n) {
			continue
		}
		if m == nil {
			m = &visit{VisitRequested: schemas.VisitRequested{CitizenID: due.Citizen, FiresAt: due.At, Region: row.region}}
			m.Benefits = m.benefits[:0]
		}
		m.Benefits = append(m.Benefits, in.dueBenefit(n))
	}
	if m == nil {
		return Event{}, false
	}
	var room [256]byte
	m.EventID = eventID(append(append(room[:0], "visit\n"...), due.Citizen...), m.Benefits)
	m.Phone = row.phone.pointer(&m.phone)
	m.Priority = row.priority(due.At)
	m.LastSeenAt = row.lastSeenAt.pointer(&m.seen)
	m.Leads = append([]schemas.Lead{}, row.leads...)
	m.Catalogue = in.rules.hashText(row.catalogue)
	return Event{Visit: &m.VisitRequested}, true
}

func (in Interval) dueBenefit(n *enrolment) schemas.DueBenefit {
	return schemas.DueBenefit{Benefit: n.benefit, Department: n.department, DueOn: n.dueOn, DaysLeft: int32(n.dueOn - in.date)}
}

// eventID is the id of a message about benefits, whose other fields are joined
// already.
func eventID(joined []byte, benefits []schemas.DueBenefit) string {
	for i := range benefits {
		joined = append(append(joined, '\n'), benefits[i].Benefit...)
		joined = benefits[i].DueOn.AppendText(append(joined, ':'))
	}
	return schemas.EventIDOf(joined)
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
	if !c.lastSeenAt.given || c.lastSeenAt.value < at-unseenMax {
		return priorityHigh
	}
	var kindsRoom, sourcesRoom [8]string
	kinds, sources := kindsRoom[:0], sourcesRoom[:0]
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
