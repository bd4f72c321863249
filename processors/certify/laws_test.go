package certify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// awkward is a catalogue with every rule, exemption and effect in it.
func awkward(t testing.TB) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Load("testdata/catalogue.json", readFile(t, "testdata/catalogue.json"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readFile(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
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

const firstAdverse = 8 // among someKinds

func drawEvidence(t *rapid.T, c *catalogue.Catalogue, id string) *schemas.Evidence {
	kinds := someKinds
	if rapid.Bool().Draw(t, "ordinary") {
		kinds = someKinds[:firstAdverse]
	}
	code := rapid.SampledFrom(kinds).Draw(t, "kind")
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

func drawPayout(t *rapid.T, id string) *schemas.Payout {
	return &schemas.Payout{
		PayoutID: id, CitizenID: someone, Benefit: rapid.SampledFrom(someBenefits).Draw(t, "paid benefit"),
		Period: fmt.Sprintf("2023-%02d", rapid.IntRange(1, 5).Draw(t, "period")), AmountFen: 100, PaidAt: drawInstant(t, "paid"),
	}
}

// drawSpoiled draws a record that is refused for one reason or another.
func drawSpoiled(t *rapid.T, c *catalogue.Catalogue) fact {
	e, r, p := drawEvidence(t, c, "spoiled"), drawEntry(t, "spoiled"), drawPayout(t, "spoiled")
	tick := &schemas.ClockTick{At: lateArrival}
	f := fact{rapid.SampledFrom([]any{e, r, p, tick}).Draw(t, "spoiled record"), someone, lateArrival}
	if f.Record == any(tick) {
		tick.At += rapid.SampledFrom([]schemas.Instant{tickAheadMax + 1, 400 * 366 * schemas.Day}).Draw(t, "tick ahead")
		return f
	}
	early := schemas.Instant(-200 * 366 * int64(schemas.Day))
	switch rapid.IntRange(0, 6).Draw(t, "spoiled by") {
	case 0:
		e.OccurredAt, r.RecordedAt, p.PaidAt = early, early, early
	case 1:
		e.EvidenceID, r.EntryID, p.PayoutID = "", "a\x00", strings.Repeat("7", idBytesMax+1)
	case 2:
		f.Key = "c2"
	case 3:
		e.Kind, r.Benefit, p.Benefit = "NO_SUCH", "NO_SUCH", "NO_SUCH"
	case 4:
		e.Source, r.Benefit, p.Period = "ORG", "NO_SUCH", "2023-13"
	case 5:
		ahead := lateArrival + 3*schemas.Day
		e.RecordedAt, r.RecordedAt, p.PaidAt = ahead, ahead, ahead
	default:
		e.Kind, r.Region, p.Benefit = "\xff", "\xff", "\xff"
	}
	return f
}

// lateArrival is the Kafka timestamp of all facts: behind all that they say.
const lateArrival = (firstDayInstant/schemas.Day + 800) * schemas.Day

// drawFacts draws a life: roster entries, evidence, a few of it repeated,
// retracted or corrected within the bounds of law 1, and ticks.
func drawFacts(t *rapid.T, c *catalogue.Catalogue) []fact {
	var facts []fact
	add := func(record any) {
		facts = append(facts, fact{record, someone, lateArrival})
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
	for i := range rapid.IntRange(0, 3).Draw(t, "payouts") {
		add(drawPayout(t, fmt.Sprint("p", i)))
	}
	for range rapid.IntRange(0, 2).Draw(t, "spoiled") {
		facts = append(facts, drawSpoiled(t, c))
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
			if rules.RefuseTick(tick, f.At) == Accepted {
				clock, _ = OnTick(clock, tick)
			}
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
	rules.look(row)
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
		shuffled := drawShuffled(t, facts)
		rules := New(c)
		one, clockOne, _ := live(rules, facts, same)
		other, clockOther, _ := live(rules, shuffled, same)
		if a, b := standing(rules, one), standing(rules, other); a != b || clockOne != clockOther {
			t.Fatalf("in the order drawn:\n%s\nin another:\n%s", a, b)
		}
	})
}

// drawShuffled puts facts into another order of arrival.
func drawShuffled(t *rapid.T, facts []fact) []fact {
	shuffled := rapid.Permutation(facts).Draw(t, "order")
	restoreCorrections(facts, shuffled)
	return shuffled
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
// it does between two transactions; always into the memory of the row before,
// whose bytes are gone by then.
func TestLawDeterministic(t *testing.T) {
	c := awkward(t)
	rapid.Check(t, func(t *rapid.T) {
		var back Row
		var before []byte
		facts := drawShuffled(t, drawFacts(t, c))
		_, _, one := live(New(c), facts, same)
		_, _, other := live(New(c), facts, func(row *Citizen) *Citizen {
			bytes := AppendRow(nil, &Row{Citizen: *row})
			if err := DecodeRowInto(&back, unsafe.String(&bytes[0], len(bytes))); err != nil {
				t.Fatal(err)
			}
			clear(before)
			before = bytes
			if again := AppendRow(nil, &back); !slices.Equal(bytes, again) {
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

// tally counts what became of facts.
type tally struct {
	inputs, counted, refused int
	reached                  map[string]int // counts, refusals, alert rules and events, by name
}

func (a *tally) reach(what string) {
	if a.reached == nil {
		a.reached = map[string]int{}
	}
	a.reached[what]++
}

// fold folds facts and complains of a step that breaks a promise to whoever
// keeps the row.
func (a *tally) fold(t rapid.TB, rules *Rules, facts []fact) {
	row, clock := new(Citizen), NoTick
	for i, f := range facts {
		a.inputs++
		var d Decision
		var refusal Refusal
		before := AppendRow(nil, &Row{Citizen: *row})
		if tick, is := f.Record.(*schemas.ClockTick); is {
			if refusal = rules.RefuseTick(tick, f.At); refusal == Accepted {
				clock, d.Count = OnTick(clock, tick)
			}
		} else {
			d, refusal = rules.Step(row, f.Key, f.Record, f.At, clock)
		}
		if !d.Changed && !bytes.Equal(before, AppendRow(nil, &Row{Citizen: *row})) {
			t.Fatalf("step %d is said to have changed nothing, but the row has changed", i)
		}
		if refusal != Accepted {
			a.refused++
			a.reach(string(refusal))
			if !slices.Contains(Refusals, refusal) || refusal.Explain() == "" || d.Count != "" {
				t.Fatalf("step %d is refused as %q, which says nothing, or counted as well: %q", i, refusal, d.Count)
			}
			continue
		}
		if !slices.Contains(Counts, d.Count) {
			t.Fatalf("step %d is neither refused nor counted: %q", i, d.Count)
		}
		a.counted++
		a.reach(string(d.Count))
		a.outputs(&d)
	}
}

func (a *tally) outputs(d *Decision) {
	for i := range d.Alerts {
		a.reach(d.Alerts[i].Rule)
	}
	for i := range d.Completed {
		a.reach("completed")
		for _, b := range d.Completed[i].Benefits {
			if b.Restores {
				a.reach("restores")
			}
			if !b.InTime {
				a.reach("late")
			}
		}
	}
	for i := range d.Revoked {
		a.reach("revoked")
		if d.Revoked[i].EvidenceID == "" {
			a.reach("revoked by an entry")
		}
	}
	for range d.Claims {
		a.reach("claim")
	}
	if d.Schedule != nil {
		a.reach("schedule")
	}
}

// TestLawNothingLost: every input is counted under one name or refused for one
// reason, and a row that a step has changed is said to have changed.
func TestLawNothingLost(t *testing.T) {
	c := awkward(t)
	rapid.Check(t, func(t *rapid.T) {
		var a tally
		a.fold(t, New(c), drawShuffled(t, drawFacts(t, c)))
		if a.counted+a.refused != a.inputs {
			t.Fatalf("%d counted and %d refused of %d", a.counted, a.refused, a.inputs)
		}
	})
}

// TestLawsReachEverything: the lives that the laws are tried on come to every
// count, every reason that a step can give, every alert and a revocation. The
// seeds are fixed, so that it is the same lives every time. (null_value and
// unknown_schema are given by whoever decodes.)
func TestLawsReachEverything(t *testing.T) {
	const lives = 400
	c := awkward(t)
	rules, life := New(c), rapid.Custom(func(t *rapid.T) []fact { return drawShuffled(t, drawFacts(t, c)) })
	var a tally
	for seed := range lives {
		a.fold(t, rules, life.Example(seed))
	}
	want := []string{"death_conflict", "posthumous_use", "needs_review", "exclusive_benefits",
		"completed", "restores", "late", "revoked", "revoked by an entry", "claim", "schedule"}
	for _, count := range Counts {
		want = append(want, string(count))
	}
	for _, refusal := range Refusals {
		if refusal != NullValue && refusal != UnknownSchema {
			want = append(want, string(refusal))
		}
	}
	for _, what := range want {
		if a.reached[what] == 0 {
			t.Errorf("%s was never reached in %d lives of %d facts", what, lives, a.inputs)
		}
	}
	t.Log(a.reached)
}
