package remindtest

import (
	"maps"
	"slices"
	"testing"

	"github.com/vouch-engine/vouch/processors/remind"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// Bare is the first depth: the functions of package remind and nothing else.
type Bare struct {
	rules     *remind.Rules
	partition *remind.Partition
	citizens  map[string]*remind.Citizen
}

// NewBare begins with nothing known.
func NewBare() *Bare {
	return &Bare{remind.New(Catalogue()), remind.NewPartition(), map[string]*remind.Citizen{}}
}

// Restart changes the rules, and passes over everybody.
func (b *Bare) Restart(t testing.TB, c *catalogue.Catalogue) (all []Said) {
	t.Helper()
	b.rules = remind.New(c)
	if err := b.rules.Begin(b.partition); err != nil {
		t.Fatal(err)
	}
	if !b.partition.PassDue() {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(b.citizens)) {
		if event, is := b.rules.Renew(b.citizens[id], id, b.partition.Clock); is {
			all = append(all, Said{id, event})
		}
	}
	b.partition.EndPass()
	return all
}

// Step decides one record.
func (b *Bare) Step(_ testing.TB, key string, record any, at schemas.Instant) []Said {
	if tick, is := record.(*schemas.ClockTick); is {
		return b.tick(tick)
	}
	row := b.citizens[key]
	if row == nil {
		row = new(remind.Citizen)
		b.citizens[key] = row
	}
	event, is := b.rules.OnEntry(row, record.(*schemas.ScheduleEntry), at, b.partition.Clock)
	if !is {
		return nil
	}
	return []Said{{key, event}}
}

// tick sorts what is due of everybody instead of keeping an index.
func (b *Bare) tick(tick *schemas.ClockTick) (all []Said) {
	interval, fires := b.rules.OnTick(b.partition, tick)
	if !fires {
		return nil
	}
	var due []remind.Due
	for id, row := range b.citizens {
		row.Due(id, func(d remind.Due) {
			if d.At > b.partition.Clock && d.At <= tick.At {
				due = append(due, d)
			}
		})
	}
	slices.SortFunc(due, remind.Due.Compare)
	for _, d := range due {
		if event, is := interval.Fire(b.citizens[d.Citizen], d); is {
			all = append(all, Said{d.Citizen, event})
		}
	}
	b.partition.Over(interval)
	return all
}
