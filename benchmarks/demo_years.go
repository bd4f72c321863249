package benchmarks

import (
	"fmt"
	"slices"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/topology"
)

// years say of everybody who drew a benefit, by their ids, how the year went.
type years map[string]*year

type year struct {
	channel  string // of the last certification, one that took somebody's doing before one by data; empty: none
	standing []schemas.BenefitStanding
}

// take takes in what was written about somebody, in its order, nil where it is
// a tombstone, and says whether somebody has lapsed by it.
func (y years) take(topic, citizen string, record any) (lapses bool) {
	of := y[citizen]
	if of == nil {
		of = new(year)
	}
	switch e := record.(type) {
	case *schemas.CertificationCompleted:
		if of.channel == "" || e.Channel != "AUTOMATIC" {
			of.channel = e.Channel
		}
	case *schemas.Standing:
		lapses = slices.ContainsFunc(e.Benefits, lapsed) && !slices.ContainsFunc(of.standing, lapsed)
		of.standing = e.Benefits
	default:
		if topic != topology.Standing {
			return false
		}
		of.standing = nil
	}
	y[citizen] = of
	return lapses
}

func lapsed(b schemas.BenefitStanding) bool { return b.Status == schemas.Lapsed }

// endings count how the year ended, each of those who drew a benefit once: who
// stands LAPSED at its end with any benefit has lapsed, however certified
// before; of the others, who was certified in it counts by the channel, a
// certification that took somebody's doing before those by data; the rest were
// not certified, since they were not due yet, or are stopped for another reason
// (reported dead, in prison, missing), or draw nothing any more.
type endings struct{ data, phone, counter, visit, lapsed, neither int }

func (y years) endings() (e endings) {
	for _, of := range y {
		switch {
		case slices.ContainsFunc(of.standing, lapsed):
			e.lapsed++
		case of.channel == "AUTOMATIC":
			e.data++
		case of.channel == "SELF_SERVICE":
			e.phone++
		case of.channel == "COUNTER":
			e.counter++
		case of.channel == "HOME_VISIT":
			e.visit++
		default:
			e.neither++
		}
	}
	return e
}

func (e endings) all() int { return e.data + e.phone + e.counter + e.visit + e.lapsed + e.neither }

// String is the sentence that the demo ends with.
func (e endings) String() string {
	return fmt.Sprintf("Of %s people %s were certified by data alone, %s by phone, %s at a counter and %s after a visit, %s lapsed, and %s were neither.",
		thousands(e.all()), thousands(e.data), thousands(e.phone), thousands(e.counter), thousands(e.visit), thousands(e.lapsed), thousands(e.neither))
}
