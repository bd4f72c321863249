package city

import (
	"math"

	"github.com/vouch-engine/vouch/schemas"
)

// adversities are what speaks against people: deaths, reports of them that are
// wrong, prison and the like. The i-th of each befalls the i-th rank of its fate.
func (c *City) adversities() []strand {
	all := []strand{}
	for lineage := range c.kinds.deaths {
		all = append(all, c.deaths(lineage))
	}
	all = append(all, c.unseenDeaths())
	all = append(all, c.misreports()...)
	all = append(all, c.suspensions()...)
	return append(all, c.reviews())
}

// adverse makes the strand of the i-th records of a fate: of one kind, told so
// many days after it happened.
func (c *City) adverse(of tag, ranks span, days schemas.Instant, kind func(i uint64, d *draw) int) strand {
	happened := c.evenly(of, ranks.size())
	return strand{count: ranks.size(), time: later(happened, days), make: func(i uint64, at schemas.Instant, f *Fact) bool {
		d := c.draw(of, i<<8|uint64(days))
		chosen := kind(i, &d)
		if chosen < 0 {
			return false
		}
		c.evidence(ranks.from+i, chosen, of, i<<16|uint64(days)<<8|1, f)
		f.evidence.OccurredAt = happened(i) - schemas.Second
		f.evidence.RecordedAt = at
		return true
	}}
}

// none is no kind.
const none = -1

// deaths are the reports of one lineage. Some deaths it does not hear of.
func (c *City) deaths(lineage int) strand {
	lag := deathLags[min(lineage, len(deathLags)-1)] + schemas.Instant(max(0, lineage-len(deathLags)+1))
	return c.adverse(tagDeath, c.ranks.fates[Dies], lag, func(_ uint64, d *draw) int {
		if !d.falls(shareReported) {
			return none
		}
		return pick(d, c.kinds.deaths[lineage])
	})
}

// unseenDeaths are those of people whom nobody sees: one report, late.
func (c *City) unseenDeaths() strand {
	return c.adverse(tagDeathReport, c.ranks.died, deathLags[0], func(_ uint64, d *draw) int { return pick(d, c.kinds.deaths[0]) })
}

// misreports are reports of the death of somebody who lives, and go on being
// seen, and their retractions.
func (c *City) misreports() []strand {
	ranks := c.ranks.fates[Misreported]
	report := c.adverse(tagFalseDeath, ranks, 0, func(_ uint64, d *draw) int { return pick(d, pick(d, c.kinds.deaths)) })
	retraction := strand{count: report.count, time: later(report.time, retractedDays), make: func(i uint64, at schemas.Instant, f *Fact) bool {
		report.make(i, report.time(i), f)
		f.evidence.Op, f.evidence.RecordedAt = schemas.Retract, at
		return true
	}}
	return []strand{report, retraction}
}

// suspensions are what suspends, kind after kind in turn, and what lifts it
// where that is a record of its own.
func (c *City) suspensions() []strand {
	ranks := c.ranks.fates[Suspended]
	begins := c.adverse(tagSuspension, ranks, 0, func(i uint64, _ *draw) int { return c.suspendKind(i) })
	ends := c.adverse(tagSuspension, ranks, termDays, func(i uint64, _ *draw) int {
		kind := &c.rules.Kinds[c.suspendKind(i)]
		for lifting := range c.rules.Kinds {
			if kind.LiftedBy.Has(lifting) {
				return lifting
			}
		}
		return none
	})
	makeEnd := ends.make
	ends.make = func(i uint64, at schemas.Instant, f *Fact) bool {
		if !makeEnd(i, at, f) {
			return false
		}
		f.evidence.OccurredAt = at - schemas.Second
		return true
	}
	return []strand{begins, ends}
}

func (c *City) suspendKind(i uint64) int { return c.kinds.suspend[i%uint64(len(c.kinds.suspend))] }

// reviews are what a person should look at.
func (c *City) reviews() strand {
	return c.adverse(tagReview, c.ranks.fates[Reviewed], 0, func(_ uint64, d *draw) int { return pick(d, c.kinds.review) })
}

// gone says whether somebody cannot be seen at an instant: they are dead, in
// prison or missing.
func (c *City) gone(rank uint64, at schemas.Instant) bool {
	fates := &c.ranks.fates
	switch {
	case fates[Dies].has(rank):
		from, _ := c.away(rank)
		return at >= from
	case fates[Suspended].has(rank):
		from, until := c.away(rank)
		return from <= at && at < until
	}
	return false
}

// away is from when until when somebody of the fate Dies or Suspended is gone.
func (c *City) away(rank uint64) (from, until schemas.Instant) {
	if dies := c.ranks.fates[Dies]; dies.has(rank) {
		return c.evenly(tagDeath, dies.size())(rank - dies.from), math.MaxInt64
	}
	suspended := c.ranks.fates[Suspended]
	i := rank - suspended.from
	from = c.evenly(tagSuspension, suspended.size())(i)
	days := schemas.Instant(termDays)
	if c.rules.Kinds[c.suspendKind(i)].LiftedByStrong {
		days = missingDays
	}
	return from, from + days*schemas.Day
}
