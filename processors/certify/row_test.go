package certify

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// TestGoldenRows: rows that an earlier version wrote stay readable and mean
// what they meant, and, being of the newest format, are written alike.
func TestGoldenRows(t *testing.T) {
	datadriven.RunTest(t, "testdata/rows.golden", func(t *testing.T, d *datadriven.TestData) string {
		b := golden(t, d.Input)
		row, err := DecodeRow(b)
		if err != nil {
			t.Fatalf("%s: %v", d.Pos, err)
		}
		if again := AppendRow(nil, row); !bytes.Equal(b, again) {
			t.Errorf("%s: written again as\n%x", d.Pos, again)
		}
		return describe(row)
	})
}

func golden(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// describe tells a row in words.
func describe(row *Row) string {
	var w strings.Builder
	for i := range row.Citizen.entries {
		e := &row.Citizen.entries[i]
		fmt.Fprintf(&w, "%s %s %s, recorded %s, effective %s, due %s, last certified %s, region %q, phone %s, payee %s, %s fen, born %s, %v\n",
			e.Benefit, e.Op, e.EntryID, e.RecordedAt, e.EffectiveOn, given(e.DueOn), given(e.LastCertifiedOn), e.Region,
			given(e.Phone), given(e.Payee), given(e.AmountFen), given(e.BirthOn), e.Attributes)
		if e.announced {
			fmt.Fprintf(&w, "  announced until %s", e.announcedUntil)
			if e.provenOn {
				fmt.Fprintf(&w, " by a proof of %s", e.announcedOn)
			}
			fmt.Fprintln(&w)
		}
	}
	for _, e := range row.Citizen.evidence {
		fmt.Fprintf(&w, "%s of %s, %s, occurred %s, recorded %s", e.kind, e.source, e.id.text(), e.occurredAt, e.recordedAt)
		if e.retracted {
			fmt.Fprint(&w, ", retracted")
		}
		if e.corrected {
			fmt.Fprint(&w, ", corrected")
		}
		fmt.Fprintln(&w)
	}
	for _, p := range row.Citizen.paid {
		fmt.Fprintf(&w, "%s paid for %04d-%02d:", p.benefit, p.month/12, p.month%12+1)
		for _, payout := range p.payouts {
			fmt.Fprintf(&w, " %s %d fen", payout.id.text(), payout.amountFen)
		}
		fmt.Fprintln(&w)
	}
	if p := row.Partition; p != nil {
		clock := "none"
		if p.Clock != NoTick {
			clock = p.Clock.String()
		}
		fmt.Fprintf(&w, "partition: clock %s, catalogue %d, %s", clock, p.CatalogueVersion, p.CatalogueHash)
		if p.Pass {
			fmt.Fprintf(&w, ", pass up to %q", p.Cursor)
		}
		fmt.Fprintln(&w)
	}
	if w.Len() == 0 {
		return "nothing\n"
	}
	return w.String()
}

func given[T any](value *T) string {
	if value == nil {
		return "none"
	}
	return fmt.Sprint(*value)
}

// idForms are ids as departments write them.
var idForms = []struct {
	name string
	id   func(*rand.Rand) string
}{
	{"short", func(r *rand.Rand) string { return fmt.Sprint("e", r.IntN(1e6)) }},
	{"18 digits", func(r *rand.Rand) string { return fmt.Sprintf("%018d", r.Int64N(1e18)) }},
	{"UUID", func(r *rand.Rand) string {
		return fmt.Sprintf("%08x-%04x-7%03x-9%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Int64N(1<<48))
	}},
}

const rowBytesAverage = 600

// TestRowSize: the row of a citizen of Bozhou's average, who draws two benefits
// and leaves 25.7 records a year, fits in 600 bytes, whatever form ids have.
// A citizen is seen in a dozen ways, drawn from all that the shipped catalogue
// has; half of the departments tell instants in whole seconds.
func TestRowSize(t *testing.T) {
	for _, form := range idForms {
		const citizens = 200
		rules, sum := New(catalogue.Default()), map[string]int{}
		r := rand.New(rand.NewPCG(1, 2))
		for range citizens {
			row := averageRow(t, rules, form.id, r)
			for part, size := range partsOf(row) {
				sum[part] += size
			}
			sum["records"] += len(row.Citizen.evidence)
		}
		mean := func(part string) float64 { return float64(sum[part]) / citizens }
		t.Logf("ids of %s: %.0f bytes of a row: words %.0f, entries %.0f, %.1f records with ids of %.0f and the rest of %.0f", form.name,
			mean("row"), mean("words"), mean("entries"), mean("records"), mean("ids"), mean("evidence"))
		if mean("row") > rowBytesAverage {
			t.Errorf("ids of %s: a row has %.0f bytes, at most %d are allowed", form.name, mean("row"), rowBytesAverage)
		}
	}
}

func averageRow(t testing.TB, rules *Rules, id func(*rand.Rand) string, r *rand.Rand) *Row {
	t.Helper()
	const records, days = 51, 730 // 25.7 a year
	row, now := new(Row), noon(2025, 6, 1)
	for i, benefit := range []string{"URRP", "OLDAGE"} {
		e := rosterEntry(i, benefit)
		e.EntryID = id(r)
		rules.OnRoster(&row.Citizen, &e, now, NoTick)
	}
	var seen []*catalogue.Kind
	for i := range rules.catalogue.Kinds {
		if k := &rules.catalogue.Kinds[i]; k.Strength != catalogue.Adverse {
			seen = append(seen, k)
		}
	}
	r.Shuffle(len(seen), func(i, j int) { seen[i], seen[j] = seen[j], seen[i] })
	for i := range records {
		kind := seen[r.IntN(12)]
		unit := schemas.Second
		if kind.Source < "HRSS" { // about half
			unit = 1
		}
		occurred := (now - schemas.Instant(days-i*days/records)*schemas.Day + schemas.Instant(r.Int64N(int64(schemas.Day)))) / unit * unit
		e := saw(rules, id(r), kind.Code, occurred)
		e.RecordedAt += schemas.Instant(r.Int64N(int64(2*schemas.Day))) / unit * unit
		if d := rules.OnEvidence(&row.Citizen, e, now, NoTick); d.Count != Applied && d.Count != NotHeld {
			t.Fatalf("%+v", d)
		}
	}
	return row
}

// partsOf gives the bytes of a row by part.
func partsOf(row *Row) map[string]int {
	size := func(c Citizen) (whole, words int) {
		b := AppendRow(nil, &Row{Citizen: c})
		r := rowReader{rest: string(b[2:]), room: new(rowRoom)}
		for n := r.count(); n > 0; n-- {
			r.text()
		}
		return len(b), len(b) - 2 - len(r.rest)
	}
	whole, words := size(row.Citizen)
	entries, entryWords := size(Citizen{entries: row.Citizen.entries})
	ids := 0
	for _, e := range row.Citizen.evidence {
		ids += len(e.id)
	}
	return map[string]int{
		"row": whole, "words": words, "entries": entries - entryWords, "ids": ids,
		"evidence": whole - words - (entries - entryWords) - ids,
	}
}

// TestLawPacking: packing loses nothing.
func TestLawPacking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9a-f]{0,70}`), rapid.StringMatching(`[0-9]{0,40}`),
			rapid.StringMatching(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), rapid.StringMatching(`[0-9a-f-]{36}`)).Draw(t, "text")
		p := pack(text)
		if back := p.text(); back != text {
			t.Fatalf("%q came back as %q", text, back)
		}
		if len(p) > len(text)+2 {
			t.Fatalf("%q of %d bytes became %d", text, len(text), len(p))
		}
		r := rowReader{rest: string(p) + "rest", room: new(rowRoom)}
		if got := r.text(); got != text || r.rest != "rest" || r.broken {
			t.Fatalf("%q was read as %q, leaving %q", text, got, r.rest)
		}
	})
}

func TestIDsArePackedSmall(t *testing.T) {
	for id, most := range map[string]int{
		"0196f3c2-7d1e-7c3a-9f10-5b8e2a64d900": 17, "341602201904200001": 10, "9f105b8e2a64d900": 9, "e7": 2, "INPT/7": 7,
	} {
		if size := len(pack(id)); size > most {
			t.Errorf("%s has %d bytes, at most %d are needed", id, size, most)
		}
	}
}

// FuzzDecodeRow: whatever the bytes, reading them ends in a row or an error. A
// row that was read is written and read again as the same, also into a row that
// another one was read into before.
func FuzzDecodeRow(f *testing.F) {
	rules := New(awkward(f))
	f.Add(AppendRow(nil, typicalRow(f, rules)))
	f.Add(AppendRow(nil, &Row{Partition: &Partition{Clock: NoTick, CatalogueVersion: 7, CatalogueHash: "0123456789abcdef"}}))
	f.Add(AppendRow(nil, &Row{Partition: &Partition{Clock: 7, CatalogueVersion: 7, CatalogueHash: "0123456789abcdef", Pass: true, Cursor: "c1"}}))
	f.Add([]byte{rowVersion, partPass, 0})                                   // a pass of no partition
	f.Add([]byte{rowVersion, partCitizen, 1, 36<<2 | formUUID, 0, 0, 0})     // a UUID with a length
	f.Add([]byte{rowVersion, partCitizen, 0xff, 0xff, 0xff, 0xff, 0x7f})     // a count beyond all bytes
	f.Add([]byte{rowVersion, partCitizen, 0, 1, 5, 0, 0, 0, 0})              // a word that is not there
	f.Add(slices.Repeat([]byte{rowVersion, partCitizen | partPartition}, 9)) // what is left over
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := DecodeRow(b)
		if err != nil {
			if row != nil || strings.Contains(err.Error(), "%!") {
				t.Fatalf("%v, %v", row, err)
			}
			return
		}
		once := AppendRow(nil, row)
		back, err := DecodeRow(once)
		if err != nil {
			t.Fatalf("%x was read, but not what was written of it, %x: %v", b, once, err)
		}
		if twice := AppendRow(nil, back); !bytes.Equal(once, twice) {
			t.Fatalf("%x was written as %x, then as %x", b, once, twice)
		}
		used := typicalRow(t, rules)
		used.Partition = new(Partition)
		if err := DecodeRowInto(used, string(once)); err != nil || !bytes.Equal(once, AppendRow(nil, used)) {
			t.Fatalf("%x, read into a row that was used before, is %x: %v", once, AppendRow(nil, used), err)
		}
		rules.derive(lookedUp(rules, &back.Citizen), new(view))
	})
}

func lookedUp(rules *Rules, row *Citizen) *Citizen {
	rules.look(row)
	return row
}

// A cut or a changed version byte is an error with its remedy.
func TestDamagedRowsAreErrors(t *testing.T) {
	b := AppendRow(nil, typicalRow(t, New(awkward(t))))
	for size := range b {
		if _, err := DecodeRow(b[:size]); err == nil {
			t.Fatalf("the first %d bytes of %d were read as a row", size, len(b))
		}
	}
	if _, err := DecodeRow(append(slices.Clone(b), 0)); err == nil {
		t.Error("a byte behind the end was not found")
	}
	if _, err := DecodeRow([]byte{rowVersion, partPass}); err == nil {
		t.Error("a pass of no partition was read as a row")
	}
	b[0] = rowVersion + 1
	if _, err := DecodeRow(b); err == nil || !strings.Contains(err.Error(), "use the version that wrote it") {
		t.Errorf("a later format: %v", err)
	}
}
