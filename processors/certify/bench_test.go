package certify

import (
	"fmt"
	"testing"

	"github.com/vouch-engine/vouch/schemas"
)

// BenchmarkStep asks what one evidence record costs: the row of a citizen with
// three enrolments and ten held records is read, a strong record is taken down
// and the row is written. Goal: at most 5 µs.
func BenchmarkStep(b *testing.B) {
	rules := New(awkward(b))
	row := typicalRow(b, rules)
	before := len(row.Citizen.evidence)
	bytes := AppendRow(nil, row)
	text := string(bytes)
	const day = schemas.Instant(20000) * schemas.Day
	record := schemas.Evidence{
		EvidenceID: "0196f3c2-7d1e-7c3a-9f10-5b8e2a64d900", CitizenID: someone, Kind: "RAIL_BOARD", Source: "RAIL",
		Op: schemas.Assert, OccurredAt: day, RecordedAt: day + schemas.Day/2,
	}
	var room []byte
	b.ReportAllocs()
	for b.Loop() {
		if err := DecodeRowInto(row, text); err != nil {
			b.Fatal(err)
		}
		if d := rules.OnEvidence(&row.Citizen, &record, day+schemas.Day, day); d.Count != Applied || !d.Changed {
			b.Fatalf("the record was not taken down: %+v", d)
		}
		room = AppendRow(room[:0], row)
	}
	b.ReportMetric(float64(len(bytes)), "B/row")
	if before != 10 || len(room) == 0 {
		b.Fatalf("the citizen has %d held records, not 10", before)
	}
}

// typicalRow is a citizen who draws three benefits and was seen every now and
// then: the records of the last months are held.
func typicalRow(t testing.TB, rules *Rules) *Row {
	t.Helper()
	row := &Row{}
	at := schemas.Instant(20000) * schemas.Day
	for i, benefit := range []string{"OLDAGE", "URRP", "VETREG"} {
		e := rosterEntry(i, benefit)
		if d := rules.OnRoster(&row.Citizen, &e, at, NoTick); d.Count != Applied {
			t.Fatalf("enrol: %+v", d)
		}
	}
	for i := range 26 {
		code := []string{"INPT_ADMIT", "RAIL_BOARD", "PHARM_SWIPE", "BANK_FACE", "BUS_TAP", "OUTPT_VISIT", "CARD_SPEND"}[i%7]
		kind, _ := rules.catalogue.KindIndex(code)
		e := schemas.Evidence{
			EvidenceID: fmt.Sprintf("0196f3c2-7d1e-7c3a-9f10-5b8e2a64d%03d", i), CitizenID: someone,
			Kind: code, Source: rules.catalogue.Kinds[kind].Source, Op: schemas.Assert,
			OccurredAt: at - schemas.Instant(26-i)*14*schemas.Day + schemas.Instant(i*7654)*schemas.Second,
		}
		e.RecordedAt = e.OccurredAt + schemas.Instant(3600+i*977)*schemas.Second
		rules.OnEvidence(&row.Citizen, &e, at, NoTick)
	}
	return row
}

func rosterEntry(i int, benefit string) schemas.RosterEntry {
	phone, payee, amount, birth := "13805581234", "6217000010012345678", int64(18000), schemas.DateOf(1950, 4, 20)
	return schemas.RosterEntry{
		EntryID: fmt.Sprintf("34160220190420%04d", i), CitizenID: someone, Benefit: benefit, Op: schemas.Enrol,
		RecordedAt:  schemas.Instant(17000+i) * schemas.Day,
		EffectiveOn: schemas.DateOf(2019, 4, 20), Region: "341602", Phone: &phone, Payee: &payee, AmountFen: &amount, BirthOn: &birth,
	}
}
