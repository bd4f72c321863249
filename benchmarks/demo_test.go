package benchmarks

import (
	"strings"
	"testing"

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
	for line := range strings.Lines(text) {
		if width := len([]rune(strings.TrimSuffix(line, "\n"))); width > 80 || strings.HasSuffix(line, " \n") {
			t.Errorf("a line of %d columns: %q", width, line)
		}
	}
	for _, want := range []string{"A year of a city: 300 citizens", "Nobody had to come", "nothing is lost", "by data alone", "Checked against the offline decision: equal"} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
}

// TestDemoChecks: a record too few, a record too many and a count that is off
// are each noticed.
func TestDemoChecks(t *testing.T) {
	checked := func(want, got records, facts int) error {
		d := &demo{
			oracle: &oracle{fold: topology.NewFold(catalogue.Default()), records: want},
			got:    got, facts: facts, metrics: topology.NewMetrics(),
		}
		return d.check()
	}
	if err := checked(records{"{}": 1}, records{"{}": 1}, 0); err != nil {
		t.Errorf("what is equal was found to differ: %v", err)
	}
	for name, err := range map[string]error{
		"1 records are missing":          checked(records{"{}": 1}, records{}, 0),
		"1 are there again":              checked(records{"{}": 1}, records{"{}": 2}, 0),
		"1 are of nobody's deciding":     checked(records{}, records{"{}": 1}, 0),
		"1 records were written, 0 read": checked(records{}, records{}, 1),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: want %q", err, name)
		}
	}
}
