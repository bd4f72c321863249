package city

import (
	"math/bits"
	"sort"

	"github.com/vouch-engine/vouch/schemas"
)

// calendar says when the i-th of n facts arrives: evenly over days of unequal
// weight, month's ends above all, and within a day mostly at daytime. It
// counts in whole numbers.
type calendar struct {
	midnights []schemas.Instant // of every day, and of the one behind the last
	weights   []uint64          // that have gone by before each day, and in all
	hours     [25]uint64        // of 2^32 that have gone by before each hour
	first     schemas.Date
	zone      schemas.Zone
}

// dayWeight is the weight of an ordinary day: large, so that a place within it
// is told to the millisecond.
const dayWeight = 1 << 28

func newCalendar(zone schemas.Zone, from, to schemas.Date) calendar {
	c := calendar{first: from, zone: zone, weights: []uint64{0}}
	for day := from; day <= to; day++ {
		c.midnights = append(c.midnights, midnight(zone, day))
		if weight := uint64(dayWeight); day < to {
			if day > day.EndOfMonth()-stormDays {
				weight *= stormWeight
			}
			c.weights = append(c.weights, c.weights[len(c.weights)-1]+weight)
		}
	}
	all, gone := uint64(0), uint64(0)
	for _, weight := range hourWeights {
		all += weight
	}
	for hour, weight := range hourWeights {
		gone += weight
		c.hours[hour+1] = gone << 32 / all
	}
	return c
}

// midnight is the first instant of a civil day.
func midnight(zone schemas.Zone, day schemas.Date) schemas.Instant {
	noon := schemas.Instant(day) * schemas.Day
	from := noon - schemas.Day
	return from + schemas.Instant(sort.Search(int(2*schemas.Day), func(i int) bool { return zone.Date(from+schemas.Instant(i)) >= day }))
}

func (c *calendar) start() schemas.Instant { return c.midnights[0] }
func (c *calendar) end() schemas.Instant   { return c.midnights[len(c.midnights)-1] }

// spread gives the instant of the i-th of n facts, moved within its n-th part
// by 16 bits of jitter. It rises with i.
func (c *calendar) spread(i, n, jitter uint64) schemas.Instant {
	high, low := bits.Mul64(i<<16|jitter&0xffff, c.weights[len(c.weights)-1])
	gone, _ := bits.Div64(high, low, n<<16)
	day := sort.Search(len(c.weights), func(d int) bool { return c.weights[d] > gone }) - 1
	ofDay := (gone - c.weights[day]) << 32 / (c.weights[day+1] - c.weights[day])
	hour := sort.Search(len(c.hours), func(h int) bool { return c.hours[h] > ofDay }) - 1
	length := uint64(c.midnights[day+1] - c.midnights[day])
	millis := uint64(hour)*length/24 + (ofDay-c.hours[hour])*(length/24)/(c.hours[hour+1]-c.hours[hour])
	return c.midnights[day] + schemas.Instant(millis)
}
