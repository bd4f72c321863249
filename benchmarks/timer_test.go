package benchmarks

import (
	"maps"
	"testing"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology"
)

// What the timer's measures rest on: a tick fires what its phase is named after,
// and nothing else.
func TestPendingFiresWhatItSays(t *testing.T) {
	w := newPending(4_000, catalogue.Default())
	got, share := w.expected(), w.citizens/pendingShare
	for number, want := range [ticks]map[string]int{
		tickFirst:  {topology.Standing: w.citizens},
		tickLapse:  {topology.Standing: share},
		tickRemind: {topology.ExpiryReminder: share + pendingFew, topology.VisitRequested: pendingFew},
		tickFew:    {topology.Standing: pendingFew},
	} {
		if counts := got[number].counts(); !maps.Equal(counts, want) {
			t.Errorf("tick %d fires %v, want %v", number, counts, want)
		}
	}
}

// A sum of hashes sees what is missing, what is there twice and what differs.
func TestDigestSeesDifferences(t *testing.T) {
	of := func(add func(d digest)) digest {
		d := digest{}
		d.add("a", "k", []byte("1"), 1)
		d.add("a", "l", []byte("2"), 2)
		add(d)
		return d
	}
	whole := of(func(d digest) { d.add("a", "m", []byte("3"), 3) })
	turned := digest{}
	turned.add("a", "m", []byte("3"), 3)
	turned.add("a", "l", []byte("2"), 2)
	turned.add("a", "k", []byte("1"), 1)
	if !maps.Equal(whole, turned) {
		t.Error("the order of records matters")
	}
	for name, other := range map[string]digest{
		"missing": of(func(digest) {}),
		"twice":   of(func(d digest) { d.add("a", "k", []byte("1"), 1) }),
		"key":     of(func(d digest) { d.add("a", "n", []byte("3"), 3) }),
		"value":   of(func(d digest) { d.add("a", "m", []byte("4"), 3) }),
		"time":    of(func(d digest) { d.add("a", "m", []byte("3"), 4) }),
		"topic":   of(func(d digest) { d.add("b", "m", []byte("3"), 3) }),
	} {
		if maps.Equal(whole, other) {
			t.Errorf("%s: no difference is seen", name)
		}
	}
}

// In the storm everybody stands well once and has lapsed once.
func TestLapsingLapse(t *testing.T) {
	first, _ := schemas.ParseDate(renewalsFrom)
	people := lapsing{50, first + renewalsLead + stormAhead - 1}
	lapse := schemas.Instant(people.dueOn+1) * schemas.Day
	got := people.expected(catalogue.Default(), input{topology.Clock, "", lapse - 1, &schemas.ClockTick{At: lapse}})
	if want := map[string]int{topology.Standing: 2 * people.citizens}; !maps.Equal(got.counts(), want) {
		t.Errorf("%v comes out, want %v", got.counts(), want)
	}
}

// One record in so many certifies at any time of a steady workload, however fast
// the records' own time runs.
func TestSteadyIsSteady(t *testing.T) {
	for name, w := range map[string]renewals{"as fast as the clock": newLoop(600, 6).w, "half a year in all": {600, loopMonths, 20}} {
		before := 0
		const parts = 6
		for part := 1; part <= parts; part++ {
			sights := w.citizens * w.months * part / parts
			certified := len(w.expectedOf(catalogue.Default(), sights))
			if got := certified - before; got != w.citizens/parts {
				t.Errorf("%s: in part %d of the records %d of them certify, want %d", name, part, got, w.citizens/parts)
			}
			before = certified
		}
	}
}
