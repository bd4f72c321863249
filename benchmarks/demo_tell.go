package benchmarks

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/vouch-engine/vouch/benchmarks/city"
	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/topology"
)

// The form of what is told.
const (
	lineWidth  = 78
	storiesMax = 6 // people who are told of
	eventsMax  = 6 // records that are shown of one
)

// story is what may have happened to somebody: in a sentence or two, or
// nothing if it did not.
type story func(d *demo, p *city.Person, events []any) string

// stories in the order in which they are told.
var stories = []story{certifiedByData, certifiedByPhone, certifiedByVisit, lapsedUnseen, revoked, misreported, usedAfterDeath}

// tell says what happened to a few people, and then to all.
func (d *demo) tell() error {
	out := bufio.NewWriter(d.Out)
	fmt.Fprintf(out, "A year of a city: %s citizens, %s facts from departments and payers.\n", thousands(d.citizens()), thousands(d.facts))
	told := 0
	for _, story := range stories {
		if told == storiesMax {
			break
		}
		if d.tellOne(out, story) {
			told++
		}
	}
	d.tellTotals(out)
	d.tellPeople(out)
	fmt.Fprintf(out, "\nChecked against the offline decision: equal, %s records and every count.\n%v\n", thousands(d.got.count()), d.years.endings())
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the story: %w", err)
	}
	return nil
}

func (d *demo) citizens() int { return d.city.Citizens() }

// tellOne finds the first one to whom something happened, and tells of it.
func (d *demo) tellOne(out io.Writer, story story) bool {
	for rank := range d.citizens() {
		p := d.city.Person(rank)
		events := d.events[p.ID]
		if len(events) == 0 || len(events) > eventsMax {
			continue
		}
		text := story(d, &p, events)
		if text == "" {
			continue
		}
		fmt.Fprintf(out, "\n%s\n", wrap(fmt.Sprintf("%s (%s), %d, %s", p.Name.En, p.Name.Zh, d.age(&p), text)))
		for _, event := range events {
			d.tellEvent(out, event)
		}
		return true
	}
	return false
}

// age of somebody at the end of the city's time.
func (d *demo) age(p *city.Person) int {
	years := 0
	for p.BirthOn.AddMonths(12*(years+1)) <= d.city.LastDay() {
		years++
	}
	return years
}

// tellEvent shows what a record says.
func (d *demo) tellEvent(out io.Writer, event any) {
	line := func(topic, format string, args ...any) {
		fmt.Fprintf(out, "  %s  %s: %s\n", d.date(instant(event)), topic, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *schemas.CertificationCompleted:
		line(topology.CertificationCompleted, "%s of %s", e.Kind, d.date(e.CertifiedAt))
		for _, b := range e.Benefits {
			fmt.Fprintf(out, "              %-8s was due %s, is certified until %s\n", b.Benefit, b.PreviousDueOn, b.ValidUntil)
		}
	case *schemas.CertificationRevoked:
		line(topology.CertificationRevoked, "a record of %s is withdrawn", e.Source)
		for _, b := range e.Benefits {
			fmt.Fprintf(out, "              %-8s was certified until %s, is due %s\n", b.Benefit, b.RevokedUntil, b.DueOn)
		}
	case *schemas.Alert:
		said := []string{e.Rule}
		for _, fact := range e.Facts {
			said = append(said, fact.Value)
		}
		line(topology.Alert, "%s", strings.Join(said, " "))
	case *schemas.ExpiryReminder:
		line(topology.ExpiryReminder, "%d days are left", e.Benefits[0].DaysLeft)
		tellDue(out, e.Benefits)
	case *schemas.VisitRequested:
		line(topology.VisitRequested, "priority %s, %d days are left", e.Priority, e.Benefits[0].DaysLeft)
		tellDue(out, e.Benefits)
	case *schemas.Standing:
		line(topology.Standing, "LAPSED")
		for _, b := range e.Benefits {
			fmt.Fprintf(out, "              %-8s was due %s, is %s\n", b.Benefit, b.DueOn, b.Status)
		}
	}
}

func tellDue(out io.Writer, benefits []schemas.DueBenefit) {
	for _, b := range benefits {
		fmt.Fprintf(out, "              %-8s is due %s\n", b.Benefit, b.DueOn)
	}
}

func (d *demo) date(at schemas.Instant) schemas.Date { return d.city.Catalogue().Zone.Date(at) }

// kind is what a kind of evidence is called.
func (d *demo) kind(code string) string {
	if place, known := d.city.Catalogue().KindIndex(code); known {
		return d.city.Catalogue().Kinds[place].Name.En
	}
	return code
}

// certifiedByData: a stay in hospital and several benefits, nothing else.
func certifiedByData(d *demo, p *city.Person, events []any) string {
	first, is := events[0].(*schemas.CertificationCompleted)
	if !is || len(events) > 2 || first.Kind != "INPT_ADMIT" || len(first.Benefits) < 2 || !first.Benefits[0].InTime || p.Fate != city.Lives {
		return ""
	}
	return fmt.Sprintf("was in hospital on %s. That alone shows that %s is alive, and certifies %s for %d benefits until %s. Nobody had to come.",
		d.date(first.CertifiedAt), pronoun(p, "she", "he"), pronoun(p, "her", "him"), len(first.Benefits), first.Benefits[0].ValidUntil)
}

// certifiedByPhone: no department saw them, a reminder came, and they did it
// themselves.
func certifiedByPhone(d *demo, p *city.Person, events []any) string {
	last, is := events[len(events)-1].(*schemas.CertificationCompleted)
	if !is || len(events) != 2 || last.Kind != "FACE_SELF" || !last.Benefits[0].InTime {
		return ""
	}
	reminder, is := events[0].(*schemas.ExpiryReminder)
	if !is {
		return ""
	}
	left := last.Benefits[0].PreviousDueOn - d.date(last.CertifiedAt)
	return fmt.Sprintf("was seen by no department, and was reminded on %s. %s showed %s face to the phone on %s, %d days before %s was due.",
		d.date(reminder.FiresAt), pronoun(p, "She", "He"), pronoun(p, "her", "his"), d.date(last.CertifiedAt), left, pronoun(p, "she", "he"))
}

// certifiedByVisit: reminders were of no use, and somebody came.
func certifiedByVisit(d *demo, p *city.Person, events []any) string {
	last, is := events[len(events)-1].(*schemas.CertificationCompleted)
	if !is || last.Channel != "HOME_VISIT" || !last.Benefits[0].InTime {
		return ""
	}
	reminders, visit := reminded(events[:len(events)-1])
	if reminders == 0 || visit == nil {
		return ""
	}
	return fmt.Sprintf("was reminded and did nothing. On %s a visit was asked for, on %s somebody called and saw %s, and %s need not come anywhere.",
		d.date(visit.FiresAt), d.date(last.CertifiedAt), pronoun(p, "her", "him"), pronoun(p, "she", "he"))
}

// lapsedUnseen: neither reminders nor a visit led to anything.
func lapsedUnseen(d *demo, p *city.Person, events []any) string {
	last, is := events[len(events)-1].(*schemas.Standing)
	if !is || p.Way != city.ByNobody {
		return ""
	}
	reminders, visit := reminded(events[:len(events)-1])
	if reminders < 2 || visit == nil {
		return ""
	}
	return fmt.Sprintf("was reminded, and a visit was asked for on %s. Nothing came that shows for certain that %s is alive: on %s what %s draws lapsed, until something does.",
		d.date(visit.FiresAt), pronoun(p, "she", "he"), d.date(last.At), pronoun(p, "she", "he"))
}

// reminded counts the reminders among events and gives the last visit asked
// for; none of either if there is anything else.
func reminded(events []any) (reminders int, visit *schemas.VisitRequested) {
	for _, event := range events {
		switch e := event.(type) {
		case *schemas.ExpiryReminder:
			reminders++
		case *schemas.VisitRequested:
			visit = e
		default:
			return 0, nil
		}
	}
	return reminders, visit
}

// revoked: what was certified rested on a record that was withdrawn.
func revoked(d *demo, p *city.Person, events []any) string {
	certified, is := events[0].(*schemas.CertificationCompleted)
	if !is || len(events) < 2 {
		return ""
	}
	withdrawn, is := events[1].(*schemas.CertificationRevoked)
	if !is || withdrawn.EvidenceID != certified.EvidenceID {
		return ""
	}
	due := withdrawn.Benefits[0].DueOn
	for _, benefit := range withdrawn.Benefits {
		due = min(due, benefit.DueOn)
	}
	return fmt.Sprintf("was certified by a record (%s) that %s took back or dated anew on %s. What was said is revoked, and %s is due on %s.",
		d.kind(certified.Kind), withdrawn.Source, d.date(withdrawn.DecidedAt), pronoun(p, "she", "he"), due)
}

// misreported: dead on paper, and seen after.
func misreported(d *demo, p *city.Person, events []any) string {
	for _, event := range events {
		if alert, is := event.(*schemas.Alert); is && alert.Rule == "death_conflict" && len(alert.Facts) > 0 {
			return fmt.Sprintf("was reported dead as of %s, and then was seen in person (%s). One of the two is wrong: the alert asks somebody to look.",
				alert.Subject, d.kind(alert.Facts[0].Value))
		}
	}
	return ""
}

// usedAfterDeath: a card that somebody else holds.
func usedAfterDeath(d *demo, p *city.Person, events []any) string {
	for _, event := range events {
		if alert, is := event.(*schemas.Alert); is && alert.Rule == "posthumous_use" && p.Fate == city.Dies && len(alert.Facts) > 0 {
			return fmt.Sprintf("died on %s. Somebody goes on using what was %s (%s): the alert asks who.",
				alert.Subject, pronoun(p, "hers", "his"), d.kind(alert.Facts[0].Value))
		}
	}
	return ""
}

func pronoun(p *city.Person, woman, man string) string {
	if p.Woman {
		return woman
	}
	return man
}

// tellTotals says what became of every record that was read: law 4.
func (d *demo) tellTotals(out io.Writer) {
	totals := d.metrics.Totals()
	row := func(name string, number int, what string) {
		fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("  %-24s%10s  %s", name, thousands(number), what), " "))
	}
	fmt.Fprintf(out, "\nWhat became of what was read\n")
	row("applied", totals.Counts[certify.Applied], fmt.Sprintf("%s ticks of the clock among them", thousands(d.ticks*demoPartitions)))
	row("superseded", totals.Counts[certify.Superseded], "said before, or older than what is held")
	row("not held", totals.Counts[certify.NotHeld], "beyond the bounds of what one row keeps")
	row("old ticks", totals.Counts[certify.OldTick], "")
	quarantined := 0
	for _, reason := range certify.Refusals {
		quarantined += totals.Quarantined[reason]
	}
	row("quarantined", quarantined, fmt.Sprintf("for %d reasons, their bytes untouched", len(totals.Quarantined)))
	row("= read", totals.Read, "nothing is lost")
	fmt.Fprintf(out, "\nWhat was written\n")
	for _, topic := range topology.OutputTopics {
		row(topic, d.topics[topic], "")
	}
}

// tellPeople says how the year ended for those who drew a benefit.
func (d *demo) tellPeople(out io.Writer) {
	e := d.years.endings()
	fmt.Fprintf(out, "\nHow people were certified\n")
	for _, way := range []struct {
		name   string
		people int
	}{
		{"by data alone", e.data}, {"by phone", e.phone}, {"at a counter", e.counter}, {"after a visit", e.visit}, {"lapsed at the end", e.lapsed}, {"neither", e.neither},
	} {
		fmt.Fprintf(out, "  %-24s%10s  %4.1f %%\n", way.name, thousands(way.people), 100*float64(way.people)/float64(e.all()))
	}
}

// thousands is a number with commas.
func thousands(number int) string {
	text := strconv.Itoa(number)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// wrap breaks a text into lines. Chinese characters are two columns wide.
func wrap(text string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		width := 0
		for _, r := range word {
			width++
			if r > 0x2E80 {
				width++
			}
		}
		switch {
		case i == 0:
		case column+1+width > lineWidth:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += width
	}
	return b.String()
}
