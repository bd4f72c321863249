package certify

import (
	"strings"
	"testing"

	"github.com/vouch-engine/vouch/schemas"
)

// Of two versions of an evidence record that differ in one thing and all that
// comes after it, the greater holds, whichever comes first.
func TestOrderOfEvidenceVersions(t *testing.T) {
	at := noon(2024, 5, 1)
	version := func(change func(*schemas.Evidence)) *schemas.Evidence {
		e := &schemas.Evidence{EvidenceID: "e", CitizenID: someone, Kind: "OUTPT_VISIT", Source: "HEALTH", Op: schemas.Assert, OccurredAt: at, RecordedAt: at}
		change(e)
		return e
	}
	rising := []*schemas.Evidence{
		version(func(e *schemas.Evidence) { e.Kind = "NAT_TEST" }),
		version(func(e *schemas.Evidence) {}),
		version(func(e *schemas.Evidence) { e.OccurredAt++; e.Kind = "INPT_ADMIT" }),
		version(func(e *schemas.Evidence) { e.Op = schemas.Retract; e.OccurredAt-- }),
		version(func(e *schemas.Evidence) { e.RecordedAt++; e.OccurredAt -= 2 }),
	}
	rules := New(awkward(t))
	for i, less := range rising {
		for j, other := range rising {
			row := new(Citizen)
			rules.OnEvidence(row, less, at, NoTick)
			if d := rules.OnEvidence(row, other, at, NoTick); (d.Count == Applied) != (j > i) {
				t.Errorf("version %d after version %d: %s", j, i, d.Count)
			}
		}
	}
}

// The same of roster entries.
func TestOrderOfEntryVersions(t *testing.T) {
	first, second := "1", "2"
	early, late := schemas.DateOf(2024, 1, 1), schemas.DateOf(2024, 1, 2)
	one, two := int64(1), int64(2)
	// Each change is one step up; all that comes after it is taken back.
	changes := []func(*schemas.RosterEntry){
		func(e *schemas.RosterEntry) {},
		func(e *schemas.RosterEntry) { e.Attributes = map[string]string{"a": "1"} },
		func(e *schemas.RosterEntry) { e.Attributes = map[string]string{"a": "1", "b": "0"} },
		func(e *schemas.RosterEntry) { e.Attributes = map[string]string{"a": "2"} },
		func(e *schemas.RosterEntry) { e.Attributes = map[string]string{"b": "1"} },
		func(e *schemas.RosterEntry) { e.BirthOn = &early },
		func(e *schemas.RosterEntry) { e.BirthOn = &late },
		func(e *schemas.RosterEntry) { e.AmountFen = &one },
		func(e *schemas.RosterEntry) { e.AmountFen = &two },
		func(e *schemas.RosterEntry) { e.Payee = &first },
		func(e *schemas.RosterEntry) { e.Payee = &second },
		func(e *schemas.RosterEntry) { e.Phone = &first },
		func(e *schemas.RosterEntry) { e.Phone = &second },
		func(e *schemas.RosterEntry) { e.Region = "1" },
		func(e *schemas.RosterEntry) { e.Region = "2" },
		func(e *schemas.RosterEntry) { e.LastCertifiedOn = &early },
		func(e *schemas.RosterEntry) { e.LastCertifiedOn = &late },
		func(e *schemas.RosterEntry) { e.DueOn = &early },
		func(e *schemas.RosterEntry) { e.DueOn = &late },
		func(e *schemas.RosterEntry) { e.EffectiveOn++ },
		func(e *schemas.RosterEntry) { e.EntryID = "s" },
		func(e *schemas.RosterEntry) { e.Op, e.EntryID = schemas.Withdraw, "a" },
		func(e *schemas.RosterEntry) { e.RecordedAt++ },
	}
	version := func(change int) *schemas.RosterEntry {
		e := &schemas.RosterEntry{EntryID: "r", CitizenID: someone, Benefit: "URRP", Op: schemas.Enrol, RecordedAt: noon(2024, 5, 1), EffectiveOn: early}
		changes[change](e)
		return e
	}
	rules := New(awkward(t))
	for i := range changes {
		for j := range changes {
			row := new(Citizen)
			rules.OnRoster(row, version(i), noon(2024, 5, 2), NoTick)
			if d := rules.OnRoster(row, version(j), noon(2024, 5, 2), NoTick); (d.Count == Applied) != (j > i) {
				t.Errorf("version %d after version %d: %s", j, i, d.Count)
			}
		}
	}
}

// At the same instant the smaller source comes first, then the smaller id: its
// record is the proof.
func TestOrderAtTheSameInstant(t *testing.T) {
	rules, at := New(awkward(t)), noon(2024, 5, 1)
	for _, sent := range [][]string{
		{"INPT_ADMIT b", "INPT_ADMIT a", "RAIL_BOARD 0"}, {"RAIL_BOARD 0", "INPT_ADMIT a", "INPT_ADMIT b"},
	} {
		row := new(Citizen)
		for _, s := range sent {
			kind, id, _ := strings.Cut(s, " ")
			rules.OnEvidence(row, saw(rules, id, kind, at), at, NoTick)
		}
		e := rosterEntry(0, "URRP")
		d := rules.OnRoster(row, &e, at, NoTick)
		if got := strings.Join(held(row), " "); got != "a b 0" || d.Completed[0].EvidenceID != "a" {
			t.Errorf("sent as %v they are held as %s", sent, got)
		}
	}
}

// A record at a limit is taken, one beyond it refused.
func TestLimits(t *testing.T) {
	rules, at := New(awkward(t)), noon(2024, 5, 1)
	evidence := func(change func(*schemas.Evidence)) Refusal {
		e := saw(rules, "e", "RAIL_BOARD", at)
		change(e)
		return rules.RefuseEvidence(someone, e, at)
	}
	entry := func(change func(*schemas.RosterEntry)) Refusal {
		e := rosterEntry(0, "URRP")
		change(&e)
		return rules.RefuseRoster(someone, &e, at)
	}
	long := func(n int) *string { s := strings.Repeat("x", n); return &s }
	midnight := noon(2024, 5, 3) - 12*60*schemas.Minute // two civil days after that of at
	for name, c := range map[string]struct{ got, want Refusal }{
		"an id of 64 bytes":              {evidence(func(e *schemas.Evidence) { e.EvidenceID = *long(64) }), Accepted},
		"one of 65":                      {evidence(func(e *schemas.Evidence) { e.EvidenceID = *long(65) }), BadID},
		"one with a space":               {evidence(func(e *schemas.Evidence) { e.EvidenceID = "a b" }), Accepted},
		"one with a control character":   {evidence(func(e *schemas.Evidence) { e.EvidenceID = "a\x1fb" }), BadID},
		"one that is not UTF-8":          {evidence(func(e *schemas.Evidence) { e.EvidenceID = "\xff" }), BadID},
		"a reference of 256 bytes":       {evidence(func(e *schemas.Evidence) { e.Reference = long(256) }), Accepted},
		"one of 257":                     {evidence(func(e *schemas.Evidence) { e.Reference = long(257) }), OutOfRange},
		"attributes of 4096 bytes":       {evidence(func(e *schemas.Evidence) { e.Attributes = map[string]string{*long(96): *long(4000)} }), Accepted},
		"of 4097":                        {evidence(func(e *schemas.Evidence) { e.Attributes = map[string]string{*long(97): *long(4000)} }), OutOfRange},
		"occurred at the end of the day": {evidence(func(e *schemas.Evidence) { e.OccurredAt = midnight - 1 }), Accepted},
		"occurred at midnight":           {evidence(func(e *schemas.Evidence) { e.OccurredAt = midnight }), FutureDated},
		"recorded at midnight":           {evidence(func(e *schemas.Evidence) { e.RecordedAt = midnight }), FutureDated},
		"the last instant": {evidence(func(e *schemas.Evidence) {
			e.Op, e.OccurredAt = schemas.Retract, schemas.Instant(schemas.LastDate+1)*schemas.Day-1
		}), Accepted},
		"the one after it": {evidence(func(e *schemas.Evidence) {
			e.Op, e.OccurredAt = schemas.Retract, schemas.Instant(schemas.LastDate+1)*schemas.Day
		}), OutOfRange},
		"the first date":            {entry(func(e *schemas.RosterEntry) { *e.BirthOn = schemas.FirstDate }), Accepted},
		"the one before it":         {entry(func(e *schemas.RosterEntry) { *e.BirthOn = schemas.FirstDate - 1 }), OutOfRange},
		"an amount of 0":            {entry(func(e *schemas.RosterEntry) { *e.AmountFen = 0 }), Accepted},
		"one below":                 {entry(func(e *schemas.RosterEntry) { *e.AmountFen = -1 }), OutOfRange},
		"a region of 257 bytes":     {entry(func(e *schemas.RosterEntry) { e.Region = *long(257) }), OutOfRange},
		"a due date out of range":   {entry(func(e *schemas.RosterEntry) { e.DueOn = e.BirthOn; *e.DueOn = schemas.LastDate + 1 }), OutOfRange},
		"a tick five minutes ahead": {rules.RefuseTick(&schemas.ClockTick{At: at + 5*schemas.Minute}, at), Accepted},
		"one a millisecond more":    {rules.RefuseTick(&schemas.ClockTick{At: at + 5*schemas.Minute + 1}, at), FutureDated},
		"a tick of 2200":            {rules.RefuseTick(&schemas.ClockTick{At: schemas.Instant(schemas.LastDate+1) * schemas.Day}, at), OutOfRange},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
	for period, want := range map[string]Refusal{
		"2024-05": Accepted, "1850-01": Accepted, "2199-12": Accepted, "1849-12": OutOfRange, "2200-01": OutOfRange,
		"2024-5": OutOfRange, "2024-00": OutOfRange, "2024-05-01": OutOfRange, "24-05": OutOfRange, "": OutOfRange, "2024/05": OutOfRange,
	} {
		p := &schemas.Payout{PayoutID: "p", CitizenID: someone, Benefit: "URRP", Period: period, PaidAt: at}
		if got := rules.RefusePayout(someone, p, at); got != want {
			t.Errorf("a period %q: %q, want %q", period, got, want)
		}
	}
}
