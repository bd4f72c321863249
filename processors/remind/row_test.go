package remind

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/vouch-engine/vouch/schemas"
)

// TestRowsStayReadable: what this program and the ones before it have written
// is read for ever, and means the same.
func TestRowsStayReadable(t *testing.T) {
	datadriven.RunTest(t, "testdata/rows.golden", func(t *testing.T, d *datadriven.TestData) string {
		b, err := hex.DecodeString(strings.ReplaceAll(d.Input, "\n", ""))
		if err != nil {
			t.Fatalf("%s: %v", d.Pos, err)
		}
		row, err := DecodeRow(b)
		if err != nil {
			t.Fatalf("%s: %v", d.Pos, err)
		}
		if again := AppendRow(nil, row); !bytes.Equal(b, again) {
			t.Errorf("%s: written again as\n%x", d.Pos, again)
		}
		return describeRow(t, row, b)
	})
}

func describeRow(t *testing.T, row *Row, b []byte) string {
	var w strings.Builder
	if p := row.Partition; p != nil {
		fmt.Fprintf(&w, "partition: clock %s, cursor %x, catalogue %d %s, pass %t behind %q\n",
			ticked(p.Clock), p.Cursor, p.CatalogueVersion, p.CatalogueHash, p.Pass, p.PassCursor)
	}
	c := &row.Citizen
	for _, n := range c.enrolments {
		fmt.Fprintf(&w, "%s of %s, due %s, reasons %v\n", n.benefit, n.department, n.dueOn, n.reasons)
		fmt.Fprintf(&w, "  lapses %s, visit %s, reminders %v\n", n.lapsesAt, n.visitAt, n.remindAt)
	}
	for _, s := range c.unknown {
		fmt.Fprintf(&w, "%s is unknown, due %s, reasons %v\n", s.Benefit, s.DueOn, s.Reasons)
	}
	if c.knows() {
		fmt.Fprintf(&w, "entry of %s under %s, certifier's clock %s, region %q, phone %s, seen %s\n",
			c.at, c.catalogue, ticked(c.clock), c.region, shown(c.phone), shown(c.lastSeenAt))
		fmt.Fprintf(&w, "leads %v\nweak %v\n", c.leads, c.weak)
	}
	err := DueEntries("c1", b, func(entry []byte) {
		due, err := DecodeDue(entry)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&w, "due index: %x, at %s kind %d of %s\n", entry, due.At, due.Kind, due.Citizen)
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.Len() == 0 {
		return "nothing\n"
	}
	return w.String()
}

func ticked(clock schemas.Instant) string {
	if clock == NoTick {
		return "none"
	}
	return clock.String()
}

func shown[T any](o optional[T]) string {
	if !o.given {
		return "none"
	}
	return fmt.Sprint(o.value)
}

// someRow is a row with everything in it that may be left out.
func someRow(t testing.TB) *Row {
	c, _, _ := catalogues(t)
	at := schemas.Instant(schemas.DateOf(2024, 5, 1)) * schemas.Day
	clock, phone := at-schemas.Minute, "13805581234"
	leads := []schemas.Lead{{Kind: "FACE", Source: "HRSS", OccurredAt: at - 3*schemas.Day}, {Kind: "BUS", Source: "TRANSPORT", OccurredAt: at - 9*schemas.Day}}
	row := &Row{Partition: &Partition{Clock: clock, Cursor: string(Due{at, "c0", Visit}.Append(nil)),
		CatalogueVersion: c.Version, CatalogueHash: c.Hash(), Pass: true, PassCursor: "c0"}}
	New(c).OnEntry(&row.Citizen, &schemas.ScheduleEntry{
		CitizenID: "c1", Region: "341602", Phone: &phone, LastSeenAt: &leads[0].OccurredAt, Leads: leads, Weak: leads[1:], Clock: &clock,
		Benefits: []schemas.ScheduledBenefit{
			{Benefit: "INJURY", DueOn: schemas.DateOf(2024, 6, 30), Reasons: []string{"imprisoned"}},
			{Benefit: "OLDER", DueOn: schemas.DateOf(2024, 8, 31), Reasons: []string{"imprisoned"}},
			{Benefit: "PENSION", DueOn: schemas.DateOf(2024, 6, 30)},
		},
	}, at, clock)
	return row
}

// Nobody who is stopped for a reason is written to: the index has only the
// lapse of such an enrolment.
func TestIndexHasNoMessagesOfTheSuspended(t *testing.T) {
	row := someRow(t)
	row.Citizen.enrolments = row.Citizen.enrolments[:1]
	var kinds []Kind
	row.Citizen.Due("c1", func(due Due) { kinds = append(kinds, due.Kind) })
	if !slices.Equal(kinds, []Kind{Lapse}) {
		t.Errorf("an enrolment that is suspended has entries of the kinds %v in the index, want its lapse alone", kinds)
	}
}

func TestRowsOfOtherFormatsAreRefused(t *testing.T) {
	row := AppendRow(nil, someRow(t))
	newer := append([]byte{rowVersion + 1}, row[1:]...)
	if _, err := DecodeRow(newer); err == nil || !strings.Contains(err.Error(), "use the version that wrote it") {
		t.Errorf("a row of a later format: %v", err)
	}
	if err := DueEntries("c1", newer, func([]byte) { t.Error("a row of a later format has entries") }); err == nil {
		t.Error("the index takes a row of a later format for one without entries")
	}
	for cut := range row {
		if _, err := DecodeRow(row[:cut]); err == nil {
			t.Errorf("a row cut off at byte %d of %d is read", cut, len(row))
		}
	}
	if _, err := DecodeRow(append(slices.Clone(row), 0)); err == nil {
		t.Error("a row with a byte behind its end is read")
	}
	flagged, hash := slices.Clone(row), someRow(t).Citizen.catalogue
	flagged[bytes.Index(row, hash[:])+len(hash)] |= citizenUnknown << 1
	if _, err := DecodeRow(flagged); err == nil {
		t.Error("a row with a part that this program does not know is read")
	}
	passing := AppendRow(nil, &Row{Partition: &Partition{Pass: true}})
	passing[len(passing)-2] = 2 // before the empty cursor of the pass
	if _, err := DecodeRow(passing); err == nil {
		t.Error("a pass that is neither under way nor not is read")
	}
	for _, entry := range []string{"", "12345678\x00", "12345678c1\x00\x03", "12345678c1\x01\x00"} {
		if _, err := DecodeDue([]byte(entry)); err == nil {
			t.Errorf("%q is read as an entry of the index", entry)
		}
	}
}

// FuzzDecodeRow: whatever the bytes, a row is read or refused, and what is read
// is written as it was.
func FuzzDecodeRow(f *testing.F) {
	f.Add([]byte{rowVersion, 0})
	f.Add(AppendRow(nil, someRow(f)))
	f.Add(AppendRow(nil, &Row{Partition: NewPartition()}))
	used := someRow(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := DecodeRow(b)
		if indexed := DueEntries("c1", b, func([]byte) {}); err == nil && indexed != nil {
			t.Fatalf("a row can be read but not indexed: %v", indexed)
		}
		if err != nil {
			return
		}
		written := AppendRow(nil, row)
		err = DecodeRowInto(used, written)
		if err != nil || !bytes.Equal(AppendRow(nil, used), written) {
			t.Fatalf("%x is written as %x, which is read into a used row as another (%v)", b, written, err)
		}
	})
}
