package benchmarks

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"iter"

	"github.com/vouch-engine/vouch/processors/remind"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology"
)

// pending is the timer's workload: citizens with two enrolments each, whose due
// dates are spread over years, but for three groups. Of every five citizens one
// has an enrolment that lapses on the storm's day and one has an enrolment that
// is reminded on another day; a few lapse soon after that. At the ticks nothing
// else fires.
type pending struct {
	citizens  int
	catalogue *catalogue.Catalogue
	storm     schemas.Date
}

// The days of the workload, after the storm's.
const (
	pendingStorm    = "2024-03-05"
	pendingShare    = 5 // one citizen in so many is in a storm
	pendingFew      = 20
	pendingRemind   = 40  // when reminders fire for those due
	pendingRemindBy = 100 // then, 60 days later
	pendingFewDue   = 44
	pendingLater    = 200 // the first of all others
	pendingSpread   = 1_000
)

func newPending(enrolments int, c *catalogue.Catalogue) pending {
	day, _ := schemas.ParseDate(pendingStorm)
	return pending{max(enrolments/len(renewalsBenefits), pendingShare*pendingFew), c, day}
}

// enrolments is how many due dates are pending.
func (p pending) enrolments() int { return p.citizens * len(renewalsBenefits) }

// evening is a time of a day at which all messages of the day have been sent.
func (p pending) evening(day schemas.Date) schemas.Instant {
	return p.catalogue.Zone.StartOf(day) + 20*60*schemas.Minute
}

// The ticks, by name.
const (
	tickFirst  = iota // before any entry; it sets T₀
	tickLapse         // the storm of lapses
	tickRemind        // the storm of reminders
	tickFew           // after the restart
	ticks
)

func (p pending) tick(number int) schemas.Instant {
	switch number {
	case tickFirst:
		return p.evening(p.storm)
	case tickLapse:
		return p.catalogue.Zone.StartOf(p.storm + 1)
	case tickRemind:
		return p.evening(p.storm + pendingRemind)
	default:
		return p.catalogue.Zone.StartOf(p.storm + pendingFewDue + 1)
	}
}

// due are the due dates of a citizen, by benefit.
func (p pending) due(citizen int) [2]schemas.Date {
	later := p.storm + pendingLater + schemas.Date(citizen*7%pendingSpread)
	switch {
	case citizen%pendingShare == 0:
		return [2]schemas.Date{p.storm, later}
	case citizen%pendingShare == 1:
		return [2]schemas.Date{p.storm + pendingRemindBy, later}
	case citizen%pendingShare == 2 && citizen < pendingShare*pendingFew:
		return [2]schemas.Date{p.storm + pendingFewDue, later}
	}
	return [2]schemas.Date{later + 11, later}
}

// entries are what the certifier would have written.
func (p pending) entries() iter.Seq[input] {
	seen, clock, hash := p.tick(tickFirst)-20*schemas.Day, p.tick(tickFirst), p.catalogue.Hash()
	lead := []schemas.Lead{{Kind: renewalsKinds[0], Source: p.source(renewalsKinds[0]), OccurredAt: seen}}
	return func(yield func(input) bool) {
		for i := range p.citizens {
			due, phone := p.due(i), fmt.Sprintf("138%08d", i)
			e := &schemas.ScheduleEntry{
				CitizenID: citizenID(i), Region: fmt.Sprint(341600 + i%20), Phone: &phone, LastSeenAt: &seen, Leads: lead, Weak: []schemas.Lead{}, Clock: &clock, Catalogue: hash,
			}
			for n, benefit := range renewalsBenefits {
				e.Benefits = append(e.Benefits, schemas.ScheduledBenefit{Benefit: benefit, DueOn: due[n], Reasons: []string{}})
			}
			if !yield(input{topology.Schedule, e.CitizenID, clock + schemas.Instant(i/1_000), e}) {
				return
			}
		}
	}
}

func (p pending) source(kind string) string {
	index, _ := p.catalogue.KindIndex(kind)
	return p.catalogue.Kinds[index].Source
}

// expected folds the pure rules over the entries, citizen by citizen, and gives
// what must be written after the entries and after every tick.
func (p pending) expected() (all [ticks]digest) {
	rules, encoder := remind.New(p.catalogue), newTimerEncoder()
	for i := range all {
		all[i] = digest{}
	}
	for in := range p.entries() {
		row := new(remind.Citizen)
		if event, said := rules.OnEntry(row, in.record.(*schemas.ScheduleEntry), in.at, p.tick(tickFirst)); said {
			topic, value := encoder.event(event)
			all[tickFirst].add(topic, in.key, value, in.at)
		}
		for number := tickLapse; number < ticks; number++ {
			before, at := p.tick(number-1), p.tick(number)
			interval, _ := rules.OnTick(&remind.Partition{Clock: before}, &schemas.ClockTick{At: at})
			row.Due(in.key, func(due remind.Due) {
				if due.At <= before || due.At > at {
					return
				}
				if event, said := interval.Fire(row, due); said {
					topic, value := encoder.event(event)
					all[number].add(topic, in.key, value, at)
				}
			})
		}
	}
	return all
}

// digest is what is kept of a set of records: of each topic how many there are
// and the sum of their hashes, which is free of their order.
type digest map[string]digestOfTopic

type digestOfTopic struct {
	records int
	sum     uint64
}

var digestSeed = maphash.MakeSeed()

func (d digest) add(topic, key string, value []byte, at schemas.Instant) {
	var h maphash.Hash
	h.SetSeed(digestSeed)
	h.WriteString(key)
	h.WriteByte(0) // no id holds it
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(at)))
	h.Write(value)
	of := d[topic]
	d[topic] = digestOfTopic{of.records + 1, of.sum + h.Sum64()}
}

func (d digest) records() (n int) {
	for _, of := range d {
		n += of.records
	}
	return n
}

// timerTopics are those that the timer writes.
var timerTopics = []string{topology.Standing, topology.ExpiryReminder, topology.VisitRequested}

// timerEncoder writes what the timer writes.
type timerEncoder struct {
	standing *avro.Encoder[schemas.Standing]
	reminder *avro.Encoder[schemas.ExpiryReminder]
	visit    *avro.Encoder[schemas.VisitRequested]
}

func newTimerEncoder() timerEncoder {
	return timerEncoder{avro.NewInternalEncoder[schemas.Standing](), avro.NewInternalEncoder[schemas.ExpiryReminder](), avro.NewInternalEncoder[schemas.VisitRequested]()}
}

// event gives the topic and the value of an event; a tombstone has none.
func (e timerEncoder) event(event remind.Event) (topic string, value []byte) {
	switch {
	case event.Reminder != nil:
		return topology.ExpiryReminder, e.reminder.Append(nil, event.Reminder)
	case event.Visit != nil:
		return topology.VisitRequested, e.visit.Append(nil, event.Visit)
	case event.Standing != nil:
		return topology.Standing, e.standing.Append(nil, event.Standing)
	}
	return topology.Standing, nil
}
