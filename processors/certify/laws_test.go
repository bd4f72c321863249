package certify

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// awkward is a catalogue with every rule, exemption and effect in it.
func awkward(t testing.TB) *catalogue.Catalogue {
	t.Helper()
	text, err := os.ReadFile("testdata/catalogue.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalogue.Load("testdata/catalogue.json", text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fact is one input of the citizen under test, or a tick of the partition.
type fact struct {
	Record any
	Key    string
	At     schemas.Instant
}

const someone = "c1"

// The days on which the facts of a test lie: two years.
var (
	firstDay = schemas.DateOf(2023, 1, 1)
	lastDay  = schemas.DateOf(2025, 1, 1)
)

func drawInstant(t *rapid.T, label string) schemas.Instant {
	return schemas.Instant(rapid.Int64Range(int64(firstDay)*int64(schemas.Day), int64(lastDay)*int64(schemas.Day)).Draw(t, label))
}

// Few codes, so that they meet.
var (
	someBenefits = []string{"URRP", "UEP", "GIP", "WIDA", "WISP", "VETREG", "OLDAGE", "NDSA"}
	someKinds    = []string{"INPT_ADMIT", "RAIL_BOARD", "FACE_SELF", "VET_CONFIRM", "BUS_TAP", "PHARM_SWIPE", "CARD_SPEND", "PHONE_ACTIVE",
		"DEATH_CERT", "CREMATION", "FUNERAL_CLAIM", "MEDINS_TERM", "COURT_MISSING", "IMPRISON", "RELEASE", "HUKOU_OTHER"}
)

func drawEvidence(t *rapid.T, c *catalogue.Catalogue, id string) *schemas.Evidence {
	code := rapid.SampledFrom(someKinds).Draw(t, "kind")
	kind, _ := c.KindIndex(code)
	occurred := drawInstant(t, "occurred")
	return &schemas.Evidence{
		EvidenceID: id, CitizenID: someone, Kind: code, Source: c.Kinds[kind].Source, Op: schemas.Assert,
		OccurredAt: occurred, RecordedAt: occurred + schemas.Instant(rapid.Int64Range(0, 40).Draw(t, "recorded days after"))*schemas.Day,
	}
}

func drawEntry(t *rapid.T, id string) *schemas.RosterEntry {
	e := &schemas.RosterEntry{
		EntryID: id, CitizenID: someone, Benefit: rapid.SampledFrom(someBenefits).Draw(t, "benefit"), Op: schemas.Enrol,
		RecordedAt:  firstDayInstant + schemas.Instant(rapid.Int64Range(0, 3).Draw(t, "recorded on day"))*schemas.Day, // few, so that they tie
		EffectiveOn: firstDay - schemas.Date(rapid.Int32Range(-400, 4000).Draw(t, "effective")),
		Region:      rapid.SampledFrom([]string{"", "341602", "341621"}).Draw(t, "region"),
	}
	if rapid.IntRange(0, 4).Draw(t, "withdrawn") == 0 {
		e.Op = schemas.Withdraw
	}
	e.DueOn = drawOptional(t, "due", func() schemas.Date { return firstDay + schemas.Date(rapid.Int32Range(0, 900).Draw(t, "due on")) })
	e.LastCertifiedOn = drawOptional(t, "last certified", func() schemas.Date { return firstDay - schemas.Date(rapid.Int32Range(0, 900).Draw(t, "last")) })
	e.Phone = drawOptional(t, "phone", func() string { return rapid.SampledFrom([]string{"", "138", "139"}).Draw(t, "number") })
	e.Payee = drawOptional(t, "payee", func() string { return rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "account") })
	e.BirthOn = drawOptional(t, "birth", func() schemas.Date { return firstDay - schemas.Date(rapid.Int32Range(6000, 30000).Draw(t, "born")) })
	return e
}

const firstDayInstant = schemas.Instant(19358) * schemas.Day

func drawOptional[T any](t *rapid.T, label string, draw func() T) *T {
	if !rapid.Bool().Draw(t, label+" given") {
		return nil
	}
	value := draw()
	return &value
}

// drawFacts draws a life: roster entries, evidence, a few of it repeated,
// retracted or corrected within the bounds of law 1, and ticks.
func drawFacts(t *rapid.T, c *catalogue.Catalogue) []fact {
	var facts []fact
	add := func(record any) {
		facts = append(facts, fact{record, someone, schemas.Instant(lastDay+60) * schemas.Day})
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "entries") {
		add(drawEntry(t, fmt.Sprint("r", i)))
	}
	amendedStrong, amendedAdverse := 0, map[string]bool{}
	for i := range rapid.IntRange(0, 30).Draw(t, "records") {
		e := drawEvidence(t, c, fmt.Sprint("e", i))
		add(e)
		if rapid.IntRange(0, 3).Draw(t, "amended") > 0 {
			continue
		}
		kind, _ := c.KindIndex(e.Kind)
		if c.Kinds[kind].Strength == catalogue.Strong && amendedStrong == 3 || amendedAdverse[e.Kind] {
			continue
		}
		if c.Kinds[kind].Strength == catalogue.Strong {
			amendedStrong++
		} else {
			amendedAdverse[e.Kind] = true
		}
		amended := *e
		amended.RecordedAt += schemas.Instant(rapid.Int64Range(0, 90).Draw(t, "amended days after")) * schemas.Day
		if rapid.Bool().Draw(t, "retracted") {
			amended.Op = schemas.Retract
		} else {
			amended.OccurredAt -= schemas.Instant(rapid.Int64Range(0, 400).Draw(t, "moved days")) * schemas.Day
			amended.RecordedAt++
		}
		add(&amended)
	}
	for range rapid.IntRange(0, 5).Draw(t, "ticks") {
		add(&schemas.ClockTick{At: drawInstant(t, "tick")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "repeats") {
		if len(facts) > 0 {
			facts = append(facts, rapid.SampledFrom(facts).Draw(t, "repeated"))
		}
	}
	return facts
}

// live folds a life and gives every decision, as JSON.
func live(rules *Rules, facts []fact, between func(*Citizen) *Citizen) (row *Citizen, clock schemas.Instant, decisions []string) {
	row, clock = new(Citizen), NoTick
	for _, f := range facts {
		if tick, is := f.Record.(*schemas.ClockTick); is {
			clock, _ = OnTick(clock, tick)
			continue
		}
		decision, refusal := rules.Step(row, f.Key, f.Record, f.At, clock)
		said, err := json.Marshal(decision)
		if err != nil {
			panic(err)
		}
		decisions = append(decisions, fmt.Sprint(refusal, string(said)))
		row = between(row)
	}
	return row, clock, decisions
}

func same(row *Citizen) *Citizen { return row }

// standing is what law 1 speaks of.
func standing(rules *Rules, row *Citizen) string {
	var v view
	rules.derive(row, &v)
	text := fmt.Sprint(v.reasons, v.region, deref(v.phone))
	for _, n := range v.enrolments {
		text += fmt.Sprint("\n", rules.catalogue.Benefits[n.benefit].Code, " due ", n.dueOn)
	}
	return text
}

func deref(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}

// TestLawOrderFree: whatever the order of arrival, a citizen comes to stand in
// the same place. (A correction never comes before what it corrects: SPEC
// section 3 leaves that out.)
func TestLawOrderFree(t *testing.T) {
	c := awkward(t)
	rapid.Check(t, func(t *rapid.T) {
		facts := drawFacts(t, c)
		shuffled := rapid.Permutation(facts).Draw(t, "order")
		restoreCorrections(facts, shuffled)
		rules := New(c)
		one, clockOne, _ := live(rules, facts, same)
		other, clockOther, _ := live(rules, shuffled, same)
		if a, b := standing(rules, one), standing(rules, other); a != b || clockOne != clockOther {
			t.Fatalf("in the order drawn:\n%s\nin another:\n%s", a, b)
		}
	})
}

// restoreCorrections puts versions of one evidence record into the order in
// which they came before the shuffle, in the places that they have now.
func restoreCorrections(facts, shuffled []fact) {
	identity := func(f fact) string {
		if e, is := f.Record.(*schemas.Evidence); is {
			return e.EvidenceID
		}
		return ""
	}
	next := map[string][]fact{}
	for _, f := range facts {
		next[identity(f)] = append(next[identity(f)], f)
	}
	for i, f := range shuffled {
		if id := identity(f); id != "" {
			shuffled[i], next[id] = next[id][0], next[id][1:]
		}
	}
}

// TestLawDeterministic: the same records in the same order give the same
// decisions, also if after each step the row goes to bytes and comes back, as
// it does between two transactions.
func TestLawDeterministic(t *testing.T) {
	c := awkward(t)
	rapid.Check(t, func(t *rapid.T) {
		facts := drawFacts(t, c)
		_, _, one := live(New(c), facts, same)
		_, _, other := live(New(c), facts, func(row *Citizen) *Citizen {
			bytes := AppendRow(nil, &Row{Citizen: *row})
			back, err := DecodeRow(bytes)
			if err != nil {
				t.Fatal(err)
			}
			if again := AppendRow(nil, back); !slices.Equal(bytes, again) {
				t.Fatalf("a row of %d bytes came back as one of %d", len(bytes), len(again))
			}
			return &back.Citizen
		})
		for i := range one {
			if one[i] != other[i] {
				t.Fatalf("step %d, with the row kept:\n%s\nwith the row gone through bytes:\n%s", i, one[i], other[i])
			}
		}
	})
}
