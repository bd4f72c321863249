package remindtest

import (
	"fmt"
	"strings"

	"github.com/vouch-engine/vouch/schemas"
)

// show is the time of an instant in the zone, the way time reads it.
func (s *script) show(at schemas.Instant) string {
	date := s.catalogue.Zone.Date(at)
	minute := (at - s.catalogue.Zone.StartOf(date)) / schemas.Minute
	return fmt.Sprintf("%s %02d:%02d", date, minute/60, minute%60)
}

// describe tells an event in one line for people, and a line a benefit.
func (s *script) describe(to *strings.Builder, e *Said) {
	switch {
	case e.Left:
		fmt.Fprintf(to, "%s: gone from standing\n", e.Citizen)
	case e.Standing != nil:
		fmt.Fprintf(to, "%s stands since %s:\n", e.Citizen, s.show(e.Standing.At))
		for _, b := range e.Standing.Benefits {
			fmt.Fprintf(to, "  %s %s, due %s%s\n", b.Benefit, b.Status, b.DueOn, listed(b.Reasons))
		}
	case e.Reminder != nil:
		fmt.Fprintf(to, "%s: %s reminder %d%s\n", e.Citizen, s.show(e.Reminder.FiresAt), e.Reminder.Stage, contact(e.Reminder.Region, e.Reminder.Phone))
		describeDue(to, e.Reminder.Benefits)
	case e.Visit != nil:
		fmt.Fprintf(to, "%s: %s visit, priority %s%s\n", e.Citizen, s.show(e.Visit.FiresAt), e.Visit.Priority, contact(e.Visit.Region, e.Visit.Phone))
		describeDue(to, e.Visit.Benefits)
		for _, lead := range e.Visit.Leads {
			fmt.Fprintf(to, "  seen %s by %s of %s\n", s.show(lead.OccurredAt), lead.Kind, lead.Source)
		}
	}
}

func describeDue(to *strings.Builder, benefits []schemas.DueBenefit) {
	for _, b := range benefits {
		fmt.Fprintf(to, "  %s of %s, due %s, %d days left\n", b.Benefit, b.Department, b.DueOn, b.DaysLeft)
	}
}

func listed(reasons []string) string {
	if len(reasons) == 0 {
		return ""
	}
	return " (" + strings.Join(reasons, ", ") + ")"
}

func contact(region string, phone *string) string {
	text := ""
	if region != "" {
		text = ", region " + region
	}
	if phone != nil {
		text += ", phone " + *phone
	}
	return text
}
