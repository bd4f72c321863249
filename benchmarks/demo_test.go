package benchmarks

import (
	"regexp"
	"strings"
	"testing"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology"
)

// TestDemo: the same seed tells the same story, in lines that fit a terminal,
// and it is checked.
func TestDemo(t *testing.T) {
	var texts [2]strings.Builder
	for i := range texts {
		if err := Demo(t.Context(), DemoOptions{Citizens: 300, Seed: 1, Out: &texts[i]}); err != nil {
			t.Fatal(err)
		}
	}
	text := texts[0].String()
	if text != texts[1].String() {
		t.Errorf("the same seed tells\n%s\nand\n%s", text, texts[1].String())
	}
	last := ""
	for line := range strings.Lines(text) {
		if width := len([]rune(strings.TrimSuffix(last, "\n"))); width > 80 || strings.HasSuffix(last, " \n") {
			t.Errorf("a line of %d columns: %q", width, last)
		}
		last = line
	}
	if !regexp.MustCompile(`^Of 300 people \d+ were certified by data alone, \d+ by phone, \d+ at a counter and \d+ after a visit, \d+ lapsed, and \d+ were neither\.\n$`).MatchString(last) {
		t.Errorf("the last line is %q", last)
	}
	for _, want := range []string{"A year of a city: 300 citizens", "Nobody had to come", "face to the phone", "a visit was asked for", "nothing is lost", "by data alone", "Checked against the offline decision: equal"} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
}

// TestYears: everybody counts once, by how the year ended for them.
func TestYears(t *testing.T) {
	certified := func(channel string) any { return &schemas.CertificationCompleted{Channel: channel} }
	standing := func(statuses ...schemas.Status) any {
		s := new(schemas.Standing)
		for _, status := range statuses {
			s.Benefits = append(s.Benefits, schemas.BenefitStanding{Status: status})
		}
		return s
	}
	good, over := standing(schemas.Good), standing(schemas.Good, schemas.Lapsed)
	for name, c := range map[string]struct {
		records []any
		want    endings
		lapses  int
	}{
		"data":                     {[]any{good, certified("AUTOMATIC"), good}, endings{data: 1}, 0},
		"phone before data":        {[]any{good, certified("SELF_SERVICE"), certified("AUTOMATIC")}, endings{phone: 1}, 0},
		"phone behind data":        {[]any{certified("AUTOMATIC"), certified("SELF_SERVICE")}, endings{phone: 1}, 0},
		"visit, lapsed before":     {[]any{over, certified("HOME_VISIT"), good}, endings{visit: 1}, 1},
		"counter":                  {[]any{certified("COUNTER")}, endings{counter: 1}, 0},
		"lapsed, certified before": {[]any{certified("AUTOMATIC"), good, over, over}, endings{lapsed: 1}, 1},
		"lapsed again":             {[]any{over, good, over}, endings{lapsed: 1}, 2},
		"drew nothing any more":    {[]any{over, nil}, endings{neither: 1}, 1},
		"stopped":                  {[]any{standing(schemas.Suspended)}, endings{neither: 1}, 0},
	} {
		y, lapses := years{}, 0
		for _, record := range c.records {
			topic := topology.Standing
			if _, is := record.(*schemas.CertificationCompleted); is {
				topic = topology.CertificationCompleted
			}
			if y.take(topic, "c", record) {
				lapses++
			}
		}
		y.take(topology.Alert, "another", new(schemas.Alert))
		if got := y.endings(); got != c.want || got.all() != 1 || lapses != c.lapses {
			t.Errorf("%s: %v, lapsed %d times; want %v, %d times", name, got, lapses, c.want, c.lapses)
		}
	}
}

// TestDemoChecks: a record too few, a record too many, a count that is off and
// a person too many are each noticed.
func TestDemoChecks(t *testing.T) {
	checked := func(want, got int, facts, enrolled int, years, wanted years) error {
		d := &demo{
			oracle: &oracle{fold: topology.NewFold(catalogue.Default()), records: records{counts: map[string]int{"{}": want}}},
			got:    records{counts: map[string]int{"{}": got}}, facts: facts, metrics: topology.NewMetrics(topology.CertifierGroup),
			enrolled: enrolled, years: years, wanted: wanted,
		}
		return d.check()
	}
	one, other := years{"c": {channel: "AUTOMATIC"}}, years{"c": {channel: "COUNTER"}}
	if err := checked(1, 1, 0, 1, one, one); err != nil {
		t.Errorf("what is equal was found to differ: %v", err)
	}
	for name, err := range map[string]error{
		"1 records are missing":          checked(1, 0, 0, 0, nil, nil),
		"1 are there again":              checked(1, 2, 0, 0, nil, nil),
		"1 are of nobody's deciding":     checked(0, 1, 0, 0, nil, nil),
		"1 records were written, 0 read": checked(1, 1, 1, 0, nil, nil),
		"by the offline decision as":     checked(1, 1, 0, 1, one, other),
		"2 people drew a benefit":        checked(1, 1, 0, 2, one, one),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: want %q", err, name)
		}
	}
}
