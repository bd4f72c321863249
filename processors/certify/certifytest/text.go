package certifytest

import (
	"fmt"
	"strings"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
)

// Text tells output records in words, a line or more each. Ids of events and
// the catalogue's hash are left out, since no reader of a script can check them.
func Text(records []any) string {
	if len(records) == 0 {
		return "nothing\n"
	}
	var w strings.Builder
	for _, record := range records {
		switch r := record.(type) {
		case certify.Refusal:
			fmt.Fprintln(&w, "refused:", r)
		case *schemas.Alert:
			fmt.Fprintf(&w, "alert %s %s: %s%s\n", r.Rule, r.Subject, strings.Join(r.Benefits, ", "), factsText(r.Facts))
		case *schemas.CertificationCompleted:
			completedText(&w, r)
		case *schemas.CertificationRevoked:
			revokedText(&w, r)
		case *schemas.PayeeClaim:
			verb := "claimed by"
			if !r.Claims {
				verb = "given up by"
			}
			fmt.Fprintf(&w, "payee %s: %s %s for %s\n", r.Payee, verb, r.CitizenID, r.Benefit)
		case *schemas.ScheduleEntry:
			scheduleText(&w, r)
		case *schemas.ClockTick:
			fmt.Fprintf(&w, "timer told: it is %s\n", day(r.At))
		default:
			panic(fmt.Sprintf("certifytest: a %T is no record that the certifier writes", record))
		}
	}
	return w.String()
}

// passText tells what a pass has written: of many citizens, so that each is named.
func passText(records []any) string {
	if len(records) == 0 {
		return "nothing\n"
	}
	var w strings.Builder
	for _, record := range records {
		if s, is := record.(*schemas.ScheduleEntry); is {
			fmt.Fprint(&w, s.CitizenID, ": ")
		}
		fmt.Fprint(&w, Text([]any{record}))
	}
	return w.String()
}

// day is the civil date of an instant in the catalogues' zone.
func day(at schemas.Instant) schemas.Date { return Catalogue().Zone.Date(at) }

func factsText(facts []schemas.Fact) (text string) {
	for _, f := range facts {
		text += fmt.Sprintf("; %s %s", f.Name, f.Value)
	}
	return text
}

func completedText(w *strings.Builder, c *schemas.CertificationCompleted) {
	fmt.Fprintf(w, "certified by %s %s of %s, %s%s\n", c.Kind, c.EvidenceID, day(c.CertifiedAt), c.Channel, contact(c.Region, c.Phone))
	for _, b := range c.Benefits {
		fmt.Fprintf(w, "  %s until %s, told %s before", b.Benefit, b.ValidUntil, b.PreviousDueOn)
		if !b.InTime {
			fmt.Fprint(w, ", too late")
		}
		if b.Restores {
			fmt.Fprint(w, ", restored")
		}
		fmt.Fprintln(w)
	}
}

func revokedText(w *strings.Builder, r *schemas.CertificationRevoked) {
	by := "an entry"
	if r.EvidenceID != "" {
		by = r.EvidenceID + " of " + r.Source
	}
	fmt.Fprintf(w, "revoked by %s%s\n", by, contact(r.Region, r.Phone))
	for _, b := range r.Benefits {
		fmt.Fprintf(w, "  %s due %s, told %s before\n", b.Benefit, b.DueOn, b.RevokedUntil)
	}
}

func scheduleText(w *strings.Builder, s *schemas.ScheduleEntry) {
	fmt.Fprint(w, "timer told: ")
	var benefits []string
	for _, b := range s.Benefits {
		text := fmt.Sprintf("%s due %s", b.Benefit, b.DueOn)
		if len(b.Reasons) > 0 {
			text += " (" + strings.Join(b.Reasons, ", ") + ")"
		}
		benefits = append(benefits, text)
	}
	if benefits == nil {
		benefits = []string{"no benefit is left"}
	}
	fmt.Fprint(w, strings.Join(benefits, ", "))
	if s.LastSeenAt != nil {
		fmt.Fprint(w, "; seen ", day(*s.LastSeenAt), " by ")
		for i, l := range s.Leads {
			fmt.Fprint(w, []string{"", ", "}[min(i, 1)], l.Kind)
		}
	}
	if len(s.Weak) > 0 {
		fmt.Fprintf(w, "; %d weak", len(s.Weak))
	}
	fmt.Fprintln(w, contact(s.Region, s.Phone))
}

func contact(region string, phone *string) (text string) {
	if region != "" {
		text += "; in " + region
	}
	if phone != nil {
		text += "; phone " + *phone
	}
	return text
}
