package schemas

import "sort"

// Instant is when the zone's clocks show a time of a day, given as the length
// of time after midnight that they show, below a day. It does as java.time
// does, and with it most schedulers: a time that clocks show twice is the
// earlier of the two, and one that they jump over is as much later as they
// jump (02:30 becomes 03:30).
func (z Zone) Instant(d Date, ofDay Instant) Instant {
	local := Instant(d)*Day + ofDay
	for i := z.before(local); ; i++ {
		at := local - z.periods[i].offset
		if i+1 < len(z.periods) && at >= z.periods[i+1].from {
			continue
		}
		if i > 0 && at < z.periods[i].from {
			return local - z.periods[i-1].offset
		}
		return at
	}
}

// StartOf is the first instant of a civil day in the zone, or, of a day that
// the zone skipped, of the next. It is midnight where midnight exists.
func (z Zone) StartOf(d Date) Instant {
	local := Instant(d) * Day
	for i := z.before(local); ; i++ {
		at := local - z.periods[i].offset
		if i+1 < len(z.periods) && at >= z.periods[i+1].from {
			continue
		}
		if i > 0 {
			at = max(at, z.periods[i].from)
		}
		return at
	}
}

// before gives a period in which clocks show less than local, and not long
// before they do: no zone is two days away from UTC. What lies before the first
// period belongs to it.
func (z Zone) before(local Instant) int {
	return max(0, sort.Search(len(z.periods), func(i int) bool { return z.periods[i].from > local-2*Day })-1)
}
