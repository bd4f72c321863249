package certify

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
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

// held lists the ids that are held, newest first.
func held(row *Citizen) (ids []string) {
	for i := range row.evidence {
		ids = append(ids, row.evidence[i].id.text())
	}
	return ids
}

// What is held, and what is let go: each bound by itself. Records are sent
// oldest first, so that each is held when it comes.
func TestBoundsOfEvidence(t *testing.T) {
	daily := func(kind string, from schemas.Date, n int) (all []sending) {
		for i := range n {
			all = append(all, sending{string(rune('a' + i)), kind, from + schemas.Date(i)})
		}
		return all
	}
	may := schemas.DateOf(2024, 5, 1)
	for name, c := range map[string]struct {
		sent []sending
		want string
	}{
		"the four newest of a scope":         {daily("RAIL_BOARD", may, 6), "f e d c"},
		"and one of each of the four months": {append(months("RAIL_BOARD", 6), daily("RAIL_BOARD", schemas.DateOf(2024, 7, 20), 5)...), "e d c b M6 M5 M4"},
		"four of assurance A beside newer others": {
			append(daily("FACE_SELF", may, 5), rename(daily("RAIL_BOARD", may+6, 5), "+")...), "e+ d+ c+ b+ e d c b"},
		"months of assurance A": {append(months("FACE_SELF", 6), rename(daily("RAIL_BOARD", schemas.DateOf(2024, 7, 20), 4), "+")...), "d+ c+ b+ a+ M6 M5 M4 M3"},
		"one of each of three weak kinds": {
			[]sending{{"a", "BUS_TAP", may}, {"b", "PHARM_SWIPE", may + 1}, {"c", "CARD_SPEND", may + 2}, {"d", "PHONE_ACTIVE", may + 3}, {"e", "PHONE_ACTIVE", may + 4}}, "e c b"},
		"two of each adverse kind":  {append(daily("DEATH_CERT", may, 3), rename(daily("CREMATION", may, 3), "+")...), "c+ c b+ b"},
		"two of each lifting kind":  {daily("RELEASE", may, 3), "c b"},
		"two of each reviewed kind": {daily("HUKOU_OTHER", may, 3), "c b"},
	} {
		rules, row := New(awkward(t)), new(Citizen)
		for _, s := range c.sent {
			if d := rules.OnEvidence(row, saw(rules, s.id, s.kind, s.at()), s.at(), NoTick); d.Count != Applied {
				t.Errorf("%s: %s is %s", name, s.id, d.Count)
			}
		}
		if got := strings.Join(held(row), " "); got != c.want {
			t.Errorf("%s: held are %s, want %s", name, got, c.want)
		}
	}
}

// sending is a record that occurred on a day.
type sending struct {
	id, kind string
	on       schemas.Date
}

func (s sending) at() schemas.Instant {
	year, month, day := s.on.Civil()
	return noon(year, month, day)
}

// months are records of the first days of so many months, M1 the first of them.
func months(kind string, n int) (all []sending) {
	for i := range n {
		all = append(all, sending{fmt.Sprint("M", i+1), kind, schemas.DateOf(2024, 1+i, 1)})
	}
	return all
}

func rename(all []sending, suffix string) []sending {
	for i := range all {
		all[i].id += suffix
	}
	return all
}

// A kind that a benefit accepts and that lifts a suspension is held for both
// reasons, each with its own bound.
func TestStrongKindThatLifts(t *testing.T) {
	text := strings.Replace(string(readFile(t, "testdata/catalogue.json")), `"RELEASE"`, `"VET_CONFIRM"`, 1)
	c, err := catalogue.Load("catalogue.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	vet, _ := c.KindIndex("VET_CONFIRM")
	if !c.Kinds[vet].NamedInLiftedBy {
		t.Fatal("the catalogue's first RELEASE is not the one in lifted_by")
	}
	c.Scopes = c.Scopes[:1] // no benefit accepts its own department's evidence alone
	rules, row := New(c), new(Citizen)
	send := func(id, kind string, month, day int) {
		rules.OnEvidence(row, saw(rules, id, kind, noon(2024, month, day)), noon(2024, 9, 1), NoTick)
	}
	for day := range 4 {
		send(fmt.Sprint("v", day), "VET_CONFIRM", 5, 1+day)
		send(fmt.Sprint("f", day), "FACE_SELF", 6, 1+day)
	}
	for month := range 4 {
		send(fmt.Sprint("g", month), "FACE_SELF", 6+month, 10)
	}
	if got := strings.Join(held(row), " "); !strings.HasSuffix(got, " v3 v2") {
		t.Errorf("held are %s, want the two newest that lift among them", got)
	}
}

// A correction that leaves its record beyond the bounds lets it go: the row has
// changed although the version is not held.
func TestCorrectionBeyondTheBounds(t *testing.T) {
	rules, row := New(awkward(t)), new(Citizen)
	for i := range amendmentsHeld {
		e := saw(rules, fmt.Sprint("gone", i), "VET_CONFIRM", noon(2024, 1, 1+i))
		e.Op, e.RecordedAt = schemas.Retract, noon(2024, 8, 1)
		rules.OnEvidence(row, e, noon(2024, 9, 1), NoTick)
	}
	for _, s := range append(months("RAIL_BOARD", 5), sending{"s", "RAIL_BOARD", schemas.DateOf(2024, 5, 10)}) {
		rules.OnEvidence(row, saw(rules, s.id, s.kind, s.at()), noon(2024, 9, 1), NoTick)
	}
	e := saw(rules, "s", "RAIL_BOARD", noon(2023, 5, 1))
	e.RecordedAt = noon(2024, 7, 1)
	d := rules.OnEvidence(row, e, noon(2024, 9, 1), NoTick)
	if got := held(row); d.Count != NotHeld || !d.Changed || !strings.HasPrefix(strings.Join(got, " "), "M5 M4 M3 M2 gone") {
		t.Errorf("%+v, held are %s", d, got)
	}
}

// A correction stays one when a later version changes nothing, and so does one
// that changes the kind alone.
func TestCorrectionsStayCorrections(t *testing.T) {
	rules, row := New(awkward(t)), new(Citizen)
	e := saw(rules, "e", "BUS_TAP", noon(2024, 5, 1))
	for _, step := range []struct {
		kind      string
		occurred  schemas.Instant
		corrected bool
	}{
		{"BUS_TAP", noon(2024, 5, 1), false},
		{"BUS_TAP", noon(2024, 5, 2), true},
		{"BUS_TAP", noon(2024, 5, 2), true},
	} {
		e.Kind, e.OccurredAt = step.kind, step.occurred
		e.RecordedAt++
		rules.OnEvidence(row, e, noon(2024, 9, 1), NoTick)
		if row.evidence[0].corrected != step.corrected {
			t.Errorf("of %s: corrected is %t", e.OccurredAt, !step.corrected)
		}
	}
	row = new(Citizen)
	e.Source, e.Kind = "HEALTH", "INPT_ADMIT"
	rules.OnEvidence(row, e, noon(2024, 9, 1), NoTick)
	e.Kind = "OUTPT_VISIT"
	e.RecordedAt++
	if rules.OnEvidence(row, e, noon(2024, 9, 1), NoTick); !row.evidence[0].corrected {
		t.Error("another kind is no correction")
	}
}
