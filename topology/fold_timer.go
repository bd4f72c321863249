package topology

import (
	"container/heap"
	"slices"

	"github.com/vouch-engine/vouch/processors/remind"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/schemas/facts"
)

// timerFold is the timer's part of a Fold. Its due index is a heap from which
// nothing is taken but by a tick: an entry of a row that has moved on since is
// judged when its time comes, and nothing comes of it.
type timerFold struct {
	rules     *remind.Rules
	citizens  map[string]*remind.Citizen
	partition remind.Partition
	due       dueHeap
}

func newTimerFold(c *catalogue.Catalogue) *timerFold {
	return &timerFold{rules: remind.New(c), citizens: map[string]*remind.Citizen{}, partition: *remind.NewPartition()}
}

// entry takes down a ScheduleEntry of a Kafka timestamp.
func (t *timerFold) entry(key string, e *schemas.ScheduleEntry, at schemas.Instant) []facts.Output {
	row := t.citizens[key]
	if row == nil {
		row = new(remind.Citizen)
		t.citizens[key] = row
	}
	var known []remind.Due
	row.Due(key, func(due remind.Due) { known = append(known, due) })
	event, said := t.rules.OnEntry(row, e, at, t.partition.Clock)
	row.Due(key, func(due remind.Due) {
		if due.At > t.partition.Clock && !slices.Contains(known, due) {
			heap.Push(&t.due, due)
		}
	})
	if !said {
		return nil
	}
	return []facts.Output{eventOutput(key, event)}
}

// tick fires what is due.
func (t *timerFold) tick(tick *schemas.ClockTick) (all []facts.Output) {
	interval, fires := t.rules.OnTick(&t.partition, tick)
	if !fires {
		return nil
	}
	var before remind.Due
	for len(t.due) > 0 && t.due[0].At <= tick.At {
		due := heap.Pop(&t.due).(remind.Due)
		if due == before { // pushed again when the row came back to it
			continue
		}
		before = due
		if event, said := interval.Fire(t.citizens[due.Citizen], due); said {
			all = append(all, eventOutput(due.Citizen, event))
		}
	}
	t.partition.Over(interval)
	return all
}

// eventOutput is what consumers see of an event of the timer.
func eventOutput(key string, event remind.Event) facts.Output {
	switch {
	case event.Standing != nil:
		return facts.Output{Topic: Standing, Key: &key, Value: event.Standing}
	case event.Reminder != nil:
		return facts.Output{Topic: ExpiryReminder, Key: &key, Value: event.Reminder}
	case event.Visit != nil:
		return facts.Output{Topic: VisitRequested, Key: &key, Value: event.Visit}
	}
	return facts.Output{Topic: Standing, Key: &key, Value: nil} // a tombstone
}

// dueHeap has the entry that fires first on top.
type dueHeap []remind.Due

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].Compare(h[j]) < 0 }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are for package heap.
func (h *dueHeap) Push(due any) { *h = append(*h, due.(remind.Due)) }

// Pop gives the last entry.
func (h *dueHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
