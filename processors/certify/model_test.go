package certify

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// model is SPEC section 3, Facts, Counting and Reasons, read word by word over
// the set of all facts, with no bounds, no order and no care for speed.
type model struct {
	c        *catalogue.Catalogue
	evidence map[[2]string]*schemas.Evidence
	entries  map[string]*schemas.RosterEntry
}

func (m *model) take(rules *Rules, f fact) {
	switch record := f.Record.(type) {
	case *schemas.Evidence:
		identity := [2]string{record.Source, record.EvidenceID}
		held := m.evidence[identity]
		if rules.RefuseEvidence(f.Key, record, f.At) == Accepted && (held == nil || laterVersion(record, held)) {
			m.evidence[identity] = record
		}
	case *schemas.RosterEntry:
		held := m.entries[record.Benefit]
		if rules.RefuseRoster(f.Key, record, f.At) == Accepted && (held == nil || compareEntry(record, held) > 0) {
			m.entries[record.Benefit] = record
		}
	}
}

func laterVersion(a, b *schemas.Evidence) bool {
	switch {
	case a.RecordedAt != b.RecordedAt:
		return a.RecordedAt > b.RecordedAt
	case a.Op != b.Op:
		return a.Op == schemas.Retract
	case a.OccurredAt != b.OccurredAt:
		return a.OccurredAt > b.OccurredAt
	}
	return a.Kind > b.Kind
}

// each gives every un-retracted record that a condition holds of.
func (m *model) each(is func(*catalogue.Kind) bool, do func(*catalogue.Kind, *schemas.Evidence)) {
	for _, e := range m.evidence {
		place, _ := m.c.KindIndex(e.Kind)
		if kind := &m.c.Kinds[place]; e.Op == schemas.Assert && is(kind) {
			do(kind, e)
		}
	}
}

func (m *model) reasons() (all []string) {
	day := m.c.Zone.Date
	lineages, newestDeath, newestA, newestStrong := map[string]bool{}, schemas.Date(-1<<30), schemas.Date(-1<<30), schemas.Date(-1<<30)
	m.each(func(k *catalogue.Kind) bool { return k.Effect == catalogue.Death }, func(k *catalogue.Kind, e *schemas.Evidence) {
		newestDeath = max(newestDeath, day(e.OccurredAt))
		if k.Lineage != "" {
			lineages[k.Lineage] = true
		}
	})
	m.each(func(k *catalogue.Kind) bool { return k.Strength == catalogue.Strong }, func(k *catalogue.Kind, e *schemas.Evidence) {
		newestStrong = max(newestStrong, day(e.OccurredAt))
		if k.Assurance == 'A' {
			newestA = max(newestA, day(e.OccurredAt))
		}
	})
	if len(lineages) >= m.c.DeathNeeds {
		all = append(all, "deceased")
	} else if newestDeath > -1<<30 && newestA <= newestDeath {
		all = append(all, "death_reported")
	}
	for i := range m.c.Kinds {
		suspending := &m.c.Kinds[i]
		newest, lifting := schemas.Instant(-1<<60), schemas.Instant(-1<<60)
		m.each(func(k *catalogue.Kind) bool { return k == suspending && k.Effect == catalogue.Suspend }, func(_ *catalogue.Kind, e *schemas.Evidence) {
			newest = max(newest, e.OccurredAt)
		})
		for place := range m.c.Kinds {
			m.each(func(k *catalogue.Kind) bool { return k == &m.c.Kinds[place] && suspending.LiftedBy.Has(place) }, func(_ *catalogue.Kind, e *schemas.Evidence) {
				lifting = max(lifting, e.OccurredAt)
			})
		}
		if newest == -1<<60 || lifting >= newest || suspending.LiftedByStrong && newestStrong > day(newest) {
			continue
		}
		all = append(all, suspending.Reason)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// newest is what the newest un-withdrawn entry says that says anything.
func newest[T any](m *model, said func(*schemas.RosterEntry) (T, bool)) (value T, found bool) {
	var best *schemas.RosterEntry
	for _, e := range m.entries {
		v, says := said(e)
		if e.Op == schemas.Withdraw || !says {
			continue
		}
		if best != nil {
			if order := compareEntry(e, best); order < 0 || order == 0 && e.Benefit < best.Benefit {
				continue
			}
		}
		best, value, found = e, v, true
	}
	return value, found
}

func (m *model) dueOn(e *schemas.RosterEntry, b *catalogue.Benefit) schemas.Date {
	since := e.EffectiveOn
	if e.LastCertifiedOn != nil {
		since = *e.LastCertifiedOn
	}
	if b.CountsFrom != nil && since < *b.CountsFrom {
		since = *b.CountsFrom
	}
	var base schemas.Date
	switch {
	case e.DueOn != nil:
		base = *e.DueOn
	case b.Rule == catalogue.Anniversary:
		base = since.AddMonths(b.CycleMonths)
	default:
		base = b.Until(0, since)
	}
	due := base
	if birth, known := newest(m, func(e *schemas.RosterEntry) (*schemas.Date, bool) { return e.BirthOn, e.BirthOn != nil }); known && b.ExemptUntilAge != nil {
		due = max(due, birth.AddMonths(12**b.ExemptUntilAge))
	}
	for _, held := range m.evidence {
		place, _ := m.c.KindIndex(held.Kind)
		on := m.c.Zone.Date(held.OccurredAt)
		if !b.Accepts.Has(place) || on < e.EffectiveOn {
			continue
		}
		until := b.Until(base, on)
		if held.Op == schemas.Retract {
			until = min(until, m.c.Zone.Date(held.RecordedAt)+30)
		}
		due = max(due, until)
	}
	return due
}

func (m *model) standing() string {
	region, _ := newest(m, func(e *schemas.RosterEntry) (string, bool) { return e.Region, e.Region != "" })
	phone, known := newest(m, func(e *schemas.RosterEntry) (string, bool) { return text(e.Phone), text(e.Phone) != "" })
	if !known {
		phone = "none"
	}
	text := fmt.Sprint(m.reasons(), region, phone)
	for i := range m.c.Benefits {
		if e := m.entries[m.c.Benefits[i].Code]; e != nil && e.Op == schemas.Enrol {
			text += fmt.Sprint("\n", e.Benefit, " due ", m.dueOn(e, &m.c.Benefits[i]))
		}
	}
	return text
}

// TestLawStandingIsOfTheSet: where a citizen stands after facts in any order is
// what the specification says of the set of them, although only few are held.
func TestLawStandingIsOfTheSet(t *testing.T) {
	c := awkward(t)
	rapid.Check(t, func(t *rapid.T) {
		facts := drawShuffled(t, drawFacts(t, c))
		rules := New(c)
		m := model{c, map[[2]string]*schemas.Evidence{}, map[string]*schemas.RosterEntry{}}
		for _, f := range facts {
			m.take(rules, f)
		}
		row, _, _ := live(rules, facts, same)
		if got, want := standing(rules, row), m.standing(); got != want {
			t.Fatalf("the citizen stands\n%s\nby the set of facts\n%s", got, want)
		}
	})
}
