package catalogue

import "github.com/vouch-engine/vouch/schemas"

// Until is the last day on which a proof dated d certifies the benefit. base
// is the enrolment's, before any exemption; only an anniversary counts from
// it. It is monotone in d, which is what makes standing free of the order of
// arrival. Source: SPEC section 1, "Due date of a proof".
func (b *Benefit) Until(base, d schemas.Date) schemas.Date {
	switch b.Rule {
	case RollingDay:
		return d.AddMonths(b.CycleMonths)
	case FixedWindow:
		return b.windowAfter(d)
	case Anniversary:
		return b.anniversaryFrom(base, d.AddMonths(b.RenewAfterMonths))
	default:
		return d.EndOfMonthAfter(b.CycleMonths)
	}
}

// windowAfter is the last day of the first window that begins after d.
func (b *Benefit) windowAfter(d schemas.Date) schemas.Date {
	year, _, _ := d.Civil()
	for ; ; year++ {
		for _, w := range b.Windows { // in the order of the year
			if schemas.DateOf(year, w.From.Month, w.From.Day) > d {
				return schemas.DateOf(year, w.To.Month, w.To.Day)
			}
		}
	}
}

// anniversaryFrom is the first anniversary of base that is not before d.
func (b *Benefit) anniversaryFrom(base, d schemas.Date) schemas.Date {
	cycles := int(d.Month()-base.Month()) / b.CycleMonths
	for base.AddMonths(cycles*b.CycleMonths) >= d {
		cycles--
	}
	for base.AddMonths(cycles*b.CycleMonths) < d {
		cycles++
	}
	return base.AddMonths(cycles * b.CycleMonths)
}

// LapseOn is the first day on which an enrolment of the benefit, due on a day,
// has lapsed: after the days of grace, and after every span in which nobody
// lapses. Source: SPEC section 1, "Lapse day".
func (c *Catalogue) LapseOn(benefit int, due schemas.Date) schemas.Date {
	b := &c.Benefits[benefit]
	day := due + schemas.Date(b.GraceDays) + 1
	for moved := true; moved; {
		moved = false
		for _, span := range c.NoLapse {
			if (span.Benefit == "" || span.Benefit == b.Code) && span.From <= day && day <= span.To {
				day, moved = span.To+1, true
			}
		}
	}
	return day
}
