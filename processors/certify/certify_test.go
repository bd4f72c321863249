package certify

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/vouch-engine/vouch/schemas"
)

// noon of a day in Shanghai.
func noon(year, month, day int) schemas.Instant {
	return schemas.Instant(schemas.DateOf(year, month, day))*schemas.Day + 4*60*schemas.Minute
}

// saw is a record of someone, sent on the day on which it occurred.
func saw(rules *Rules, id, kind string, at schemas.Instant) *schemas.Evidence {
	place, _ := rules.catalogue.KindIndex(kind)
	return &schemas.Evidence{
		EvidenceID: id, CitizenID: someone, Kind: kind, Source: rules.catalogue.Kinds[place].Source,
		Op: schemas.Assert, OccurredAt: at, RecordedAt: at,
	}
}

// A weak record that is held as a correction, beyond the newest of its kind,
// travels to the timer as well, which counts kinds and sources among all.
func TestScheduleCarriesEveryHeldWeakRecord(t *testing.T) {
	rules, row := New(awkward(t)), new(Citizen)
	e := rosterEntry(0, "URRP")
	rules.OnRoster(row, &e, noon(2024, 6, 1), NoTick)
	corrected := saw(rules, "w0", "BUS_TAP", noon(2024, 5, 20))
	rules.OnEvidence(row, corrected, noon(2024, 6, 1), NoTick)
	corrected.OccurredAt, corrected.RecordedAt = noon(2024, 5, 21), noon(2024, 5, 22)
	rules.OnEvidence(row, corrected, noon(2024, 6, 1), NoTick)
	rules.OnEvidence(row, saw(rules, "w1", "BUS_TAP", noon(2024, 5, 22)), noon(2024, 6, 1), NoTick)
	rules.OnEvidence(row, saw(rules, "w2", "PHARM_SWIPE", noon(2024, 5, 12)), noon(2024, 6, 1), NoTick)
	d := rules.OnEvidence(row, saw(rules, "w3", "CARD_SPEND", noon(2024, 5, 11)), noon(2024, 6, 1), NoTick)
	if d.Schedule != nil {
		t.Fatal("an entry without need: the month in which the citizen was last seen has not changed")
	}
	d = rules.OnEvidence(row, saw(rules, "s1", "RAIL_BOARD", noon(2024, 6, 1)), noon(2024, 6, 1), NoTick)
	if d.Schedule == nil || len(d.Schedule.Weak) != 4 || d.Schedule.Weak[3].Kind != "CARD_SPEND" {
		t.Errorf("the timer is told of %+v", d.Schedule)
	}
}

// An empty phone or payee is none: a version that differs in nothing else is
// no greater.
func TestEmptyPhoneIsNone(t *testing.T) {
	rules, row, empty := New(awkward(t)), new(Citizen), ""
	e := rosterEntry(0, "URRP")
	e.Phone, e.Payee = nil, nil
	rules.OnRoster(row, &e, noon(2024, 6, 1), NoTick)
	e.Phone, e.Payee = &empty, &empty
	if d := rules.OnRoster(row, &e, noon(2024, 6, 1), NoTick); d.Count != Superseded {
		t.Errorf("counted as %s", d.Count)
	}
}

// The first four payouts of each of the three newest periods are held.
func TestBoundsOfPayouts(t *testing.T) {
	rules, row := New(awkward(t)), new(Citizen)
	pay := func(id, benefit, period string, want Count) {
		t.Helper()
		p := &schemas.Payout{PayoutID: id, CitizenID: someone, Benefit: benefit, Period: period, AmountFen: 1, PaidAt: noon(2024, 6, 1)}
		if d := rules.OnPayout(row, p); d.Count != want || d.Changed != (want == Applied) {
			t.Errorf("%s: %s, want %s", id, d.Count, want)
		}
	}
	pay("a", "URRP", "2024-03", Applied)
	pay("a", "URRP", "2024-04", Superseded)
	pay("a", "UEP", "2024-03", Applied)
	for _, id := range []string{"b", "c", "d"} {
		pay(id, "URRP", "2024-03", Applied)
	}
	pay("e", "URRP", "2024-03", NotHeld)
	pay("f", "URRP", "2024-05", Applied)
	pay("g", "URRP", "2024-04", Applied)
	pay("h", "URRP", "2024-02", NotHeld)
	pay("i", "URRP", "2024-06", Applied) // lets go of 2024-03
	pay("b", "URRP", "2024-03", NotHeld)
	pay("a", "UEP", "2024-03", Superseded)
	pay("j", "URRP", "2024-05", Applied)
	if len(row.paid) != 4 || len(row.paid[2].payouts) != 2 {
		t.Errorf("%d periods are held: %+v", len(row.paid), row.paid)
	}
}

// Of 17 retractions the one recorded first is let go; of those recorded at the
// same time, the one of the oldest evidence.
func TestBoundsOfAmendments(t *testing.T) {
	rules, row := New(awkward(t)), new(Citizen)
	retract := func(id string, occurred, recorded schemas.Instant) Decision {
		e := saw(rules, id, "VET_CONFIRM", occurred)
		e.Op, e.RecordedAt = schemas.Retract, recorded
		return rules.OnEvidence(row, e, noon(2024, 9, 1), NoTick)
	}
	for i := range amendmentsHeld {
		retract(string(rune('a'+i)), noon(2024, 1, 1+i), noon(2024, 6, 1))
	}
	if d := retract("older", noon(2023, 12, 31), noon(2024, 6, 1)); d.Count != NotHeld || d.Changed {
		t.Errorf("a tie with older evidence: %+v", d)
	}
	if d := retract("newer", noon(2024, 5, 31), noon(2024, 6, 1)); d.Count != Applied {
		t.Errorf("a tie with newer evidence: %s", d.Count)
	}
	if d := retract("a", noon(2024, 1, 1), noon(2024, 6, 1)); d.Count != NotHeld {
		t.Errorf("the oldest was let go, and comes again: %s", d.Count)
	}
	if d := retract("late", noon(2023, 1, 1), noon(2024, 6, 2)); d.Count != Applied || len(row.evidence) != amendmentsHeld {
		t.Errorf("the latest recorded: %s, %d held", d.Count, len(row.evidence))
	}
}

// A record whose code is gone from the catalogue is held and counts for nothing.
func TestWhatIsGoneFromTheCatalogueIsHeld(t *testing.T) {
	rules, row := New(awkward(t)), new(Citizen)
	for _, benefit := range []string{"URRP", "VETREG"} {
		e := rosterEntry(0, benefit)
		rules.OnRoster(row, &e, noon(2024, 6, 1), NoTick)
	}
	rules.OnEvidence(row, saw(rules, "s", "RAIL_BOARD", noon(2024, 6, 1)), noon(2024, 6, 1), NoTick)
	row.entries[1].Benefit, row.evidence[0].kind, row.under = "GONE_BENEFIT", "GONE_KIND", nil
	d := rules.OnEvidence(row, saw(rules, "t", "COURT_MISSING", noon(2024, 6, 3)), noon(2024, 6, 3), NoTick)
	if len(row.entries) != 2 || len(row.evidence) != 2 || len(d.Schedule.Benefits) != 1 || len(d.Schedule.Leads) != 0 ||
		d.Schedule.Benefits[0].Reasons[0] != "missing" {
		t.Errorf("%d entries, %d records, %+v", len(row.entries), len(row.evidence), d.Schedule)
	}
}

// What is held shares no memory with the record, which may lie in a buffer that
// is used again.
func TestRowSharesNoMemoryWithRecords(t *testing.T) {
	rules, row := New(awkward(t)), new(Citizen)
	buffer := []byte("r-1 341602 138 acct key value e-1 p-1 URRP 2024-06")
	texts := strings.Split(unsafe.String(&buffer[0], len(buffer)), " ")
	e := rosterEntry(0, texts[8])
	e.EntryID, e.Region, e.Phone, e.Payee, e.Attributes = texts[0], texts[1], &texts[2], &texts[3], map[string]string{texts[4]: texts[5]}
	rules.OnRoster(row, &e, noon(2024, 6, 1), NoTick)
	rules.OnEvidence(row, saw(rules, texts[6], "RAIL_BOARD", noon(2024, 6, 1)), noon(2024, 6, 1), NoTick)
	rules.OnPayout(row, &schemas.Payout{PayoutID: texts[7], CitizenID: someone, Benefit: texts[8], Period: texts[9]})
	before := describe(&Row{Citizen: *row})
	clear(buffer)
	if after := describe(&Row{Citizen: *row}); after != before {
		t.Errorf("the row was\n%sand is, now that the buffer is used again,\n%s", before, after)
	}
}
