package remind

import (
	"fmt"
	"testing"

	"github.com/vouch-engine/vouch/schemas"
)

// The rows of a storm: everybody has a row, and a reminder of one evening is
// due to each of them.
func storm(tb testing.TB, citizens int) (rules *Rules, rows [][]byte, entries [][]byte, interval Interval) {
	c, _, _ := catalogues(tb)
	rules = New(c)
	at := schemas.Instant(schemas.DateOf(2024, 5, 1)) * schemas.Day
	interval, _ = rules.OnTick(&Partition{Clock: at}, &schemas.ClockTick{At: at + schemas.Day})
	for i := range citizens {
		id := fmt.Sprintf("%018d", i)
		phone := "13805581234"
		leads := []schemas.Lead{{Kind: "FACE", Source: "HRSS", OccurredAt: at - schemas.Day}, {Kind: "BUS", Source: "TRANSPORT", OccurredAt: at - 2*schemas.Day}}
		row := &Row{}
		rules.OnEntry(&row.Citizen, &schemas.ScheduleEntry{CitizenID: id, Region: "341602", Phone: &phone, LastSeenAt: &leads[0].OccurredAt, Leads: leads, Weak: leads[1:],
			Benefits: []schemas.ScheduledBenefit{{Benefit: "INJURY", DueOn: schemas.DateOf(2024, 5, 31)}, {Benefit: "PENSION", DueOn: schemas.DateOf(2024, 5, 31)}}}, at, at)
		rows = append(rows, AppendRow(nil, row))
		row.Citizen.Due(id, func(due Due) {
			if interval.after < due.At && due.At <= interval.to {
				entries = append(entries, due.Append(nil))
			}
		})
	}
	return rules, rows, entries, interval
}

// BenchmarkFire asks what a fire costs beside the store and the log: its entry
// and its row from their bytes, and the judgement.
func BenchmarkFire(b *testing.B) {
	const citizens = 1000
	_, rows, entries, interval := storm(b, citizens)
	if len(entries) != citizens {
		b.Fatalf("%d are due, want %d", len(entries), citizens)
	}
	row := &Row{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		due, err := DecodeDue(entries[i%citizens])
		if err != nil {
			b.Fatal(err)
		}
		if err := DecodeRowInto(row, rows[i%citizens]); err != nil {
			b.Fatal(err)
		}
		if event, said := interval.Fire(&row.Citizen, due); !said || event.Reminder == nil {
			b.Fatalf("entry %d gave no reminder", i%citizens)
		}
	}
}

// BenchmarkEntry asks what an entry costs beside the store and the log: the row
// before it from its bytes, the step, the row after it to its bytes.
func BenchmarkEntry(b *testing.B) {
	const citizens = 1000
	rules, rows, _, _ := storm(b, citizens)
	at := schemas.Instant(schemas.DateOf(2024, 5, 1)) * schemas.Day
	phone := "13805581234"
	leads := []schemas.Lead{{Kind: "FACE", Source: "HRSS", OccurredAt: at - schemas.Day}, {Kind: "BUS", Source: "TRANSPORT", OccurredAt: at - 2*schemas.Day}}
	entry := &schemas.ScheduleEntry{Region: "341602", Phone: &phone, LastSeenAt: &leads[0].OccurredAt, Leads: leads, Weak: leads[1:],
		Benefits: []schemas.ScheduledBenefit{{Benefit: "INJURY", DueOn: schemas.DateOf(2024, 5, 31)}, {Benefit: "PENSION", DueOn: schemas.DateOf(2025, 5, 31)}}}
	var bytes []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		row, err := DecodeRow(rows[i%citizens])
		if err != nil {
			b.Fatal(err)
		}
		entry.CitizenID = fmt.Sprintf("%018d", i%citizens)
		if event, said := rules.OnEntry(&row.Citizen, entry, at, at); !said || event.Standing == nil {
			b.Fatal("another due date is no news")
		}
		bytes = AppendRow(bytes[:0], row)
	}
}

// BenchmarkDueEntries asks what the due index costs at each write of a row, and
// a restore for every row.
func BenchmarkDueEntries(b *testing.B) {
	const citizens = 1000
	_, rows, _, _ := storm(b, citizens)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		found := 0
		if err := DueEntries("341602199001011234", rows[i%citizens], func([]byte) { found++ }); err != nil || found != 8 {
			b.Fatalf("a row has %d entries, want 8 (%v)", found, err)
		}
	}
}
