package catalogue

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vouch-engine/vouch/schemas"
)

func TestShippedCatalogueHasTheArticlesShape(t *testing.T) {
	c := Default()
	count := map[Strength]int{}
	for _, k := range c.Kinds {
		count[k.Strength]++
	}
	if len(c.Departments) != 26 || len(c.Benefits) != 22 || count[Strong] != 39 || count[Weak] != 9 || count[Adverse] != 14 {
		t.Errorf("%d departments, %d benefits, kinds %v", len(c.Departments), len(c.Benefits), count)
	}
	entries, sources := strings.Count(string(DefaultText()), "  - code: "), strings.Count(string(DefaultText()), "    provenance: {status: ")
	if entries != 26+22+62 || sources != entries {
		t.Errorf("%d entries, of which %d say where they come from", entries, sources)
	}
}

func load(t testing.TB, text string) *Catalogue {
	t.Helper()
	c, err := Load("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const small = `
version: 3
departments: [{code: HRSS, name: {zh: 人社, en: Labour}}, {code: HEALTH, name: {zh: 卫健, en: Health}}]
benefits:
  - {code: URRP, name: {zh: 养老, en: Pension}, department: HRSS}
  - {code: CARE, name: {zh: 护理, en: Care}, department: HRSS, accepts: own, exclusive_with: [URRP]}
evidence_kinds:
  - {code: WARD, name: {zh: 住院, en: Hospital}, source: HEALTH, strength: strong, assurance: B}
  - {code: FACE, name: {zh: 人脸, en: Face}, source: HRSS, strength: strong, assurance: A, channel: self_service}
  - {code: JAIL, name: {zh: 收监, en: Prison}, source: HRSS, strength: adverse, effect: suspend, reason: in_custody, lifted_by: [FREE]}
  - {code: FREE, name: {zh: 释放, en: Release}, source: HRSS, strength: adverse, effect: lift}
`

// The canonical form is a contract: its hash travels in every output record.
func TestCanonicalForm(t *testing.T) {
	c := load(t, small)
	const want = `{"benefits":[{"accepts":"own","code":"CARE","cycle_months":12,"department":"HRSS","exclusive_with":["URRP"],"grace_days":0,"name":{"en":"Care","zh":"护理"},"reminders":[60,30,7],"renew_after_months":6,"rule":"rolling_month_end","visit_days":15},` +
		`{"accepts":"all","code":"URRP","cycle_months":12,"department":"HRSS","exclusive_with":[],"grace_days":0,"name":{"en":"Pension","zh":"养老"},"reminders":[60,30,7],"renew_after_months":6,"rule":"rolling_month_end","visit_days":15}],` +
		`"death_needs":2,"departments":[{"code":"HEALTH","name":{"en":"Health","zh":"卫健"}},{"code":"HRSS","name":{"en":"Labour","zh":"人社"}}],` +
		`"evidence_kinds":[{"assurance":"A","channel":"self_service","code":"FACE","name":{"en":"Face","zh":"人脸"},"source":"HRSS","strength":"strong"},` +
		`{"code":"FREE","effect":"lift","name":{"en":"Release","zh":"释放"},"source":"HRSS","strength":"adverse"},` +
		`{"code":"JAIL","effect":"suspend","lifted_by":["FREE"],"name":{"en":"Prison","zh":"收监"},"reason":"in_custody","source":"HRSS","strength":"adverse"},` +
		`{"assurance":"B","channel":"automatic","code":"WARD","name":{"en":"Hospital","zh":"住院"},"source":"HEALTH","strength":"strong"}],` +
		`"no_lapse":[],"payee_limit":3,"send_at":"09:00","spread_minutes":480,"version":3,"zone":"Asia/Shanghai"}`
	if got := string(c.Canonical()); got != want {
		t.Errorf("the canonical form is\n%s\nwant\n%s", got, want)
	}
	for name, same := range map[string]string{
		"comments and provenance": "# c\n" + strings.ReplaceAll(small, "effect: lift}", "effect: lift, provenance: {status: plausible, sources: []}}"),
		"defaults written out":    strings.ReplaceAll(small, "version: 3", "version: 3\ndeath_needs: 2\nsend_at: '09:00'"),
		"as JSON":                 string(c.Canonical()),
	} {
		if got := load(t, same).Hash(); got != c.Hash() {
			t.Errorf("%s: hash %s, want %s", name, got, c.Hash())
		}
	}
	if load(t, strings.ReplaceAll(small, "version: 3", "version: 4")).Hash() == c.Hash() {
		t.Error("another version has the same hash")
	}
}

func TestScopesAreDistinctSetsOfStrongKinds(t *testing.T) {
	c := load(t, small)
	if len(c.Scopes) != 2 {
		t.Fatalf("%d scopes, want 2", len(c.Scopes))
	}
	care, _ := c.BenefitIndex("CARE")
	face, _ := c.KindIndex("FACE")
	jail, _ := c.KindIndex("JAIL")
	ward, _ := c.KindIndex("WARD")
	if scope := c.Scopes[c.Benefits[care].Scope]; !scope.Has(face) || scope.Has(jail) || scope.Has(ward) {
		t.Errorf("the scope of own evidence is %v", scope)
	}
}

// Every mistake is reported at once, with its line and field.
func TestMistakesAreReportedTogether(t *testing.T) {
	text := `version: 0
zone: Asia/Nowhere
departments: [{code: HRSS, name: {zh: a, en: b}}, {code: HRSS, name: {zh: a, en: b}}]
benefits:
  - code: lower
    name: {zh: a, en: b}
    department: NONE
    cycle_month: 12
  - {code: W, name: {zh: a, en: b}, department: HRSS, rule: fixed_window, windows: [{from: "02-29", to: "06-30"}, {from: "03-01", to: "05-01"}]}
  - {code: R, name: {zh: a, en: b}, department: HRSS, cycle_months: 1, reminders: [28, 7, 7], visit_days: 28, accepts: [GONE], exclusive_with: [R]}
evidence_kinds:
  - {code: WEAK, name: {zh: a, en: b}, source: HRSS, strength: weak, assurance: E, channel: counter}
  - {code: JAIL, name: {zh: a, en: b}, source: HRSS, strength: adverse, effect: suspend, reason: lapsed, lifted_by: [WEAK]}
no_lapse: [{benefit: X, from: 2023-02-01, to: 2023-01-01}]
`
	_, err := Load("bad.yaml", []byte(text))
	if err == nil {
		t.Fatal("it was loaded")
	}
	for _, want := range []string{
		"bad.yaml:1: version: is 0, must be 1 to",
		"bad.yaml:2: zone: is Asia/Nowhere",
		"bad.yaml:3: departments[HRSS].code: is defined twice, first in line 3",
		`bad.yaml:5: benefits[lower].code: is "lower", must be 1 to 32`,
		"bad.yaml:7: benefits[lower].department: names NONE",
		"bad.yaml:8: benefits[lower].cycle_month: is no key",
		"bad.yaml:9: benefits[W].windows[0].from: must be a day of every year",
		"bad.yaml:9: benefits[W].windows: overlap",
		"bad.yaml:10: benefits[R].reminders: must be whole numbers from 0 to 27",
		"bad.yaml:10: benefits[R].reminders: names 7 twice",
		"bad.yaml:10: benefits[R].visit_days: is 28, must be 0 to 27",
		"bad.yaml:10: benefits[R].accepts: names GONE",
		"bad.yaml:10: benefits[R].exclusive_with: names R",
		"bad.yaml:12: evidence_kinds[WEAK].assurance: is E",
		"bad.yaml:12: evidence_kinds[WEAK].channel: is no key",
		"bad.yaml:13: evidence_kinds[JAIL].reason: is lapsed",
		"bad.yaml:13: evidence_kinds[JAIL].lifted_by: names WEAK, which is weak",
		"bad.yaml:14: no_lapse[0].benefit: names X",
		"bad.yaml:14: no_lapse[0].to: lies before from",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %s", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

// A catalogue of more kinds than a set can hold is refused for that alone.
func TestTooManyKinds(t *testing.T) {
	var more strings.Builder
	for i := range kindsMax {
		fmt.Fprintf(&more, "  - {code: X%d, name: {zh: a, en: b}, source: RAIL, strength: strong, channel: automatic, assurance: A}\n", i)
	}
	before, after, found := strings.Cut(string(DefaultText()), "evidence_kinds:\n")
	if !found {
		t.Fatal("the shipped catalogue has no evidence_kinds")
	}
	_, err := Load("many.yaml", []byte(before+"evidence_kinds:\n"+more.String()+after))
	if mistakes, _ := err.(Mistakes); len(mistakes) != 1 || !strings.Contains(err.Error(), "must be at most 256") {
		t.Fatalf("it was loaded with %v", err)
	}
}

func TestHostileFilesGiveAnError(t *testing.T) {
	bomb := "a: &a [1,1,1,1,1,1,1,1]\n"
	for i := 'b'; i < 'k'; i++ {
		bomb += string(i) + ": &" + string(i) + " [" + strings.Repeat("*"+string(i-1)+",", 8) + "]\n"
	}
	for _, text := range []string{"", "[]", "x", "a: b: c", "\x00", "version: 1\n---\nversion: 2", bomb, strings.Repeat("[", 20000), "&a *a", "benefits: &a [*a]", "version: {a: b}\nbenefits: {}\ndepartments: 7\nevidence_kinds: [7, [8]]"} {
		if _, err := Load("hostile.yaml", []byte(text)); err == nil {
			t.Errorf("%.40q was loaded", text)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(small))
	f.Add(DefaultText())
	f.Fuzz(func(t *testing.T, text []byte) { _, _ = Load("fuzz.yaml", text) })
}

func date(t testing.TB, s string) schemas.Date {
	d, err := schemas.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestUntil(t *testing.T) {
	windows := []Window{{MonthDay{1, 10}, MonthDay{4, 30}}, {MonthDay{7, 10}, MonthDay{10, 31}}}
	for _, c := range []struct {
		benefit       Benefit
		base, d, want string
	}{
		{Benefit{Rule: RollingDay, CycleMonths: 12}, "2020-01-01", "2024-02-29", "2025-02-28"},
		{Benefit{Rule: RollingMonthEnd, CycleMonths: 12}, "2020-01-01", "2018-07-03", "2019-07-31"},
		{Benefit{Rule: FixedWindow, CycleMonths: 12, Windows: windows}, "2020-01-01", "2023-01-09", "2023-04-30"},
		{Benefit{Rule: FixedWindow, CycleMonths: 12, Windows: windows}, "2020-01-01", "2023-01-10", "2023-10-31"},
		{Benefit{Rule: FixedWindow, CycleMonths: 12, Windows: windows}, "2020-01-01", "2023-07-10", "2024-04-30"},
		{Benefit{Rule: Anniversary, CycleMonths: 12, RenewAfterMonths: 6}, "2023-06-15", "2022-12-15", "2023-06-15"},
		{Benefit{Rule: Anniversary, CycleMonths: 12, RenewAfterMonths: 6}, "2023-06-15", "2022-12-16", "2024-06-15"},
		{Benefit{Rule: Anniversary, CycleMonths: 12, RenewAfterMonths: 6}, "2023-06-15", "2019-01-01", "2020-06-15"},
		{Benefit{Rule: Anniversary, CycleMonths: 12, RenewAfterMonths: 6}, "2024-02-29", "2024-08-28", "2025-02-28"},
	} {
		if got := c.benefit.Until(date(t, c.base), date(t, c.d)).String(); got != c.want {
			t.Errorf("%s: a proof of %s holds until %s, want %s", c.benefit.Rule, c.d, got, c.want)
		}
	}
}

// Law 1 rests on this: a later proof never holds less long.
func TestUntilIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Benefit{
			Rule:             rapid.SampledFrom([]Rule{RollingDay, RollingMonthEnd, FixedWindow, Anniversary}).Draw(t, "rule"),
			CycleMonths:      rapid.IntRange(1, 120).Draw(t, "cycle"),
			RenewAfterMonths: rapid.IntRange(1, 60).Draw(t, "renew"),
			Windows:          []Window{{MonthDay{1, 31}, MonthDay{4, 30}}, {MonthDay{7, 10}, MonthDay{12, 31}}},
		}
		base := schemas.Date(rapid.Int32Range(int32(schemas.FirstDate), int32(schemas.LastDate)).Draw(t, "base"))
		d := schemas.Date(rapid.Int32Range(int32(schemas.FirstDate), int32(schemas.LastDate)).Draw(t, "d"))
		later := d + schemas.Date(rapid.Int32Range(0, 500).Draw(t, "later"))
		if a, z := b.Until(base, d), b.Until(base, later); a > z || a <= d && b.Rule != Anniversary {
			t.Fatalf("a proof of %s holds until %s, one of %s until %s", d, a, later, z)
		}
	})
}

func TestNobodyLapsesInASpan(t *testing.T) {
	c := load(t, small+`
no_lapse:
  - {from: 2023-07-01, to: 2023-07-10}
  - {benefit: URRP, from: 2023-07-11, to: 2023-07-20}
`)
	urrp, _ := c.BenefitIndex("URRP")
	care, _ := c.BenefitIndex("CARE")
	for _, x := range []struct {
		benefit   int
		due, want string
	}{{urrp, "2023-06-29", "2023-06-30"}, {urrp, "2023-06-30", "2023-07-21"}, {care, "2023-06-30", "2023-07-11"}, {care, "2023-07-10", "2023-07-11"}} {
		if got := c.LapseOn(x.benefit, date(t, x.due)).String(); got != x.want {
			t.Errorf("%s, due %s: lapses on %s, want %s", c.Benefits[x.benefit].Code, x.due, got, x.want)
		}
	}
}

// The catalogues of the examples are whole.
func TestExampleCataloguesLoad(t *testing.T) {
	for _, file := range []string{"../../processors/certify/testdata/catalogue.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file, text); err != nil {
			t.Error(err)
		}
	}
}
