package remind

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// catalogues are those of the scripts: one, what became of it, and the first
// one again as the version after it.
func catalogues(t testing.TB) (one, next, back *catalogue.Catalogue) {
	t.Helper()
	load := func(name, version string) *catalogue.Catalogue {
		text, err := os.ReadFile("remindtest/" + name)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(string(text), "\nversion: ")
		c, err := catalogue.Load(name, []byte("version: "+version+rest[1:]))
		if err != nil || !found {
			t.Fatalf("%s: %v", name, err)
		}
		return c
	}
	return load("catalogue.yaml", "1"), load("next.yaml", "2"), load("catalogue.yaml", "3")
}

// step is what a timer is given: an entry at its Kafka timestamp or a tick, or
// another catalogue, under which the program is started again, which decides
// everybody anew.
type step struct {
	Entry     *schemas.ScheduleEntry
	At        schemas.Instant
	Tick      *schemas.ClockTick
	catalogue *catalogue.Catalogue
}

// said is an event with its citizen.
type said struct {
	citizen string
	Event
}

// String is the event as JSON, with which events are compared.
func (s said) String() string {
	text, err := json.Marshal(s.Event)
	if err != nil {
		panic(err)
	}
	return s.citizen + " " + string(text)
}

func texts(all []said) []string {
	var lines []string
	for _, s := range all {
		lines = append(lines, s.String())
	}
	return lines
}

// model is the timer as the specification tells it: it looks at everybody at
// every tick, and remembers what it wrote. Shanghai is eight hours ahead of UTC
// in all the years of a test.
type model struct {
	catalogue *catalogue.Catalogue
	clock     schemas.Instant
	citizens  map[string]*modelled
}

type modelled struct {
	entry     *schemas.ScheduleEntry
	at, clock schemas.Instant
	under     *catalogue.Catalogue
	written   string // the benefits of the last Standing, as JSON; empty if there is none
}

const shanghai = 8 * 60 * schemas.Minute

func newModel(c *catalogue.Catalogue) *model {
	return &model{catalogue: c, clock: NoTick, citizens: map[string]*modelled{}}
}

func (m *model) step(s step) []said {
	switch {
	case s.catalogue != nil:
		return m.renew(s.catalogue)
	case s.Entry != nil:
		return m.entry(s.Entry, s.At)
	default:
		return m.tick(s.Tick.At)
	}
}

// renew changes the catalogue of all, in the order of their ids.
func (m *model) renew(under *catalogue.Catalogue) (all []said) {
	m.catalogue = under
	for _, id := range slices.Sorted(maps.Keys(m.citizens)) {
		m.citizens[id].under = under
		all = append(all, m.citizens[id].write(m.clock)...)
	}
	return all
}

func (m *model) entry(e *schemas.ScheduleEntry, at schemas.Instant) []said {
	c := m.citizens[e.CitizenID]
	if c == nil {
		c = &modelled{}
		m.citizens[e.CitizenID] = c
	}
	c.entry, c.at, c.clock, c.under = e, at, NoTick, m.catalogue
	if e.Clock != nil {
		c.clock = *e.Clock
	}
	return c.write(m.clock)
}

// benefits are those that count.
func (c *modelled) benefits() (known []schemas.ScheduledBenefit) {
	for _, b := range c.entry.Benefits {
		if _, is := c.under.BenefitIndex(b.Benefit); is {
			known = append(known, b)
		}
	}
	return known
}

// write writes the Standing of a time if it is another than the last one.
func (c *modelled) write(by schemas.Instant) []said {
	s := schemas.Standing{CitizenID: c.entry.CitizenID, At: c.at, Benefits: []schemas.BenefitStanding{}, Catalogue: c.under.Hash()}
	for _, b := range c.benefits() {
		status, reasons := schemas.Good, append([]string{}, b.Reasons...)
		if lapse := c.lapse(b); lapse <= max(by, c.clock) {
			s.At = max(s.At, lapse)
			status, reasons = schemas.Lapsed, append(reasons, "lapsed")
			slices.Sort(reasons)
		}
		if len(b.Reasons) > 0 {
			status = schemas.Suspended
		}
		if slices.Contains(b.Reasons, "deceased") {
			status = schemas.Terminated
		}
		s.Benefits = append(s.Benefits, schemas.BenefitStanding{Benefit: b.Benefit, Status: status, Reasons: reasons, DueOn: b.DueOn})
	}
	text, _ := json.Marshal(s.Benefits)
	before := c.written
	if c.written = string(text); len(s.Benefits) == 0 {
		c.written = ""
	}
	switch {
	case c.written == before:
		return nil
	case c.written == "":
		return []said{{s.CitizenID, Event{Left: true}}}
	}
	return []said{{s.CitizenID, Event{Standing: &s}}}
}

func (c *modelled) benefit(b schemas.ScheduledBenefit) *catalogue.Benefit {
	i, _ := c.under.BenefitIndex(b.Benefit)
	return &c.under.Benefits[i]
}

func (c *modelled) lapse(b schemas.ScheduledBenefit) schemas.Instant {
	day := b.DueOn + schemas.Date(c.benefit(b).GraceDays) + 1
	for slices.ContainsFunc(c.under.NoLapse, func(s catalogue.Span) bool {
		return s.From <= day && day <= s.To && (s.Benefit == "" || s.Benefit == b.Benefit)
	}) {
		day++
	}
	return schemas.Instant(day)*schemas.Day - shanghai
}

// instant is that of a message some days before a benefit is due.
func (c *modelled) instant(b schemas.ScheduledBenefit, days int) schemas.Instant {
	minute := c.under.SendAt + spread(c.entry.CitizenID, c.under.SpreadMinutes)
	return schemas.Instant(b.DueOn-schemas.Date(days))*schemas.Day + schemas.Instant(minute)*schemas.Minute - shanghai
}

// fired is an event with its place in the order of a tick.
type fired struct {
	at   schemas.Instant
	kind int
	said
}

func (m *model) tick(to schemas.Instant) []said {
	if to <= m.clock {
		return nil
	}
	messagesFrom := m.clock
	if m.clock == NoTick {
		messagesFrom = (to+shanghai)/schemas.Day*schemas.Day - shanghai
	}
	var all []fired
	for _, c := range m.citizens {
		all = append(all, c.lapses(m.clock, to)...)
		all = append(all, c.messages(messagesFrom, to)...)
	}
	m.clock = to
	slices.SortFunc(all, func(a, b fired) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.citizen, b.citizen), cmp.Compare(a.kind, b.kind))
	})
	var events []said
	for _, f := range all {
		events = append(events, f.said)
	}
	return events
}

func (c *modelled) lapses(from, to schemas.Instant) (all []fired) {
	var instants []schemas.Instant
	for _, b := range c.benefits() {
		if lapse := c.lapse(b); from < lapse && lapse <= to {
			instants = append(instants, lapse)
		}
	}
	slices.Sort(instants)
	for _, at := range instants {
		for _, s := range c.write(at) {
			all = append(all, fired{at, 0, s})
		}
	}
	return all
}

// messages puts what fires of each enrolment under its instant.
func (c *modelled) messages(from, to schemas.Instant) (all []fired) {
	stage := map[schemas.Instant]int{}
	reminded, visited := map[schemas.Instant][]schemas.DueBenefit{}, map[schemas.Instant][]schemas.DueBenefit{}
	for _, b := range c.benefits() {
		if len(b.Reasons) > 0 || c.lapse(b) <= max(to, c.clock) {
			continue
		}
		due := schemas.DueBenefit{Benefit: b.Benefit, Department: c.benefit(b).Department, DueOn: b.DueOn,
			DaysLeft: int32(schemas.Instant(b.DueOn) - (to+shanghai)/schemas.Day)}
		last := schemas.Instant(NoTick)
		for i, days := range c.benefit(b).Reminders {
			if at := c.instant(b, days); from < at && at <= to {
				last = at
				stage[at] = max(stage[at], i)
			}
		}
		if last != NoTick {
			reminded[last] = append(reminded[last], due)
		}
		if at := c.instant(b, c.benefit(b).VisitDays); from < at && at <= to {
			visited[at] = append(visited[at], due)
		}
	}
	e := c.entry
	for at, due := range reminded {
		r := schemas.ExpiryReminder{CitizenID: e.CitizenID, FiresAt: at, Benefits: due, Region: e.Region, Phone: e.Phone, Catalogue: c.under.Hash()}
		for _, d := range due { // the stage is the greatest of theirs, not of those that do not fire
			for i, days := range c.benefit(schemas.ScheduledBenefit{Benefit: d.Benefit}).Reminders {
				if c.instant(schemas.ScheduledBenefit{Benefit: d.Benefit, DueOn: d.DueOn}, days) == at {
					r.Stage = max(r.Stage, int32(i))
				}
			}
		}
		r.EventID = schemas.EventID("reminder", e.CitizenID, fmt.Sprint(r.Stage), dues(due))
		all = append(all, fired{at, 1, said{e.CitizenID, Event{Reminder: &r}}})
	}
	for at, due := range visited {
		v := schemas.VisitRequested{CitizenID: e.CitizenID, FiresAt: at, Benefits: due, Region: e.Region, Phone: e.Phone, Catalogue: c.under.Hash(),
			EventID: schemas.EventID("visit", e.CitizenID, dues(due)), Priority: "NORMAL", LastSeenAt: e.LastSeenAt, Leads: append([]schemas.Lead{}, e.Leads...)}
		kinds, sources := map[string]bool{}, map[string]bool{}
		for _, w := range e.Weak {
			if w.OccurredAt <= at && at-w.OccurredAt <= 90*schemas.Day {
				kinds[w.Kind], sources[w.Source] = true, true
			}
		}
		if len(kinds) >= 3 && len(sources) >= 2 {
			v.Priority = "LOW"
		}
		if e.LastSeenAt == nil || at-*e.LastSeenAt > 180*schemas.Day {
			v.Priority = "HIGH"
		}
		all = append(all, fired{at, 2, said{e.CitizenID, Event{Visit: &v}}})
	}
	return all
}

func dues(due []schemas.DueBenefit) string {
	var all []string
	for _, d := range due {
		all = append(all, d.Benefit+":"+d.DueOn.String())
	}
	return strings.Join(all, "\n")
}

// engine is the timer as it runs on a broker: rows are bytes, a tick is taken
// from the due index that they give, round by round, and so is a pass over the
// rows.
type engine struct {
	t     *rapid.T
	rules *Rules
	round int // entries judged, or citizens decided anew, in a transaction
	rows  map[string][]byte
	index map[string]bool
	stale bool // entries of rows that have moved on stay in the index
	used  Row  // into which the rows of fires are read, one after the other
}

// tickRow is the key of the tick's row; it is a citizen's too.
const tickRow = "7"

func newEngine(t *rapid.T, c *catalogue.Catalogue, round int) *engine {
	e := &engine{t: t, round: round, rows: map[string][]byte{}, index: map[string]bool{}}
	e.start(c)
	e.pass()
	return e
}

// start starts the program under a catalogue.
func (e *engine) start(c *catalogue.Catalogue) {
	e.rules = New(c)
	row := e.row(tickRow)
	if row.Partition == nil {
		row.Partition = NewPartition()
	}
	if err := e.rules.Begin(row.Partition); err != nil {
		e.t.Fatal(err)
	}
	e.set(tickRow, row)
}

// pass is what a partition does before its first input.
func (e *engine) pass() (all []said) {
	for e.row(tickRow).Partition.PassDue() {
		all = append(all, e.renew()...)
	}
	return all
}

// renew is one transaction of a pass.
func (e *engine) renew() (all []said) {
	partition, citizens := e.row(tickRow).Partition, slices.Sorted(maps.Keys(e.rows))
	behind, found := slices.BinarySearch(citizens, partition.PassCursor)
	if found {
		behind++
	}
	citizens = citizens[behind:]
	for _, id := range citizens[:min(e.round, len(citizens))] {
		row := e.row(id)
		if event, is := e.rules.Renew(&row.Citizen, id, partition.Clock); is {
			all = append(all, said{id, event})
		}
		e.set(id, row)
		partition.Passed(id)
	}
	if len(citizens) <= e.round {
		partition.EndPass()
	}
	row := e.row(tickRow)
	row.Partition = partition
	e.set(tickRow, row)
	return all
}

func (e *engine) row(key string) *Row {
	if e.rows[key] == nil {
		return &Row{}
	}
	row, err := DecodeRow(e.rows[key])
	if err != nil {
		e.t.Fatal(err)
	}
	if again := AppendRow(nil, row); !bytes.Equal(again, e.rows[key]) {
		e.t.Fatalf("a row came back from its bytes as another:\n%x\n%x", e.rows[key], again)
	}
	return row
}

// citizen reads a citizen's row for a fire.
func (e *engine) citizen(id string) *Citizen {
	if e.rows[id] == nil {
		return &Citizen{}
	}
	if err := DecodeRowInto(&e.used, e.rows[id]); err != nil {
		e.t.Fatal(err)
	}
	if again := AppendRow(nil, &e.used); !bytes.Equal(again, e.rows[id]) {
		e.t.Fatalf("a row read into a used one came back as another:\n%x\n%x", e.rows[id], again)
	}
	return &e.used.Citizen
}

func (e *engine) entries(key string, row []byte) (all []string) {
	if row == nil {
		return nil
	}
	if err := DueEntries(key, row, func(entry []byte) { all = append(all, string(entry)) }); err != nil {
		e.t.Fatal(err)
	}
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		e.t.Fatalf("entries of a row are not in order, each once: %q", all)
	}
	return all
}

func (e *engine) set(key string, row *Row) {
	for _, entry := range e.entries(key, e.rows[key]) {
		if !e.stale {
			delete(e.index, entry)
		}
	}
	if row.Empty() {
		delete(e.rows, key)
		return
	}
	e.rows[key] = AppendRow(nil, row)
	for _, entry := range e.entries(key, e.rows[key]) {
		e.index[entry] = true
	}
}

func (e *engine) step(s step) (all []said) {
	switch {
	case s.catalogue != nil:
		e.start(s.catalogue)
		return e.pass()
	case s.Entry != nil:
		row, clock := e.row(s.Entry.CitizenID), e.row(tickRow).Partition.Clock
		if event, is := e.rules.OnEntry(&row.Citizen, s.Entry, s.At, clock); is {
			all = append(all, said{s.Entry.CitizenID, event})
		}
		e.set(s.Entry.CitizenID, row)
	default:
		for over := false; !over; {
			var events []said
			events, over = e.fire(s.Tick)
			all = append(all, events...)
		}
	}
	return all
}

// fire is one round of a tick.
func (e *engine) fire(t *schemas.ClockTick) (events []said, over bool) {
	row := e.row(tickRow)
	interval, fires := e.rules.OnTick(row.Partition, t)
	if !fires {
		return nil, true
	}
	from, to := row.Partition.Range(interval)
	var entries []string
	for entry := range e.index {
		if string(from) <= entry && entry < string(to) {
			entries = append(entries, entry)
		}
	}
	slices.Sort(entries)
	over = len(entries) <= e.round
	for _, entry := range entries[:min(e.round, len(entries))] {
		due, err := DecodeDue([]byte(entry))
		if err != nil {
			e.t.Fatal(err)
		}
		if due.At <= interval.after || due.At > interval.to {
			e.t.Fatalf("the range of the tick from %s to %s holds an entry of %s", interval.after, interval.to, due.At)
		}
		if event, is := interval.Fire(e.citizen(due.Citizen), due); is {
			events = append(events, said{due.Citizen, event})
		}
		row.Partition.Cursor = entry
	}
	if over {
		row.Partition.Over(interval)
	}
	e.set(tickRow, row)
	return events, over
}
