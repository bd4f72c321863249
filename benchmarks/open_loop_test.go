package benchmarks

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// What must come out does not depend on how many citizens are folded at a time.
func TestExpectedInParts(t *testing.T) {
	w := renewals{citizens: 50, months: drainMonths}
	whole := w.expected(catalogue.Default())
	if len(whole) != 2*w.citizens {
		t.Errorf("%d certifications, want %d: everybody's first sight, and the one half a year later", len(whole), 2*w.citizens)
	}
	if !maps.Equal(w.expectedIn(catalogue.Default(), w.citizens*w.months, 7), whole) {
		t.Error("in parts it is something else")
	}
}

// Evidence in parts is the evidence, ticks and all.
func TestSightsInParts(t *testing.T) {
	w, c := renewals{citizens: 20, months: 3}, catalogue.Default()
	all := func(int) bool { return true }
	text := func(in input) string { return fmt.Sprintf("%s %s %d %+v", in.topic, in.key, in.at, in.record) }
	var whole, parts []string
	for in := range w.evidence(c) {
		whole = append(whole, text(in))
	}
	for _, cut := range [][2]int{{0, 25}, {25, 26}, {26, 60}} {
		for in := range w.sights(c, cut[0], cut[1], all) {
			parts = append(parts, text(in))
		}
	}
	if !slices.Equal(whole, parts) {
		t.Errorf("%d records in parts, %d as a whole, or others", len(parts), len(whole))
	}
}

func TestWrongCertificationsAreSeen(t *testing.T) {
	id := func(n int) string { return schemas.EventID(fmt.Sprint(n)) }
	want := eventIDs{}
	want.add(id(1))
	want.add(id(2))
	for _, c := range []struct {
		name    string
		system  system
		ids     []int
		doubled int
		right   bool
	}{
		{"as they must be", system{}, []int{2, 1}, 0, true},
		{"one is missing", system{}, []int{1}, 0, false},
		{"one too many", system{}, []int{1, 2, 3}, 0, false},
		{"another", system{}, []int{1, 3}, 0, false},
		{"one twice", system{}, []int{1, 2}, 1, false},
		{"one twice, at least once", system{atLeastOnce: true}, []int{1, 2}, 1, true},
		{"one is missing, at least once", system{atLeastOnce: true}, []int{1}, 0, false},
	} {
		seen := &watch{ids: eventIDs{}, doubled: c.doubled}
		for _, n := range c.ids {
			seen.ids.add(id(n))
		}
		err := seen.check(c.system, want)
		if (err == nil) != c.right || err != nil && !errors.As(err, new(*wrongOutputs)) {
			t.Errorf("%s: it says %v", c.name, err)
		}
	}
}

// Latency counts from when a record was due, also if it was sent late.
func TestLatencyCountsFromDue(t *testing.T) {
	l := &loop{rate: 1_000, began: time.Unix(100, 0)}
	for _, number := range []int{0, 1, 999, 12_345} {
		if got := l.numberAt(l.due(number)); got != number {
			t.Errorf("at the time of %d the evidence %d is due", number, got)
		}
	}
	seen := &watch{arrived: make([]int64, 10)}
	for number, late := range map[int]time.Duration{2: time.Millisecond, 3: 30 * time.Millisecond, 8: 2 * time.Second, 9: time.Second} {
		seen.arrived[number] = l.due(number).Add(late).UnixNano()
	}
	if h := seen.latencies(l, 1, 8); h.TotalCount() != 2 || h.Max()/1e6 != 30 {
		t.Errorf("%d latencies of up to %v", h.TotalCount(), time.Duration(h.Max()))
	}
	r := &recovery{l: l, seen: seen}
	if got := r.after(4); got != time.Second+5*time.Millisecond {
		t.Errorf("the first after 4 came after %v", got)
	}
}
