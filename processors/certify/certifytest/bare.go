package certifytest

import (
	"testing"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
)

// Bare is the first depth: the functions of package certify and nothing else.
type Bare struct {
	rules    *certify.Rules
	citizens map[string]*certify.Citizen
	clock    schemas.Instant
}

// NewBare begins with nothing known.
func NewBare() *Bare {
	return &Bare{certify.New(Catalogue()), map[string]*certify.Citizen{}, certify.NoTick}
}

// Step decides one record.
func (b *Bare) Step(_ testing.TB, key string, record any, at schemas.Instant) []any {
	if tick, is := record.(*schemas.ClockTick); is {
		if refusal := b.rules.RefuseTick(tick, at); refusal != certify.Accepted {
			return []any{refusal}
		}
		clock, count := certify.OnTick(b.clock, tick)
		if b.clock = clock; count != certify.Applied {
			return nil
		}
		return []any{tick}
	}
	row := b.citizens[key]
	if row == nil {
		row = new(certify.Citizen)
		b.citizens[key] = row
	}
	d, refusal := b.rules.Step(row, key, record, at, b.clock)
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
		all = append(all, d.Schedule)
	}
	return all
}
