package certify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// edited is the text of a catalogue that is being changed.
type edited map[string]any

// entry finds a coded thing in one of the lists.
func (c edited) entry(list, code string) map[string]any {
	for _, entry := range c[list].([]any) {
		if entry := entry.(map[string]any); entry["code"] == code {
			return entry
		}
	}
	panic("the catalogue of the tests has no " + code)
}

func (c edited) benefit(code string) map[string]any { return c.entry("benefits", code) }
func (c edited) kind(code string) map[string]any    { return c.entry("evidence_kinds", code) }

// remove takes coded things out of a list, and out of every exclusive_with.
func (c edited) remove(list string, codes ...string) {
	isOne := func(code any) bool { return slices.Contains(codes, code.(string)) }
	c[list] = slices.DeleteFunc(c[list].([]any), func(entry any) bool { return isOne(entry.(map[string]any)["code"]) })
	for _, b := range c["benefits"].([]any) {
		if excludes, is := b.(map[string]any)["exclusive_with"].([]any); is {
			b.(map[string]any)["exclusive_with"] = slices.DeleteFunc(excludes, isOne)
		}
	}
}

// changes are what a later version of the catalogue may say, by name.
var changes = map[string]func(edited){
	"nothing": func(edited) {},
	"other cycles": func(c edited) {
		for code, months := range map[string]int{"URRP": 24, "UEP": 6, "GIP": 6, "WISP": 12, "OLDAGE": 3, "NDSA": 12, "VETREG": 2} {
			c.benefit(code)["cycle_months"] = months
		}
	},
	"other rules": func(c edited) {
		c.benefit("URRP")["rule"] = "fixed_window"
		c.benefit("URRP")["windows"] = []any{map[string]any{"from": "03-01", "to": "05-31"}}
		c.benefit("WIDA")["rule"] = "rolling_day"
		delete(c.benefit("WIDA"), "windows")
		c.benefit("VETREG")["rule"] = "anniversary"
		c.benefit("GIP")["rule"] = "rolling_month_end"
	},
	"other bases": func(c edited) {
		delete(c.benefit("OLDAGE"), "counts_from")
		c.benefit("URRP")["counts_from"] = "2024-02-01"
		c.benefit("WISP")["exempt_until_age"] = 30
	},
	"lapse and ripeness": func(c edited) {
		for _, b := range c["benefits"].([]any) {
			b.(map[string]any)["grace_days"] = 60
			b.(map[string]any)["renew_after_months"] = 1
		}
		c["no_lapse"] = []any{map[string]any{"from": "2024-04-01", "to": "2024-06-30"}}
	},
	"benefits gone": func(c edited) { c.remove("benefits", "UEP", "VETREG", "OLDAGE") },
	"kinds gone":    func(c edited) { c.remove("evidence_kinds", "INPT_ADMIT", "BUS_TAP", "DEATH_CERT", "COURT_MISSING") },
	"other scopes": func(c edited) {
		c.benefit("VETREG")["accepts"] = "all"
		c.benefit("UEP")["accepts"] = []any{"FACE_SELF", "RAIL_BOARD"}
		c.benefit("OLDAGE")["accepts"] = "own"
	},
	"one scope": func(c edited) { delete(c.benefit("VETREG"), "accepts") },
	"other strengths": func(c edited) {
		c.kind("BUS_TAP")["strength"], c.kind("RAIL_BOARD")["strength"] = "strong", "weak"
		c.kind("FACE_SELF")["assurance"] = "C"
		c.kind("CARD_SPEND")["strength"], c.kind("CARD_SPEND")["effect"] = "adverse", "review"
		delete(c.kind("CARD_SPEND"), "assurance")
	},
	"other reasons": func(c edited) {
		c["death_needs"] = 1
		c.kind("COURT_MISSING")["lifted_by"] = []any{"VET_CONFIRM"}
		c.kind("IMPRISON")["reason"] = "in_prison"
	},
}

// changed gives the catalogue of the tests with a change, as version 2.
func changed(t testing.TB, name string, change func(edited)) *catalogue.Catalogue {
	t.Helper()
	c := edited{}
	if err := json.Unmarshal(readFile(t, "testdata/catalogue.json"), &c); err != nil {
		t.Fatal(err)
	}
	c["version"] = 2
	change(c)
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := catalogue.Load(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// versions are the catalogues that the laws take turns with, by what each changes.
func versions(t testing.TB) (names []string, byName map[string]*catalogue.Catalogue) {
	byName = map[string]*catalogue.Catalogue{}
	for name, change := range changes {
		names = append(names, name)
		byName[name] = changed(t, name, change)
	}
	slices.Sort(names)
	return names, byName
}

// drawVersion draws one of them.
func drawVersion(t *rapid.T, names []string, byName map[string]*catalogue.Catalogue, label string) *catalogue.Catalogue {
	return byName[rapid.SampledFrom(names).Draw(t, label)]
}

// asHeld is the model of the facts that a row holds, under a catalogue.
func asHeld(rules *Rules, row *Citizen) *model {
	m := &model{rules.catalogue, map[[2]string]*schemas.Evidence{}, map[string]*schemas.RosterEntry{}}
	for i := range row.evidence {
		e := &row.evidence[i]
		record := &schemas.Evidence{
			EvidenceID: e.id.text(), CitizenID: someone, Kind: e.kind, Source: e.source, Op: schemas.Assert,
			OccurredAt: e.occurredAt, RecordedAt: e.recordedAt,
		}
		if e.retracted {
			record.Op = schemas.Retract
		}
		m.take(rules, fact{record, someone, lateArrival})
	}
	for i := range row.entries {
		entry := row.entries[i].RosterEntry
		entry.CitizenID = someone
		m.take(rules, fact{&entry, someone, lateArrival})
	}
	return m
}

// redecide decides a citizen anew and complains where a promise about the pass
// itself is broken.
func redecide(t rapid.TB, rules *Rules, row *Citizen, clock schemas.Instant) Decision {
	t.Helper()
	before := AppendRow(nil, &Row{Citizen: *row})
	d := rules.Redecide(row, someone, clock)
	after := AppendRow(nil, &Row{Citizen: *row})
	if len(d.Alerts)+len(d.Completed)+len(d.Revoked) > 0 || d.Count != "" {
		t.Fatalf("a pass says %+v", d)
	}
	if d.Changed == bytes.Equal(before, after) {
		t.Fatalf("the row is said to have changed: %t\nbefore %x\nafter  %x", d.Changed, before, after)
	}
	if (d.Schedule != nil) != (len(row.entries) > 0) {
		t.Fatalf("of %d entries the timer is told %+v", len(row.entries), d.Schedule)
	}
	d.Changed = false
	once, _ := json.Marshal(d)
	again := New(rules.catalogue).Redecide(row, someone, clock)
	if twice, _ := json.Marshal(again); again.Changed || string(twice) != string(once) {
		t.Fatalf("decided anew once:\n%s\ntwice:\n%s, changed: %t", once, twice, again.Changed)
	}
	return d
}

// scheduled tells a ScheduleEntry as standing tells a row.
func scheduled(s *schemas.ScheduleEntry, reasons []string) string {
	text := fmt.Sprint(reasons, s.Region, deref(s.Phone))
	for _, b := range s.Benefits {
		if !slices.Equal(b.Reasons, reasons) {
			text += fmt.Sprint("\nreasons ", b.Reasons)
		}
		text += fmt.Sprint("\n", b.Benefit, " due ", b.DueOn)
	}
	return text
}

// TestLawRedecided: a citizen who was decided under one catalogue and is
// decided anew under another stands as the specification says of the facts
// held, under the other. (With TestLawStandingIsOfTheSet: like one who was
// decided under it from the start, as far as nothing was let go of.) The timer
// is told so, and every payee of an enrolment is claimed.
func TestLawRedecided(t *testing.T) {
	names, byName := versions(t)
	rapid.Check(t, func(t *rapid.T) {
		facts := drawShuffled(t, drawFacts(t, byName["nothing"]))
		row, clock, _ := live(New(drawVersion(t, names, byName, "first")), facts, same)
		rules := New(drawVersion(t, names, byName, "then"))
		m, before := asHeld(rules, row), slices.Clone(row.entries)
		d := redecide(t, rules, row, clock)
		onlyLowered(t, rules, before, row)
		want := m.standing()
		if got := standing(rules, row); got != want {
			t.Fatalf("decided anew the citizen stands\n%s\nby the facts that were held\n%s", got, want)
		}
		if d.Schedule == nil {
			return
		}
		if got := scheduled(d.Schedule, m.reasons()); got != want || d.Schedule.CitizenID != someone || d.Schedule.Catalogue != rules.catalogue.Hash() {
			t.Fatalf("the timer is told\n%s\nof\n%s", got, want)
		}
		if told := d.Schedule.Clock; (told == nil) != (clock == NoTick) || told != nil && *told != clock {
			t.Fatalf("the clock stands at %d, and the timer is told %v", clock, told)
		}
		var claims []schemas.PayeeClaim
		for i := range row.entries {
			if e := &row.entries[i]; row.payee(e.Benefit) != "" {
				claims = append(claims, schemas.PayeeClaim{Payee: *e.Payee, CitizenID: someone, Benefit: e.Benefit, Claims: m.entries[e.Benefit] != nil})
			}
		}
		if !slices.Equal(d.Claims, claims) {
			t.Fatalf("claimed is %+v, want %+v", d.Claims, claims)
		}
	})
}

// onlyLowered complains if a pass has changed anything about the entries but an
// announced_until above the due date.
func onlyLowered(t rapid.TB, rules *Rules, before []entry, row *Citizen) {
	t.Helper()
	var v view
	rules.derive(row, &v)
	for i := range v.enrolments {
		if was := &before[v.enrolments[i].entry]; was.announced {
			was.announcedUntil = min(was.announcedUntil, v.enrolments[i].dueOn)
		}
	}
	want := describe(&Row{Citizen: Citizen{entries: before}})
	if got := describe(&Row{Citizen: Citizen{entries: row.entries}}); got != want {
		t.Fatalf("the entries are\n%s\nand not\n%s", got, want)
	}
}

// TestLawNextInput: what comes after a citizen was decided anew revokes nothing
// but what it itself moves; and until something moves, no enrolment is
// announced of which less holds than was announced.
func TestLawNextInput(t *testing.T) {
	names, byName := versions(t)
	rapid.Check(t, func(t *rapid.T) {
		facts := drawShuffled(t, drawFacts(t, byName["nothing"]))
		so := rapid.IntRange(0, len(facts)).Draw(t, "decided before")
		row, clock, _ := live(New(drawVersion(t, names, byName, "first")), facts[:so], same)
		rules := New(drawVersion(t, names, byName, "then"))
		before := announcedUntil(row)
		redecide(t, rules, row, clock)
		lowered := map[string]bool{}
		for benefit, until := range announcedUntil(row) {
			lowered[benefit] = until < before[benefit]
		}
		moved := false
		for _, f := range append(rapid.Permutation(facts[:so]).Draw(t, "repeated"), facts[so:]...) {
			if _, is := f.Record.(*schemas.ClockTick); is {
				continue
			}
			d := nextInput(t, rules, row, f, clock)
			moved = moved || d.Count == Applied || d.Count == NotHeld && d.Changed
			for _, c := range d.Completed {
				for _, b := range c.Benefits {
					if !moved && lowered[b.Benefit] {
						t.Fatalf("what moved nothing announced %+v, of which less holds than was announced", b)
					}
				}
			}
		}
	})
}

// nextInput decides a fact and complains of a revocation that it is no cause of.
func nextInput(t rapid.TB, rules *Rules, row *Citizen, f fact, clock schemas.Instant) Decision {
	t.Helper()
	var stood view
	rules.look(row)
	rules.derive(row, &stood)
	d, _ := rules.Step(row, f.Key, f.Record, f.At, clock)
	for _, r := range d.Revoked {
		for _, b := range r.Benefits {
			place, _ := rules.catalogue.BenefitIndex(b.Benefit)
			if was := stood.find(place); was == nil || b.DueOn >= was.dueOn {
				t.Fatalf("%+v is revoked, and the enrolment stood as %+v before", b, was)
			}
		}
	}
	return d
}

// announcedUntil is what was announced last, by benefit.
func announcedUntil(row *Citizen) map[string]schemas.Date {
	all := map[string]schemas.Date{}
	for i := range row.entries {
		if e := &row.entries[i]; e.announced {
			all[e.Benefit] = e.announcedUntil
		}
	}
	return all
}

// TestLawResendIsInvisible: to say everything again, between any two inputs,
// changes no row and no later decision.
func TestLawResendIsInvisible(t *testing.T) {
	c := awkward(t)
	rapid.Check(t, func(t *rapid.T) {
		facts := drawShuffled(t, drawFacts(t, c))
		_, _, one := live(New(c), facts, same)
		_, _, other := live(New(c), facts, func(row *Citizen) *Citizen {
			if rapid.Bool().Draw(t, "resend") && New(c).Redecide(row, someone, NoTick).Changed {
				t.Fatal("the row has changed")
			}
			return row
		})
		if !slices.Equal(one, other) {
			t.Fatalf("without it:\n%s\nwith it:\n%s", strings.Join(one, "\n"), strings.Join(other, "\n"))
		}
	})
}

// TestLawsOfThePassReachEverything: the lives and the catalogues that the laws
// are tried on come to lower due dates, rows that must shrink, benefits and
// kinds that are gone, and inputs that announce or revoke afterwards.
func TestLawsOfThePassReachEverything(t *testing.T) {
	const lives = 300
	names, byName := versions(t)
	life := rapid.Custom(func(t *rapid.T) []fact { return drawShuffled(t, drawFacts(t, byName["nothing"])) })
	reached := map[string]int{}
	for seed := range lives {
		facts := life.Example(seed)
		so := len(facts) / 2
		row, clock, _ := live(New(byName[names[seed%len(names)]]), facts[:so], same)
		rules := New(byName[names[(seed/len(names)+seed)%len(names)]])
		before, heldBefore := announcedUntil(row), len(row.evidence)
		d := redecide(t, rules, row, clock)
		for benefit, until := range announcedUntil(row) {
			reached["lowered"] += int(flag(until < before[benefit], 1))
		}
		reached["let go"] += int(flag(len(row.evidence) < heldBefore, 1))
		reached["kind gone"] += int(flag(slices.ContainsFunc(row.evidence, func(e evidence) bool { return e.of == nil }), 1))
		for _, claim := range d.Claims {
			reached[fmt.Sprint("claims ", claim.Claims)]++
		}
		reached["no benefit left"] += int(flag(d.Schedule != nil && len(d.Schedule.Benefits) == 0, 1))
		for _, f := range facts {
			if _, is := f.Record.(*schemas.ClockTick); is {
				continue
			}
			next := nextInput(t, rules, row, f, clock)
			reached["announced after"] += len(next.Completed)
			reached["revoked after"] += len(next.Revoked)
			reached["repeated"] += int(flag(next.Count == Superseded, 1))
		}
	}
	t.Log(reached)
	for _, what := range []string{"lowered", "let go", "kind gone", "claims true", "claims false", "no benefit left", "announced after", "revoked after", "repeated"} {
		if reached[what] == 0 {
			t.Errorf("%s was never reached in %d lives", what, lives)
		}
	}
}

// What the bounds of the new catalogue leave is held, and no more, as if the
// next evidence had come. Records are sent oldest first.
func TestRedecideKeepsTheBounds(t *testing.T) {
	daily := func(kind, suffix string, month int) (all []sending) {
		for i := range 4 {
			all = append(all, sending{string(rune('a'+i)) + suffix, kind, schemas.DateOf(2024, month, 1+i)})
		}
		return all
	}
	for name, c := range map[string]struct {
		first, then  string
		sent         []sending
		before, want string
	}{
		"nothing has changed": {"nothing", "nothing", append(daily("FACE_SELF", "+", 4), daily("INPT_ADMIT", "", 5)...),
			"d c b a d+ c+ b+ a+", "d c b a d+ c+ b+ a+"},
		"a scope is gone": {"other scopes", "nothing", append(daily("NURSING_HOME", "+", 4), daily("INPT_ADMIT", "", 5)...),
			"d c b a d+ c+ b+ a+", "d c b a d+"},
		"no assurance A any more": {"nothing", "other strengths", append(daily("FACE_SELF", "+", 4), daily("INPT_ADMIT", "", 5)...),
			"d c b a d+ c+ b+ a+", "d c b a d+"},
		"weak from now on": {"nothing", "other strengths", daily("RAIL_BOARD", "", 5), "d c b a", "d"},
		"the kind is gone": {"nothing", "kinds gone", append(daily("DEATH_CERT", "+", 4), daily("INPT_ADMIT", "", 5)...),
			"d c b a d+ c+", "d c b a d+ c+"},
		"accepted by nobody": {"nothing", "one kind", append(daily("VET_CONFIRM", "+", 4), daily("INPT_ADMIT", "", 5)...),
			"d c b a d+ c+ b+ a+", "d+ c+ b+ a+"},
	} {
		version := func(name string) *Rules {
			if name == "one kind" {
				return New(oneKind(t))
			}
			return New(changed(t, name, changes[name]))
		}
		first, row := version(c.first), new(Citizen)
		for _, s := range c.sent {
			first.OnEvidence(row, saw(first, s.id, s.kind, s.at()), s.at(), NoTick)
		}
		if got := strings.Join(held(row), " "); got != c.before {
			t.Errorf("%s: held were %s, want %s", name, got, c.before)
		}
		d := redecide(t, version(c.then), row, NoTick)
		if got := strings.Join(held(row), " "); got != c.want {
			t.Errorf("%s: held are %s, want %s", name, got, c.want)
		}
		if d.Schedule != nil || d.Claims != nil {
			t.Errorf("%s: nobody is enrolled, and told is %+v", name, d)
		}
	}
}

// oneKind is a catalogue of which all benefits accept one kind. It is not among
// the changes: the model of the laws knows no bounds.
func oneKind(t testing.TB) *catalogue.Catalogue {
	return changed(t, "one kind", func(c edited) {
		for _, b := range c["benefits"].([]any) {
			b.(map[string]any)["accepts"] = []any{"VET_CONFIRM"}
		}
	})
}

// Where a row lies beyond the bounds of another catalogue, a record that is not
// held brings it within them: the row has changed, and what is decided rests on
// what is left of it.
func TestRecordThatIsNotHeldKeepsTheBounds(t *testing.T) {
	first, then, row := New(awkward(t)), New(oneKind(t)), new(Citizen)
	e := rosterEntry(0, "URRP")
	first.OnRoster(row, &e, noon(2024, 1, 1), NoTick)
	for i := range 4 {
		first.OnEvidence(row, saw(first, fmt.Sprint("v", i), "VET_CONFIRM", noon(2024, 4, 1+i)), noon(2024, 4, 1+i), NoTick)
		first.OnEvidence(row, saw(first, fmt.Sprint("i", i), "INPT_ADMIT", noon(2024, 5, 1+i)), noon(2024, 5, 1+i), NoTick)
	}
	if got := strings.Join(held(row), " "); got != "i3 i2 i1 i0 v3 v2 v1 v0" {
		t.Fatalf("held are %s", got)
	}
	d := then.OnEvidence(row, saw(then, "old", "INPT_ADMIT", noon(2024, 1, 2)), noon(2024, 5, 20), NoTick)
	if got := strings.Join(held(row), " "); got != "v3 v2 v1 v0" || d.Count != NotHeld || !d.Changed {
		t.Errorf("held are %s, decided is %+v", got, d)
	}
}
