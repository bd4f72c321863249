package certifytest

import (
	"maps"
	"slices"
	"testing"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// Bare is the first depth: the functions of package certify and nothing else.
type Bare struct {
	rules     *certify.Rules
	partition certify.Partition
	citizens  map[string]*certify.Citizen
}

// NewBare begins with nothing known, and a pass through nobody.
func NewBare() *Bare {
	b := &Bare{partition: certify.Partition{Clock: certify.NoTick}, citizens: map[string]*certify.Citizen{}}
	if _, err := b.Restart(nil, Catalogue(), false); err != nil {
		panic("certifytest: a partition of which nothing is known refuses a catalogue: " + err.Error())
	}
	return b
}

// Restart changes the rules, and decides everybody anew if the partition asks
// for it.
func (b *Bare) Restart(_ testing.TB, c *catalogue.Catalogue, resend bool) (written []any, err error) {
	pass, err := b.partition.Begin(c, resend)
	if err != nil {
		return nil, err
	}
	b.rules = certify.New(c)
	if !pass {
		return nil, nil
	}
	for _, id := range slices.Sorted(maps.Keys(b.citizens)) {
		d := b.rules.Redecide(b.citizens[id], id, b.partition.Clock)
		written = append(written, Outputs(&d)...)
		b.partition.Reach(id)
	}
	b.partition.End()
	return written, nil
}

// Step decides one record.
func (b *Bare) Step(_ testing.TB, key string, record any, at schemas.Instant) []any {
	if tick, is := record.(*schemas.ClockTick); is {
		if refusal := b.rules.RefuseTick(tick, at); refusal != certify.Accepted {
			return []any{refusal}
		}
		clock, count := certify.OnTick(b.partition.Clock, tick)
		if b.partition.Clock = clock; count != certify.Applied {
			return nil
		}
		return []any{tick}
	}
	row := b.citizens[key]
	if row == nil {
		row = new(certify.Citizen)
		b.citizens[key] = row
	}
	d, refusal := b.rules.Step(row, key, record, at, b.partition.Clock)
	if refusal != certify.Accepted {
		return []any{refusal}
	}
	return Outputs(&d)
}

// Outputs lists the records of a decision in the order in which they are written.
func Outputs(d *certify.Decision) (all []any) {
	for i := range d.Alerts {
		all = append(all, &d.Alerts[i])
	}
	for i := range d.Completed {
		all = append(all, &d.Completed[i])
	}
	for i := range d.Revoked {
		all = append(all, &d.Revoked[i])
	}
	for i := range d.Claims {
		all = append(all, &d.Claims[i])
	}
	if d.Schedule != nil {
		all = append(all, keep(d.Schedule))
	}
	return all
}

// keep copies a schedule entry, which lies in memory that the next step uses.
func keep(e *schemas.ScheduleEntry) *schemas.ScheduleEntry {
	kept := *e
	kept.Benefits, kept.Leads, kept.Weak = slices.Clone(e.Benefits), slices.Clone(e.Leads), slices.Clone(e.Weak)
	for i := range kept.Benefits {
		kept.Benefits[i].Reasons = slices.Clone(kept.Benefits[i].Reasons)
	}
	if e.LastSeenAt != nil {
		at := *e.LastSeenAt
		kept.LastSeenAt = &at
	}
	if e.Clock != nil {
		at := *e.Clock
		kept.Clock = &at
	}
	return &kept
}
