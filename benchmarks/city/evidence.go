package city

import "github.com/vouch-engine/vouch/schemas"

// sightings are what departments see of people from day to day, and what they
// say of it once more.
func (c *City) sightings() []strand {
	annual := c.sighting(tagAnnual, max(1, c.ranks.ways[ByData].size()*uint64(c.config.To-c.config.From)/daysPerYear))
	strong := c.sighting(tagStrong, c.perYear(perYearStrong))
	weak := c.sighting(tagWeak, c.perYear(perYearWeak))
	return []strand{annual, strong, weak, c.sighting(tagStranger, c.perYear(perYearStranger)), c.again(strong, weak)}
}

func (c *City) sighting(of tag, count uint64) strand {
	return strand{count: count, time: c.evenly(of, count), make: func(i uint64, at schemas.Instant, f *Fact) bool {
		return c.see(of, i, at, f)
	}}
}

// see makes the i-th sighting of a strand. It is false if nobody could be seen.
func (c *City) see(of tag, i uint64, at schemas.Instant, f *Fact) bool {
	d := c.draw(of, i)
	recorded, occurred := c.late(&d, at)
	data := c.ranks.ways[ByData]
	var rank uint64
	switch of {
	case tagAnnual:
		rank = data.from + c.scatter(i, data.size())
	case tagStrong:
		rank = data.from + c.rank(&d, data.size())
	case tagStranger:
		rank = uint64(c.config.Citizens) + d.below(uint64(c.config.Citizens)/strangers)
	default:
		rank = c.rank(&d, uint64(c.config.Citizens))
	}
	table := c.kinds.weak
	if of == tagAnnual || of == tagStrong {
		table = c.automatic(rank, &d)
	}
	if c.gone(rank, occurred) && (of != tagWeak || !d.falls(sharePosthumous)) {
		return false
	}
	c.evidence(rank, pick(&d, table), of, i, f)
	f.evidence.OccurredAt, f.evidence.RecordedAt = occurred, recorded
	if d.falls(shareReference) {
		f.phone = digits(d.next(), 12)
		f.evidence.Reference = &f.phone
	}
	return true
}

// automatic is what a citizen is seen by: any kind that comes by itself, or
// now and then one that their benefit accepts, if it accepts little else.
func (c *City) automatic(rank uint64, d *draw) []int {
	if own := c.own[c.mainBenefit(rank)]; own != nil && d.falls(shareOwnKind) {
		return own
	}
	return c.kinds.automatic
}

// late draws when a record that arrives at an instant was recorded, and when
// what it tells of occurred.
func (c *City) late(d *draw, at schemas.Instant) (recorded, occurred schemas.Instant) {
	const hour = 60 * schemas.Minute
	recorded = at - schemas.Second - schemas.Instant(d.below(uint64(2*hour)))
	if d.falls(shareHeldUp) {
		recorded -= schemas.Instant(d.below(uint64(6 * schemas.Day)))
	}
	delay := schemas.Second + schemas.Instant(d.below(uint64(6*hour)))
	switch number := share(d.below(whole)); {
	case number < shareMonthsLate:
		delay += schemas.Day * schemas.Instant(d.between(31, 120))
	case number < shareMonthsLate+shareWeeksLate:
		delay += schemas.Day * schemas.Instant(d.between(6, 30))
	case number < shareMonthsLate+shareWeeksLate+shareDaysLate:
		delay += schemas.Day * schemas.Instant(d.between(1, 5))
	}
	return recorded, recorded - delay
}

// evidence makes a record of a kind; the caller adds its times.
func (c *City) evidence(rank uint64, kind int, of tag, i uint64, f *Fact) {
	f.evidence = schemas.Evidence{
		EvidenceID: "E" + hex(mix(c.key(of)^mix(i))), CitizenID: c.id(rank), Kind: c.rules.Kinds[kind].Code, Source: c.rules.Kinds[kind].Source,
		Op: schemas.Assert, Attributes: noAttributes,
	}
	f.Topic, f.Key, f.Record = "evidence", f.evidence.CitizenID, &f.evidence
}

// again says earlier sightings once more: the same, corrected, or retracted.
func (c *City) again(strong, weak strand) strand {
	count := max(1, (strong.count+weak.count)*uint64(shareAgain)/whole)
	return strand{count: count, time: c.evenly(tagAgain, count), make: func(i uint64, at schemas.Instant, f *Fact) bool {
		d := c.draw(tagAgain, i)
		of, earlier := tagWeak, weak
		if d.below(weak.count+strong.count) < strong.count {
			of, earlier = tagStrong, strong
		}
		now := i * earlier.count / count // what has come by now lies before it
		if now == 0 {
			return false
		}
		week := earlier.count*7/uint64(c.config.To-c.config.From) + 1
		place := now - 1 - d.below(min(now, week))
		if !c.see(of, place, earlier.time(place), f) {
			return false
		}
		switch number := share(d.below(whole)); {
		case number < shareRepeated:
		case number < shareRepeated+shareCorrected:
			f.evidence.OccurredAt -= schemas.Day * schemas.Instant(d.between(1, correctedDays))
			f.evidence.RecordedAt = at
		default:
			f.evidence.Op, f.evidence.RecordedAt = schemas.Retract, at
		}
		return true
	}}
}

// certified are those who certify themselves, or whom somebody looks up.
func (c *City) certified() (all []strand) {
	for _, way := range []Way{ByPhone, AtCounter, ByVisit} {
		span := c.ranks.ways[way]
		kinds := map[Way][]int{ByPhone: c.kinds.selfService, AtCounter: c.kinds.counter, ByVisit: c.kinds.homeVisit}[way]
		all = append(all, strand{count: c.certifiedCount(way), time: c.certifiedTime(way), make: func(i uint64, at schemas.Instant, f *Fact) bool {
			rank := span.from + i%span.size()
			d := c.draw(tagCertified+tag(way)<<8, i)
			table := kinds
			if own := c.own[c.mainBenefit(rank)]; own != nil {
				table = own // no other would do
			}
			c.evidence(rank, pick(&d, table), tagCertified+tag(way)<<8, i, f)
			f.evidence.RecordedAt = at - schemas.Second
			f.evidence.OccurredAt = at - schemas.Instant(d.between(2, 120))*schemas.Second
			return true
		}})
	}
	return all
}

// certifiedCount is how many certify themselves in a way within the span.
func (c *City) certifiedCount(way Way) uint64 {
	return max(1, c.ranks.ways[way].size()*uint64(c.config.To-c.config.From)/daysPerYear)
}

func (c *City) certifiedTime(way Way) func(uint64) schemas.Instant {
	return c.evenly(tagCertified+tag(way)<<8, c.certifiedCount(way))
}

// plannedDue is when somebody is due who will certify themselves: mostly some
// weeks after they do, so that a reminder or a visit has come before, and now
// and then before, so that they had lapsed. It is false for all others.
func (c *City) plannedDue(rank uint64) (schemas.Date, bool) {
	way := c.way(rank)
	if way == ByData || way == ByNobody {
		return 0, false
	}
	i := rank - c.ranks.ways[way].from
	if i >= c.certifiedCount(way) {
		return 0, false // in another year
	}
	on := c.rules.Zone.Date(c.certifiedTime(way)(i))
	d := c.draw(tagCertified+tag(way)<<8, i+1<<40)
	ahead := map[Way]int{ByPhone: 55, AtCounter: 35, ByVisit: 15}[way]
	if d.falls(shareTooLate) {
		return on.AddMonths(-1).EndOfMonth(), true
	}
	return (on + schemas.Date(d.between(0, ahead))).EndOfMonth(), true
}
