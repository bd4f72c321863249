package city

import (
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// roster is the load of who draws what, in the first hours: entry by entry of
// citizen by citizen.
func (c *City) roster() strand {
	const places = uint64(len(person{}.room)) // of a citizen, whether they are taken or not
	count := uint64(c.config.Citizens) * places
	start := c.calendar.start()
	return strand{
		count: count,
		time: func(i uint64) schemas.Instant {
			return start + 1 + schemas.Instant(i*uint64(loadHours*60*schemas.Minute)/count)
		},
		make: func(i uint64, at schemas.Instant, f *Fact) bool {
			if i%places == 0 || f.person.rank != i/places || f.person.benefits == nil {
				c.person(i/places, &f.person)
			}
			if int(i%places) >= len(f.person.benefits) {
				return false
			}
			c.entry(&f.person, int(i%places), f)
			f.entry.RecordedAt = at - schemas.Minute
			return true
		},
	}
}

// unseen is the load of those whom nobody sees, in the same hours.
func (c *City) unseen() strand {
	count := uint64(c.config.Unseen)
	first := uint64(c.config.Citizens) + uint64(c.config.Citizens)/strangers
	due := c.UnseenDueOn()
	return strand{
		count: count,
		time: func(i uint64) schemas.Instant {
			return c.calendar.start() + 1 + schemas.Instant(i*uint64(loadHours*60*schemas.Minute)/count)
		},
		make: func(i uint64, at schemas.Instant, f *Fact) bool {
			c.person(first+i, &f.person)
			c.entry(&f.person, 0, f)
			f.dates[1] = due
			f.entry.DueOn, f.entry.LastCertifiedOn = &f.dates[1], nil
			f.entry.RecordedAt = at - schemas.Minute
			return true
		},
	}
}

// entry makes the roster entry of a person's place-th benefit.
func (c *City) entry(p *person, place int, f *Fact) {
	d := c.draw(tagPerson, p.rank*8+uint64(place)<<40)
	benefit := &c.rules.Benefits[p.benefits[place]]
	f.amount = c.amount(p.benefits[place])
	f.phone, f.payee = p.phone, p.payee
	f.dates[0] = p.birthOn
	f.entry = schemas.RosterEntry{
		EntryID: "R" + hex(mix(c.key(tagPerson)^p.rank<<2+uint64(place))), CitizenID: c.id(p.rank), Benefit: benefit.Code, Op: schemas.Enrol,
		EffectiveOn: p.since, Region: p.region, Payee: &f.payee, AmountFen: &f.amount, BirthOn: &f.dates[0], Attributes: noAttributes,
	}
	if f.phone != "" {
		f.entry.Phone = &f.phone
	}
	f.dates[1] = c.due(p.rank, benefit, &d)
	if d.falls(shareLastCertified) && benefit.Rule == catalogue.RollingMonthEnd {
		f.dates[1] = f.dates[1].AddMonths(-benefit.CycleMonths)
		f.entry.LastCertifiedOn = &f.dates[1]
	} else {
		f.entry.DueOn = &f.dates[1]
	}
	f.Topic, f.Key, f.Record = "roster", f.entry.CitizenID, &f.entry
}

// noAttributes is what most records have.
var noAttributes = map[string]string{}

// amount is what a benefit pays a month, in fen.
func (c *City) amount(benefit int) int64 {
	d := c.draw(tagPayee, uint64(benefit)<<48)
	return int64(d.between(80, 4_000)) * 100
}

// due is when somebody is first due within the city's time: all of their
// benefits at the same month's end where they certify themselves, so that one
// visit does for all.
func (c *City) due(rank uint64, benefit *catalogue.Benefit, d *draw) schemas.Date {
	if on, planned := c.plannedDue(rank); planned {
		return on
	}
	return c.config.From.AddMonths(d.between(0, benefit.CycleMonths-1)).EndOfMonth()
}

// changes are roster entries that are written again: another phone, county or
// account, one more benefit, a withdrawal.
func (c *City) changes() strand {
	count := c.perYear(perYearChange)
	return strand{count: count, time: c.evenly(tagChange, count), make: func(i uint64, at schemas.Instant, f *Fact) bool {
		d := c.draw(tagChange, i)
		p := &f.person
		c.person(d.below(uint64(c.config.Citizens)), p)
		what := d.between(0, 9)
		if what == 0 && len(p.benefits) < len(p.room) {
			if other := pick(&d, c.benefits); c.own[other] == nil && other != p.benefits[0] {
				p.benefits = append(p.benefits[:1], other)
			}
		}
		c.entry(p, len(p.benefits)-1, f)
		f.entry.EntryID = "C" + hex(d.next())
		f.entry.RecordedAt = at - schemas.Instant(d.between(1, 240))*schemas.Minute
		switch {
		case what <= 1:
			f.entry.Op = schemas.Withdraw
			if what == 0 {
				f.entry.Op = schemas.Enrol
			}
		case what <= 5:
			f.phone = "138" + digits(d.next(), 8)
			f.entry.Phone = &f.phone
		case what <= 7:
			f.entry.Region = pick(&d, regions)
		default:
			f.payee = "6228" + digits(d.next(), 15)
		}
		return true
	}}
}
