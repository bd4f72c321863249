package certify

import (
	"fmt"
	"testing"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// BenchmarkStepRules asks what the rules alone cost, without the row's bytes:
// one strong record a month is taken down of a citizen with two benefits, whose
// row is as if it had just been read. So the month in which the citizen was last
// seen changes with nearly every record, and every sixth is announced. Goal: at
// most 1.5 µs.
func BenchmarkStepRules(b *testing.B) {
	rules := New(catalogue.Default())
	sights := monthlySights(b, rules)
	var fresh Citizen
	for i, benefit := range []string{"OLDAGE", "URRP"} {
		e := rosterEntry(i, benefit)
		rules.OnRoster(&fresh, &e, sights[0].at, sights[0].at)
	}
	var row Citizen
	steps, applied, announced, scheduled := 0, 0, 0, 0
	b.ReportAllocs()
	for b.Loop() {
		s := &sights[steps%len(sights)]
		if steps%len(sights) == 0 {
			row.entries = append(row.entries[:0], fresh.entries...)
			clear(row.evidence)
			row.evidence = row.evidence[:0]
		}
		row.under = nil // as in a row that was just read
		d, _ := rules.Step(&row, someone, &s.evidence, s.at, s.at)
		steps++
		if d.Count == Applied {
			applied++
		}
		announced += len(d.Completed)
		if d.Schedule != nil {
			scheduled++
		}
	}
	b.ReportMetric(float64(announced)/float64(steps), "announced/op")
	b.ReportMetric(float64(scheduled)/float64(steps), "scheduled/op")
	if applied != steps || announced == 0 || scheduled*10 < steps*9 {
		b.Fatalf("of %d records %d were taken down, %d announced and %d scheduled", steps, applied, announced, scheduled)
	}
}

// sight is a record of evidence as it arrives.
type sight struct {
	evidence schemas.Evidence
	at       schemas.Instant
}

// monthlySights are those of twenty years.
func monthlySights(t testing.TB, rules *Rules) (all []sight) {
	t.Helper()
	kinds := []string{"RAIL_BOARD", "OUTPT_VISIT", "BANK_FACE", "INPT_ADMIT", "HOTEL_CHECKIN"}
	for i := range 240 {
		place, known := rules.catalogue.KindIndex(kinds[i%len(kinds)])
		if !known {
			t.Fatalf("the catalogue has no kind %s", kinds[i%len(kinds)])
		}
		occurred := schemas.Instant(schemas.DateOf(2023, 1, 10).AddMonths(i))*schemas.Day + schemas.Instant(i*7654)*schemas.Second
		all = append(all, sight{schemas.Evidence{
			EvidenceID: fmt.Sprintf("0196f3c2-7d1e-7c3a-9f10-5b8e2a64d%03d", i), CitizenID: someone,
			Kind: kinds[i%len(kinds)], Source: rules.catalogue.Kinds[place].Source, Op: schemas.Assert,
			OccurredAt: occurred, RecordedAt: occurred + schemas.Day/2,
		}, occurred + schemas.Day})
	}
	return all
}
