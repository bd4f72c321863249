// Package remindtest runs the scripts of processors/remind at any depth: on the
// bare functions, on Goka's tester, on a broker. A script reads aloud:
//
//	# The reminder of thirty days, on the morning of the first of March.
//	tick to=2024-03-01T18:00
//	----
//	wang: 2024-03-01 11:25 reminder 1
//	  PENSION of HRSS, due 2024-03-31, 30 days left
//
// Law: what a script says follows from its text and the catalogues beside this
// file alone, so that every depth gives the same, character by character.
//
// The commands; what is in brackets may be left out. A TIME is of the zone,
// YYYY-MM-DDTHH:MM, or YYYY-MM-DD for midnight.
//
//	entry CITIZEN at=TIME [region= phone= seen=(KIND@TIME, …) clock=TIME]
//	BENEFIT DUE-DATE [REASON …]          a ScheduleEntry at its Kafka timestamp, a line an enrolment;
//	                                     seen newest first, clock that of the last tick
//	tick to=TIME [every=DAYS]            a tick; with every, others before it since the last one
//	catalogue next|back                  the timer is started again, under next.yaml, or
//	                                     under catalogue.yaml once more, as version 3
package remindtest

import (
	"bytes"
	_ "embed" // for the catalogues of the scripts
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/vouch-engine/vouch/processors/remind"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

//go:embed catalogue.yaml
var firstText []byte

//go:embed next.yaml
var nextText []byte

// Catalogue is the one that scripts begin under.
var Catalogue = sync.OnceValue(func() *catalogue.Catalogue { return load("catalogue.yaml", firstText) })

// Next is the one after it.
var Next = sync.OnceValue(func() *catalogue.Catalogue { return load("next.yaml", nextText) })

// Back is the first one again, as the version after Next.
var Back = sync.OnceValue(func() *catalogue.Catalogue {
	return load("catalogue.yaml", bytes.Replace(firstText, []byte("version: 1\n"), []byte("version: 3\n"), 1))
})

func load(name string, text []byte) *catalogue.Catalogue {
	c, err := catalogue.Load(name, text)
	if err != nil {
		panic("remindtest: a catalogue of the scripts has mistakes: " + err.Error())
	}
	return c
}

// Said is an event of the timer with the key that it is written under.
type Said struct {
	Citizen string
	remind.Event
}

// Depth is what a script runs on. It begins under Catalogue.
type Depth interface {
	// Step gives the timer one record of the topic schedule, a pointer to a
	// ScheduleEntry or a ClockTick, and gives what it writes, in order. at is
	// the record's Kafka timestamp, which may be any.
	Step(t testing.TB, key string, record any, at schemas.Instant) []Said
	// Restart stops the timer and starts it under another catalogue, and gives
	// what is written before the next record, in order.
	Restart(t testing.TB, c *catalogue.Catalogue) []Said
}

// Commands gives the function that datadriven calls for each command of one
// script.
func Commands(depth Depth) func(*testing.T, *datadriven.TestData) string {
	s := &script{depth: depth, catalogue: Catalogue(), clock: remind.NoTick}
	return s.command
}

// tickKey stands for the key of a partition's ticks. A citizen may have it too.
const tickKey = "7"

// script is where one stands in a script.
type script struct {
	depth     Depth
	catalogue *catalogue.Catalogue
	clock     schemas.Instant // the certifier's
}

func (s *script) command(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var all []Said
	switch d.Cmd {
	case "entry":
		all = s.entry(t, d)
	case "tick":
		all = s.tick(t, d)
	case "catalogue":
		all = s.restart(t, d)
	default:
		d.Fatalf(t, "there is no command %s", d.Cmd)
	}
	if len(all) == 0 {
		return "nothing\n"
	}
	var text strings.Builder
	for i := range all {
		s.describe(&text, &all[i])
	}
	return text.String()
}

func (s *script) restart(t *testing.T, d *datadriven.TestData) []Said {
	which := map[string]*catalogue.Catalogue{"next": Next(), "back": Back()}[d.CmdArgs[0].Key]
	if which == nil {
		d.Fatalf(t, "there is no catalogue %s", d.CmdArgs[0].Key)
	}
	s.catalogue = which
	return s.depth.Restart(t, which)
}

func (s *script) entry(t *testing.T, d *datadriven.TestData) []Said {
	e := &schemas.ScheduleEntry{CitizenID: d.CmdArgs[0].Key, Catalogue: s.catalogue.Hash()}
	clock := s.clock
	var at schemas.Instant
	for _, argument := range d.CmdArgs[1:] {
		switch argument.Key {
		case "at":
			at = s.time(t, d, argument.Vals[0])
		case "clock":
			clock = s.time(t, d, argument.Vals[0])
		case "region":
			e.Region = argument.Vals[0]
		case "phone":
			e.Phone = &argument.Vals[0]
		case "seen":
			for _, seen := range argument.Vals {
				s.see(t, d, e, seen)
			}
		default:
			d.Fatalf(t, "an entry has no %s", argument.Key)
		}
	}
	if clock != remind.NoTick {
		e.Clock = &clock
	}
	for line := range strings.Lines(d.Input) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			d.Fatalf(t, "an enrolment is BENEFIT DUE-DATE [REASON …]")
		}
		due, err := schemas.ParseDate(fields[1])
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		e.Benefits = append(e.Benefits, schemas.ScheduledBenefit{Benefit: fields[0], DueOn: due, Reasons: fields[2:]})
	}
	return s.depth.Step(t, e.CitizenID, e, at)
}

// see adds a record that shows the citizen, KIND@TIME.
func (s *script) see(t *testing.T, d *datadriven.TestData, e *schemas.ScheduleEntry, seen string) {
	code, at, _ := strings.Cut(seen, "@")
	kind, known := s.catalogue.KindIndex(code)
	if !known {
		d.Fatalf(t, "the catalogue has no kind %s", code)
	}
	lead := schemas.Lead{Kind: code, Source: s.catalogue.Kinds[kind].Source, OccurredAt: s.time(t, d, at)}
	if e.Leads = append(e.Leads, lead); s.catalogue.Kinds[kind].Strength == catalogue.Weak {
		e.Weak = append(e.Weak, lead)
	}
	e.LastSeenAt = &e.Leads[0].OccurredAt
}

func (s *script) tick(t *testing.T, d *datadriven.TestData) (all []Said) {
	var to schemas.Instant
	days := 0
	for _, argument := range d.CmdArgs {
		switch argument.Key {
		case "to":
			to = s.time(t, d, argument.Vals[0])
		case "every":
			if _, err := fmt.Sscan(argument.Vals[0], &days); err != nil || days < 1 {
				d.Fatalf(t, "every=DAYS, at least 1")
			}
		default:
			d.Fatalf(t, "a tick has no %s", argument.Key)
		}
	}
	if days > 0 && s.clock != remind.NoTick {
		step := schemas.Instant(days) * schemas.Day
		for at := s.clock + step; at < to; at += step {
			all = append(all, s.depth.Step(t, tickKey, &schemas.ClockTick{At: at}, at)...)
		}
	}
	s.clock = max(s.clock, to)
	return append(all, s.depth.Step(t, tickKey, &schemas.ClockTick{At: to}, to)...)
}

// time is a time of the zone, YYYY-MM-DD or YYYY-MM-DDTHH:MM.
func (s *script) time(t *testing.T, d *datadriven.TestData, text string) schemas.Instant {
	day, ofDay, timed := strings.Cut(text, "T")
	date, err := schemas.ParseDate(day)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	var hour, minute int
	if _, err := fmt.Sscanf(ofDay, "%d:%d", &hour, &minute); timed && err != nil {
		d.Fatalf(t, "%q is no time of day: %v", ofDay, err)
	}
	return s.catalogue.Zone.Instant(date, schemas.Instant(hour*60+minute)*schemas.Minute)
}
