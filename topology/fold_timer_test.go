package topology

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/schemas/facts"
)

// The time in which the lives of a test play, and after which all arrives.
var (
	lifeBegins = schemas.Instant(schemas.DateOf(2023, 6, 1)) * schemas.Day
	lifeEnds   = schemas.Instant(schemas.DateOf(2025, 6, 1)) * schemas.Day
)

func factLine(topic string, record any) facts.Line {
	value, err := json.Marshal(record)
	if err != nil {
		panic(err)
	}
	return facts.Line{Topic: topic, At: lifeEnds + 30*schemas.Day, Value: value}
}

func drawDay(t *rapid.T, label string) schemas.Instant {
	return lifeBegins + schemas.Instant(rapid.IntRange(0, int((lifeEnds-lifeBegins)/schemas.Day)).Draw(t, label))*schemas.Day
}

// drawFactLines draws roster entries that tie, evidence of every effect, a few
// retractions, within the bounds of law 1, corrections, and ticks, of two
// citizens. The versions of one identity are beside one another.
func drawFactLines(t *rapid.T, c *catalogue.Catalogue) (lines []facts.Line) {
	codes := []string{"FACE_SELF", "FACE_SELF", "HOME_CERT", "RAIL_BOARD", "BUS_TAP", "DEATH_CERT", "CREMATION", "IMPRISON", "RELEASE"}
	for i := range rapid.IntRange(1, 8).Draw(t, "entries") {
		e := schemas.RosterEntry{
			EntryID: fmt.Sprint("r", i), CitizenID: rapid.SampledFrom([]string{"c1", "c2"}).Draw(t, "citizen"),
			Benefit: rapid.SampledFrom([]string{"URRP", "UEP", "RDIBAO", "NDSA"}).Draw(t, "benefit"), Op: schemas.Enrol,
			RecordedAt:  lifeBegins + schemas.Instant(rapid.IntRange(0, 2).Draw(t, "recorded"))*schemas.Day,
			EffectiveOn: schemas.Date(lifeBegins/schemas.Day) - schemas.Date(rapid.IntRange(0, 700).Draw(t, "effective")),
			Attributes:  map[string]string{},
		}
		if rapid.IntRange(0, 4).Draw(t, "withdrawn") == 0 {
			e.Op = schemas.Withdraw
		}
		lines = append(lines, factLine(Roster, &e))
	}
	amended := map[string]bool{} // one of a kind, at most
	for i := range rapid.IntRange(0, 14).Draw(t, "records") {
		code := rapid.SampledFrom(codes).Draw(t, "kind")
		kind, _ := c.KindIndex(code)
		e := schemas.Evidence{EvidenceID: fmt.Sprint("e", i), CitizenID: rapid.SampledFrom([]string{"c1", "c2"}).Draw(t, "citizen"),
			Kind: code, Source: c.Kinds[kind].Source, Op: schemas.Assert,
			OccurredAt: drawDay(t, "occurred"), Attributes: map[string]string{}}
		e.RecordedAt = e.OccurredAt
		lines = append(lines, factLine(Evidence, &e))
		if amended[code] || rapid.IntRange(0, 2).Draw(t, "amended") > 0 {
			continue
		}
		amended[code] = true
		e.RecordedAt += 20 * schemas.Day
		if e.Op = schemas.Retract; rapid.Bool().Draw(t, "corrected") {
			e.Op, e.OccurredAt = schemas.Assert, e.OccurredAt-40*schemas.Day
		}
		lines = append(lines, factLine(Evidence, &e))
	}
	for range rapid.IntRange(0, 6).Draw(t, "ticks") {
		lines = append(lines, factLine(Clock, &schemas.ClockTick{At: drawDay(t, "tick")}))
	}
	return lines
}

// identityOf names the evidence record that a line is a version of.
func identityOf(t *rapid.T, line facts.Line) string {
	if line.Topic != Evidence {
		return ""
	}
	e, err := facts.Decode[schemas.Evidence](line.Value)
	if err != nil {
		t.Fatal(err)
	}
	return e.EvidenceID
}

// standingTable folds lines, a last tick behind them, and gives the topic
// standing as compaction leaves it, without since when.
func standingTable(t *rapid.T, f *Fold, lines []facts.Line) string {
	lines = append(slices.Clone(lines), factLine(Clock, &schemas.ClockTick{At: lifeEnds}))
	rows := map[string]string{}
	for _, line := range lines {
		for _, output := range f.Step(line) {
			if output.Topic == Quarantine {
				t.Fatalf("a fact is quarantined: %s", output.Reason)
			}
			if output.Topic != Standing {
				continue
			}
			rows[*output.Key] = "gone"
			if s, is := output.Value.(*schemas.Standing); is {
				text, _ := json.Marshal(s.Benefits)
				rows[*output.Key] = string(text)
			}
		}
	}
	var table []string
	for _, id := range []string{"c1", "c2"} {
		if row := rows[id]; row != "" && row != "gone" {
			table = append(table, id+" "+row)
		}
	}
	return strings.Join(table, "\n")
}

// TestLawStandingIsOrderFree: whatever the order of arrival, of ticks too, the
// table of standing comes to say the same. (A correction never comes before
// what it corrects: SPEC section 3 leaves that out.)
func TestLawStandingIsOrderFree(t *testing.T) {
	c := exampleCatalogue(t, "testdata/examples/awkward/1.facts.ndjson")
	statuses := map[schemas.Status]bool{}
	rapid.Check(t, func(t *rapid.T) {
		lines := drawFactLines(t, c)
		shuffled := rapid.Permutation(lines).Draw(t, "order")
		versions := map[string][]facts.Line{}
		for _, line := range lines {
			versions[identityOf(t, line)] = append(versions[identityOf(t, line)], line)
		}
		for i, line := range shuffled {
			if id := identityOf(t, line); id != "" {
				shuffled[i], versions[id] = versions[id][0], versions[id][1:]
			}
		}
		one, other := standingTable(t, NewFold(c), lines), standingTable(t, NewFold(c), shuffled)
		if one != other {
			t.Fatalf("in the order drawn:\n%s\nin another:\n%s", one, other)
		}
		for _, status := range []schemas.Status{schemas.Good, schemas.Lapsed, schemas.Suspended, schemas.Terminated} {
			statuses[status] = statuses[status] || strings.Contains(one, `"`+string(status)+`"`)
		}
	})
	for _, status := range []schemas.Status{schemas.Good, schemas.Lapsed, schemas.Suspended, schemas.Terminated} {
		if !statuses[status] {
			t.Errorf("nobody came to stand as %s", status)
		}
	}
}

// A citizen of whom something new is known every month, and whose due date
// stays, waits in the fold once.
func TestFoldHoldsWhatIsDueOnce(t *testing.T) {
	c := exampleCatalogue(t, "testdata/examples/awkward/1.facts.ndjson")
	timer := newTimerFold(c)
	entry := schemas.ScheduleEntry{CitizenID: "c1", Benefits: []schemas.ScheduledBenefit{{Benefit: "URRP", DueOn: schemas.DateOf(2024, 5, 31)}}}
	timer.entry("c1", &entry, lifeBegins)
	held := len(timer.due)
	for month := range schemas.Instant(12) {
		timer.entry("c1", &entry, lifeBegins+month*30*schemas.Day)
	}
	if held == 0 || len(timer.due) != held {
		t.Errorf("after a year the fold holds %d that are due, want %d", len(timer.due), held)
	}
	timer.tick(&schemas.ClockTick{At: lifeEnds})
	entry.Benefits[0].DueOn--
	if timer.entry("c1", &entry, lifeEnds); len(timer.due) != 0 {
		t.Errorf("the fold holds %d that the clock has passed, want none", len(timer.due))
	}
}
