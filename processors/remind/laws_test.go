package remind

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// The days on which the lives of a test begin, and on which all is over.
var (
	firstDay = schemas.DateOf(2023, 11, 1)
	lastDay  = schemas.DateOf(2026, 1, 1)
)

// Ids that come in another order than their spread, one a prefix of another,
// and one that is also a tick's key.
var someCitizens = []string{"a", "a1", "b", tickRow}

// drawDays draws a number of days, each as likely as another, to the minute.
func drawDays(t *rapid.T, label string, days ...int) schemas.Instant {
	minute := rapid.SampledFrom([]int{0, 1, 9 * 60, 12*60 + 17, 16 * 60, 24*60 - 1}).Draw(t, label+" minute")
	return schemas.Instant(rapid.SampledFrom(days).Draw(t, label))*schemas.Day + schemas.Instant(minute)*schemas.Minute
}

func drawEntry(t *rapid.T, id string, at schemas.Instant) *schemas.ScheduleEntry {
	e := &schemas.ScheduleEntry{CitizenID: id, Region: rapid.SampledFrom([]string{"", "341602"}).Draw(t, "region")}
	due := schemas.Date((at + drawDays(t, "due", -10, 0, 5, 12, 31, 45, 60, 100)) / schemas.Day) // near one another, so that stages meet
	for _, benefit := range []string{"INJURY", "OLDAGE", "OLDER", "PENSION", "UNKNOWN"} {
		if rapid.IntRange(0, 2).Draw(t, benefit) == 0 {
			continue
		}
		reasons := rapid.SampledFrom([][]string{nil, nil, nil, {"imprisoned"}, {"deceased", "missing"}}).Draw(t, "reasons")
		e.Benefits = append(e.Benefits, schemas.ScheduledBenefit{Benefit: benefit, Reasons: reasons,
			DueOn: due + schemas.Date(rapid.SampledFrom([]int{0, 0, 15, 20, 30, 38}).Draw(t, "later"))})
	}
	if phone := rapid.SampledFrom([]string{"none", "", "13800000000"}).Draw(t, "phone"); phone != "none" {
		e.Phone = &phone
	}
	for _, kind := range []string{"BUS", "FERRY", "TRAM", "CANTEEN", "BUS", "FACE"} {
		if !rapid.Bool().Draw(t, kind) {
			continue
		}
		lead := schemas.Lead{Kind: kind, Source: map[string]string{"FACE": "HRSS", "CANTEEN": "CIVIL"}[kind], OccurredAt: at - drawDays(t, kind, 0, 10, 50, 80, 100, 150)}
		if lead.Source == "" {
			lead.Source = "TRANSPORT"
		}
		if e.Leads = append(e.Leads, lead); kind != "FACE" {
			e.Weak = append(e.Weak, lead)
		}
	}
	if len(e.Leads) > 0 {
		e.LastSeenAt = &e.Leads[0].OccurredAt
	}
	return e
}

// drawLife draws what a timer gets: entries, some of them again, and ticks,
// some of them old, and changes to the later catalogues. The certifier's clock
// is that of the last tick, or ahead of it, as for a timer whose table was lost.
func drawLife(t *rapid.T, later ...*catalogue.Catalogue) (life []step) {
	clock, at := NoTick, schemas.Instant(firstDay)*schemas.Day
	var entries []*schemas.ScheduleEntry
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		at += drawDays(t, "later", 0, 0, 0, 1, 3, 8, 25)
		switch what := rapid.IntRange(0, 9).Draw(t, "what"); {
		case what < 4:
			e := drawEntry(t, rapid.SampledFrom(someCitizens).Draw(t, "citizen"), at)
			if len(entries) > 0 && what == 0 {
				again := *rapid.SampledFrom(entries).Draw(t, "again")
				e = &again
			}
			e.Clock = nil
			if rapid.IntRange(0, 9).Draw(t, "ahead") == 0 {
				ahead := max(clock, at+drawDays(t, "certifier's clock", 0, 1, 10, 40))
				e.Clock = &ahead
			} else if known := clock; known != NoTick {
				e.Clock = &known
			}
			entries = append(entries, e)
			life = append(life, step{Entry: e, At: at})
		case what < 9:
			tick := at - schemas.Instant(rapid.IntRange(0, 3).Draw(t, "days old"))*schemas.Day
			clock = max(clock, tick)
			life = append(life, step{Tick: &schemas.ClockTick{At: tick}})
		case len(later) > 0:
			life, later = append(life, step{catalogue: later[0]}), later[1:]
		}
	}
	return life
}

// batches of rapid's lives make one check: a life is short, and the meetings of
// stages, lapses and rounds in it are rare.
const batches = 5

func check(t *testing.T, law func(t *rapid.T)) {
	t.Helper()
	for range batches {
		rapid.Check(t, law)
	}
}

func describe(life []step) string {
	var lines []string
	for _, s := range life {
		switch {
		case s.catalogue != nil:
			lines = append(lines, "another catalogue")
		case s.Tick != nil:
			lines = append(lines, "tick "+s.Tick.At.String())
		default:
			lines = append(lines, "entry of "+s.Entry.CitizenID+" at "+s.At.String())
		}
	}
	return strings.Join(lines, "\n")
}

func mustAgree(t *rapid.T, life []step, one, other string, a, b []string) {
	t.Helper()
	if !slices.Equal(a, b) {
		t.Fatalf("%s\n%s:\n%s\n%s:\n%s", describe(life), one, strings.Join(a, "\n"), other, strings.Join(b, "\n"))
	}
}

func play(life []step, with func(step) []said) (all []said) {
	for _, s := range life {
		all = append(all, with(s)...)
	}
	return all
}

// TestLawIndexMissesNobody: to judge the entries of the due index in their
// order, in rounds of any size, gives what looking at everybody gives, also if
// entries stay in the index after their row has moved on. Rows go through their
// bytes at every step.
func TestLawIndexMissesNobody(t *testing.T) {
	c, next, back := catalogues(t)
	reached := map[string]int{}
	check(t, func(t *rapid.T) {
		life := drawLife(t, next, back)
		byModel := play(life, newModel(c).step)
		byIndex := play(life, newEngine(t, c, rapid.IntRange(1, 5).Draw(t, "round")).step)
		mustAgree(t, life, "looking at everybody", "by the index", texts(byModel), texts(byIndex))
		stale := newEngine(t, c, 3)
		stale.stale = true
		mustAgree(t, life, "by the index", "by one with stale entries", texts(byIndex), texts(play(life, stale.step)))
		for _, s := range byModel {
			for _, what := range reach(s.Event) {
				reached[what]++
			}
		}
	})
	for _, what := range []string{"GOOD", "LAPSED", "SUSPENDED", "TERMINATED", "left", "one reminder", "reminders in one", "one visit", "visits in one", "HIGH", "NORMAL", "LOW"} {
		if reached[what] == 0 {
			t.Errorf("no life led to %q", what)
		}
	}
}

// reach names what an event is an example of.
func reach(e Event) (names []string) {
	count := func(what string, benefits int) string {
		if benefits > 1 {
			return what + "s in one"
		}
		return "one " + what
	}
	switch {
	case e.Left:
		return []string{"left"}
	case e.Reminder != nil:
		return []string{count("reminder", len(e.Reminder.Benefits))}
	case e.Visit != nil:
		return []string{count("visit", len(e.Visit.Benefits)), e.Visit.Priority}
	}
	for _, b := range e.Standing.Benefits {
		names = append(names, string(b.Status))
	}
	return names
}

// TestLawRoundsAreOneTick: cut into transactions anywhere, and started again
// after each, a tick and a pass give the same records in the same order; also
// if the program is started in the middle of a tick under the catalogue that
// would come after it.
func TestLawRoundsAreOneTick(t *testing.T) {
	c, next, back := catalogues(t)
	waited, resumed := 0, 0
	check(t, func(t *rapid.T) {
		life := drawLife(t, next, back)
		whole := play(life, newEngine(t, c, 1<<20).step)
		cut := newEngine(t, c, 1)
		var inRounds []said
		for i, s := range life {
			var early *catalogue.Catalogue
			if s.Tick != nil && i+1 < len(life) {
				early = life[i+1].catalogue
			}
			if s.Entry != nil {
				inRounds = append(inRounds, cut.step(s)...)
			}
			for over := s.Tick == nil; !over; {
				cut.round = rapid.IntRange(1, 4).Draw(t, "round")
				var events []said
				events, over = cut.fire(s.Tick)
				inRounds = append(inRounds, events...)
				if early != nil && rapid.Bool().Draw(t, "early") {
					cut.start(early)
					if !over {
						waited++
					}
				} else {
					cut.start(cut.rules.catalogue)
				}
			}
			if s.catalogue != nil {
				cut.start(s.catalogue)
			}
			for cut.row(tickRow).Partition.PassDue() {
				cut.round = rapid.IntRange(1, 3).Draw(t, "round")
				inRounds = append(inRounds, cut.renew()...)
				cut.start(cut.rules.catalogue)
				if cut.row(tickRow).Partition.PassDue() {
					resumed++
				}
			}
		}
		mustAgree(t, life, "in one round", "in rounds", texts(whole), texts(inRounds))
	})
	if waited == 0 || resumed == 0 {
		t.Errorf("%d passes waited for the end of a tick, and %d were broken off", waited, resumed)
	}
}

// TestLawRenewIsTheEntryAgain: whatever catalogues a row has been through, to
// decide it anew says and writes what its last entry would, at its own
// timestamp; and a second time says nothing and changes nothing.
func TestLawRenewIsTheEntryAgain(t *testing.T) {
	c, next, back := catalogues(t)
	all := []*catalogue.Catalogue{c, next, back}
	changed := 0
	rapid.Check(t, func(t *rapid.T) {
		engine := newEngine(t, c, 1)
		at := schemas.Instant(firstDay) * schemas.Day
		e := drawEntry(t, "a", at)
		if rapid.Bool().Draw(t, "clock") {
			clock := at + drawDays(t, "certifier's clock", 0, 20, 40)
			e.Clock = &clock
		}
		clock := rapid.SampledFrom([]schemas.Instant{NoTick, at, at + 30*schemas.Day}).Draw(t, "T0")
		row := &Row{}
		New(c).OnEntry(&row.Citizen, e, at, clock)
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			rules := New(rapid.SampledFrom(all).Draw(t, "catalogue"))
			engine.set("a", row)
			renewed, given := engine.row("a"), engine.row("a")
			if row.Empty() {
				return // the row is gone, and nothing to decide
			}
			event, is := rules.Renew(&renewed.Citizen, "a", clock)
			want, wanted := rules.OnEntry(&given.Citizen, e, at, clock)
			one, other := texts([]said{{"a", event}})[0], texts([]said{{"a", want}})[0]
			if is != wanted || one != other || !bytes.Equal(AppendRow(nil, renewed), AppendRow(nil, given)) {
				t.Fatalf("decided anew: %s (%t)\n%x\nby its entry: %s (%t)\n%x", one, is, AppendRow(nil, renewed), other, wanted, AppendRow(nil, given))
			}
			if is {
				changed++
			}
			if event, is := rules.Renew(&renewed.Citizen, "a", clock); is || !bytes.Equal(AppendRow(nil, renewed), AppendRow(nil, given)) {
				t.Fatalf("decided anew a second time: %s", texts([]said{{"a", event}})[0])
			}
			row = renewed
		}
	})
	if changed == 0 {
		t.Error("no change of the catalogue changed a Standing")
	}
}

// TestLawMoreTicksSameStanding: how often the clock ticks changes no Standing,
// not one record of it. With fewer ticks messages may only be missing: a stage
// that the next one in the interval takes the place of, and what is about an
// enrolment that lapses within it.
func TestLawMoreTicksSameStanding(t *testing.T) {
	c, next, back := catalogues(t)
	check(t, func(t *rapid.T) {
		life, clock := drawLife(t, next, back), NoTick
		var finer []step
		for _, s := range life {
			if s.Tick != nil && s.Tick.At > clock {
				from := max(clock, s.Tick.At-60*schemas.Day)
				for _, part := range rapid.SliceOfN(rapid.Int64Range(0, int64(s.Tick.At-from)), 0, 3).Draw(t, "ticks between") {
					finer = append(finer, step{Tick: &schemas.ClockTick{At: from + schemas.Instant(part)}})
				}
				clock = s.Tick.At
			}
			finer = append(finer, s)
		}
		few, more := play(life, newEngine(t, c, 3).step), play(finer, newEngine(t, c, 3).step)
		mustAgree(t, finer, "standing by few ticks", "by more", standings(few), standings(more))
		sent := messages(more)
		for message, n := range messages(few) {
			if sent[message] < n {
				t.Fatalf("%s\nwith more ticks there is no message %s", describe(finer), message)
			}
		}
	})
}

func standings(all []said) []string {
	return texts(slices.DeleteFunc(slices.Clone(all), func(s said) bool { return s.Standing == nil && !s.Left }))
}

// messages counts what each enrolment was told at which instant.
func messages(all []said) map[string]int {
	sent := map[string]int{}
	for _, s := range all {
		var due []schemas.DueBenefit
		var what string
		switch {
		case s.Reminder != nil:
			due, what = s.Reminder.Benefits, "reminder "+s.Reminder.FiresAt.String()
		case s.Visit != nil:
			due, what = s.Visit.Benefits, "visit "+s.Visit.FiresAt.String()
		}
		for _, d := range due {
			sent[what+" "+s.citizen+" "+d.Benefit+" "+d.DueOn.String()]++
		}
	}
	return sent
}

// TestLawOrderFree: where everybody stands after a tick follows from
// everybody's last entry and the tick, whatever was before.
func TestLawOrderFree(t *testing.T) {
	c, _, _ := catalogues(t)
	check(t, func(t *rapid.T) {
		life := drawLife(t)
		last := step{Tick: &schemas.ClockTick{At: schemas.Instant(lastDay+3650) * schemas.Day}}
		var short []step
		for _, s := range life {
			if s.Entry != nil {
				short = slices.DeleteFunc(short, func(earlier step) bool { return earlier.Entry.CitizenID == s.Entry.CitizenID })
				short = append(short, s)
			}
		}
		long := table(play(append(life, last), newEngine(t, c, 3).step))
		brief := table(play(append(short, last), newEngine(t, c, 3).step))
		mustAgree(t, life, "after a whole life", "after its last entries", long, brief)
	})
}

// table is the topic standing as compaction leaves it, without since when.
func table(all []said) (lines []string) {
	rows := map[string]said{}
	for _, s := range all {
		if s.Left {
			delete(rows, s.citizen)
		} else if s.Standing != nil {
			s.Standing.At = 0
			rows[s.citizen] = s
		}
	}
	for _, id := range someCitizens {
		if s, is := rows[id]; is {
			lines = append(lines, s.String())
		}
	}
	return lines
}
