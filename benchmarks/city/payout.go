package city

import "github.com/vouch-engine/vouch/schemas"

// payouts are the pay runs, month by month, and what is paid again on the day
// after.
func (c *City) payouts() []strand {
	paid := max(1, uint64(c.config.Citizens)*uint64(sharePaid)/whole)
	run := strand{
		count: paid * uint64(len(c.pays)),
		time: func(i uint64) schemas.Instant {
			return c.pays[i/paid] + schemas.Instant(i%paid*uint64(payRunHours*60*schemas.Minute)/paid)
		},
		make: func(i uint64, at schemas.Instant, f *Fact) bool {
			c.pay(c.scatter(i%paid, uint64(c.config.Citizens)), i, at, f)
			return true
		},
	}
	few := max(1, paid*uint64(sharePaidAgain)/whole)
	again := strand{
		count: few * uint64(len(c.pays)),
		time: func(i uint64) schemas.Instant {
			return c.pays[i/few] + schemas.Day + schemas.Instant(i%few)*schemas.Second
		},
		make: func(i uint64, at schemas.Instant, f *Fact) bool {
			d := c.draw(tagPaidAgain, i)
			earlier := i/few*paid + d.below(paid)
			run.make(earlier, run.time(earlier), f)
			if i%3 == 0 {
				f.payout.PayoutID, f.payout.PaidAt = "D"+hex(d.next()), at
			}
			return true
		},
	}
	return []strand{run, again}
}

// pay makes a payment of somebody's main benefit for the month.
func (c *City) pay(rank, i uint64, at schemas.Instant, f *Fact) {
	d := c.draw(tagPayout, i)
	benefit := c.mainBenefit(rank)
	f.amount, f.payee = c.amount(benefit), c.payee(rank)
	switch number := share(d.below(whole)); {
	case number < sharePaidMuch:
		f.amount *= 2
	case number < sharePaidMuch+sharePaidElse:
		f.payee = "6228" + digits(d.next(), 15)
	case number < sharePaidMuch+sharePaidElse+sharePaidWrong:
		benefit = (benefit + 1) % len(c.rules.Benefits)
	}
	f.payout = schemas.Payout{
		PayoutID: "P" + hex(mix(c.key(tagPayout)^mix(i))), CitizenID: c.id(rank), Benefit: c.rules.Benefits[benefit].Code,
		Period: c.rules.Zone.Date(at).String()[:len("2006-01")], AmountFen: f.amount, PaidAt: at, Payee: &f.payee,
	}
	f.Topic, f.Key, f.Record = "payout", f.payout.CitizenID, &f.payout
}
