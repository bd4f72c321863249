package city

import "github.com/vouch-engine/vouch/schemas"

// strand is a row of facts whose times rise. What it makes depends on the
// place in it alone.
type strand struct {
	count uint64
	time  func(i uint64) schemas.Instant
	make  func(i uint64, at schemas.Instant, f *Fact) bool // false: there is no fact at this place
}

// evenly spreads count facts over the city's days.
func (c *City) evenly(of tag, count uint64) func(uint64) schemas.Instant {
	key := c.key(of) ^ golden // apart from what is drawn for the facts
	return func(i uint64) schemas.Instant { return c.calendar.spread(i, count, mix(key+i)) }
}

// later shifts a strand's times by so many days.
func later(time func(uint64) schemas.Instant, days schemas.Instant) func(uint64) schemas.Instant {
	return func(i uint64) schemas.Instant { return time(i) + days*schemas.Day }
}

// weave lists the strands. At equal times the first one's fact comes first.
func (c *City) weave() []strand {
	all := []strand{c.roster(), c.unseen(), c.changes()}
	all = append(all, c.payouts()...)
	all = append(all, c.sightings()...)
	all = append(all, c.certified()...)
	all = append(all, c.adversities()...)
	return append(all, c.bad(), c.ticks())
}

// ticks are the clock's: one at every multiple of the interval after the first
// midnight, the last at the city's end.
func (c *City) ticks() strand {
	every := schemas.Instant(c.config.Tick.Milliseconds())
	start := c.calendar.start()
	return strand{
		count: uint64((c.calendar.end() - start) / every),
		time:  func(i uint64) schemas.Instant { return start + schemas.Instant(i+1)*every },
		make: func(_ uint64, at schemas.Instant, f *Fact) bool {
			f.tick = schemas.ClockTick{At: at}
			f.Topic, f.Record, f.Key, f.NoKey = "clock", &f.tick, "", true
			return true
		},
	}
}

// Fact is an input record. What it points to is the stream's again with the
// next fact; its texts may be kept.
type Fact struct {
	Topic string          // without prefix
	At    schemas.Instant // its Kafka timestamp, greater than that of every fact before
	Key   string
	NoKey bool // it has none: a null key, or a tick, which goes to every partition under keys of its own
	// Record is a *schemas.Evidence, *schemas.RosterEntry, *schemas.Payout or
	// *schemas.ClockTick. A bad one may have bytes in its place, or no value.
	Record any
	Bytes  []byte

	evidence schemas.Evidence
	entry    schemas.RosterEntry
	payout   schemas.Payout
	tick     schemas.ClockTick
	person   person
	dates    [2]schemas.Date
	amount   int64
	phone    string
	payee    string
}

// Stream gives the facts of a city in order of processing.
type Stream struct {
	city    *City
	strands []strand
	at      []uint64          // the place in each strand
	next    []schemas.Instant // the time of it; never where the strand is at its end
	last    schemas.Instant
}

// never is later than everything.
const never schemas.Instant = 1<<63 - 1

// Facts begins at the first fact.
func (c *City) Facts() *Stream {
	s := &Stream{city: c, strands: c.strands, at: make([]uint64, len(c.strands)), next: make([]schemas.Instant, len(c.strands))}
	for i := range c.strands {
		s.next[i] = s.time(i)
	}
	return s
}

func (s *Stream) time(strand int) schemas.Instant {
	if s.at[strand] == s.strands[strand].count {
		return never
	}
	if at := s.strands[strand].time(s.at[strand]); at <= s.city.calendar.end() {
		return at
	}
	return never // the rest of the strand is of later years
}

// Next gives the next fact, or false at the end. f is used again: its texts
// stay, what it points to does not.
func (s *Stream) Next(f *Fact) bool {
	for {
		first, at := 0, never
		for i, next := range s.next {
			if next < at {
				first, at = i, next
			}
		}
		if at == never {
			return false
		}
		strand := &s.strands[first]
		f.Record, f.Bytes, f.NoKey = nil, nil, false
		there := strand.make(s.at[first], at, f)
		s.at[first]++
		s.next[first] = s.time(first)
		if there {
			s.last = max(at, s.last+1) // facts of the same millisecond come one after the other
			f.At = s.last
			return true
		}
	}
}
