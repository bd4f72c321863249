package topology

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/processors/remind"
	"github.com/vouch-engine/vouch/processors/remind/remindtest"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/schemas/facts"
)

const awkward = "testdata/examples/awkward/1.facts.ndjson"

// awkwardFacts are an example's with some of its many ticks, of which each is a
// transaction.
func awkwardFacts(t testing.TB) string {
	t.Helper()
	var kept strings.Builder
	ticks := 0
	for line := range strings.Lines(readFile(t, awkward)) {
		if strings.HasPrefix(line, `{"topic": "clock"`) {
			if ticks++; ticks%20 > 0 {
				continue
			}
		}
		kept.WriteString(line)
	}
	return kept.String()
}

// nextCatalogue is the text of what becomes of the awkward examples' catalogue
// a version later: a benefit is gone, others have another cycle, more days of
// grace, other days on which nobody lapses.
func nextCatalogue(t testing.TB) string {
	t.Helper()
	var c map[string]any
	if err := json.Unmarshal([]byte(readFile(t, "testdata/examples/awkward/catalogue.json")), &c); err != nil {
		t.Fatal(err)
	}
	c["version"] = 2
	c["no_lapse"] = []any{map[string]any{"from": "2024-05-01", "to": "2024-07-31"}}
	var kept []any
	for _, listed := range c["benefits"].([]any) {
		b := listed.(map[string]any)
		switch b["code"] {
		case "WINC":
			continue
		case "URRP":
			b["grace_days"] = 400
		case "RDIBAO", "OLDAGE":
			b["cycle_months"] = 6
		}
		if exclusive, is := b["exclusive_with"].([]any); is {
			b["exclusive_with"] = slices.DeleteFunc(exclusive, func(code any) bool { return code == "WINC" })
		}
		kept = append(kept, b)
	}
	c["benefits"] = kept
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func loadCatalogue(t testing.TB, text string) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Load("catalogue.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// settle lets one process of a group work until it has caught up, and waits for
// a pass that is due in it.
func (w *world) settle(newMember func(context.Context, RunOptions) (*member, error), o RunOptions) {
	w.t.Helper()
	m, err := newMember(w.t.Context(), w.options(o))
	if err != nil {
		w.t.Fatal(err)
	}
	stop := w.start(func(ctx context.Context, _ RunOptions) error { return m.work(ctx) }, o)
	w.await("it is ready and has caught up", func() bool { return m.ready() == nil && w.group(m.name).CaughtUp() })
	if err := stop(); err != nil {
		w.t.Fatal(err)
	}
}

// entries are the citizens' entries on schedule that were written under a
// catalogue, each citizen's in order.
func (w *world) entries(c *catalogue.Catalogue) map[string][]*schemas.ScheduleEntry {
	w.t.Helper()
	of := map[string][]*schemas.ScheduleEntry{}
	decoder, ticks := avro.NewDecoder[schemas.ScheduleEntry](w.codec), avro.NewInternalEncoder[schemas.ClockTick]()
	for _, r := range w.records(Schedule) {
		if ticks.Wrote(r.Value) {
			continue
		}
		entry := new(schemas.ScheduleEntry)
		if err := decoder.Decode(w.t.Context(), r.Value, entry); err != nil {
			w.t.Fatal(err)
		}
		if entry.Catalogue == c.Hash() {
			of[entry.CitizenID] = append(of[entry.CitizenID], entry)
		}
	}
	return of
}

// standings are each citizen's, in order, without since when; "[]" where it is
// taken back. It complains where two in a row say the same.
func (w *world) standings() map[string][]string {
	w.t.Helper()
	of := map[string][]string{}
	decoder := avro.NewDecoder[schemas.Standing](w.codec)
	for _, r := range w.records(Standing) {
		text, id := "[]", string(r.Key)
		if r.Value != nil {
			var s schemas.Standing
			if err := decoder.Decode(w.t.Context(), r.Value, &s); err != nil {
				w.t.Fatal(err)
			}
			text = standingText(w.t, s.Benefits)
		}
		before := of[id]
		if len(before) > 0 && before[len(before)-1] == text {
			w.t.Errorf("%s stands twice running as %s", id, text)
		}
		of[id] = append(before, text)
	}
	return of
}

func standingText(t testing.TB, benefits []schemas.BenefitStanding) string {
	t.Helper()
	text, err := json.Marshal(benefits)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// standsBy is how a citizen must stand by a time, by the last entry.
func standsBy(t testing.TB, c *catalogue.Catalogue, entry *schemas.ScheduleEntry, by schemas.Instant) string {
	t.Helper()
	all := []schemas.BenefitStanding{}
	for _, b := range entry.Benefits {
		benefit, known := c.BenefitIndex(b.Benefit)
		if !known {
			t.Fatalf("an entry has a benefit that the catalogue does not know: %s", b.Benefit)
		}
		s := schemas.BenefitStanding{Benefit: b.Benefit, DueOn: b.DueOn, Reasons: append([]string{}, b.Reasons...), Status: schemas.Good}
		switch {
		case slices.Contains(s.Reasons, "deceased"):
			s.Status = schemas.Terminated
		case len(s.Reasons) > 0:
			s.Status = schemas.Suspended
		}
		if c.Zone.StartOf(c.LapseOn(benefit, b.DueOn)) <= by {
			if s.Reasons = append(s.Reasons, "lapsed"); s.Status == schemas.Good {
				s.Status = schemas.Lapsed
			}
			slices.Sort(s.Reasons)
		}
		all = append(all, s)
	}
	return standingText(t, all)
}

// once complains unless every citizen who had an entry has got exactly one more.
func once(t testing.TB, before, after map[string][]*schemas.ScheduleEntry) {
	t.Helper()
	for id := range before {
		if n := len(after[id]); n != 1 {
			t.Errorf("%s got %d entries in the pass", id, n)
		}
	}
	if len(before) == 0 || len(after) != len(before) {
		t.Errorf("%d citizens got an entry in the pass, %d had one before", len(after), len(before))
	}
}

// Under another catalogue everybody is decided anew: each citizen's entry is
// written once more, standing moves where it has changed and only there,
// nothing is announced or revoked. Whether certifier or timer is given the
// catalogue first, all come to stand in the same place. Neither goes back.
func TestChangeOfCatalogue(t *testing.T) {
	first, next := exampleCatalogue(t, awkward), loadCatalogue(t, nextCatalogue(t))
	tables := map[string]map[string]string{}
	for _, order := range []string{CertifierGroup, TimerGroup} {
		t.Run(order+" first", func(t *testing.T) {
			w := newWorld(t)
			w.createTopics()
			if err := w.produce(awkwardFacts(t)); err != nil {
				t.Fatal(err)
			}
			certifier, timer := RunOptions{State: t.TempDir(), Catalogue: first}, RunOptions{State: t.TempDir(), Catalogue: first}
			certify, remind := func() { w.settle(certifierMember, certifier) }, func() { w.settle(timerMember, timer) }
			certify()
			announced, before := w.written(certifierOutputs), w.entries(first)
			remind()
			stood := w.standings()
			if order == TimerGroup {
				timer.Catalogue = next
				remind()
			}
			certifier.Catalogue = next
			certify()
			after := w.entries(next)
			once(t, before, after)
			compareSets(t, w.written(certifierOutputs), announced)
			remind() // certifier first: the old timer reads what the new certifier wrote
			timer.Catalogue = next
			remind()
			tables[order] = w.stand(next, after, stood)
			w.refused(RunCertifier, RunOptions{Catalogue: first})
			w.refused(RunTimer, RunOptions{Catalogue: first})
		})
	}
	if !maps.Equal(tables[CertifierGroup], tables[TimerGroup]) {
		t.Error("standing depends on which of the two has the catalogue first")
	}
}

func certifierMember(ctx context.Context, o RunOptions) (*member, error) {
	return newCertifier(ctx, o.withDefaults(CertifierGroup))
}

func timerMember(ctx context.Context, o RunOptions) (*member, error) {
	return newTimer(ctx, o.withDefaults(TimerGroup))
}

// stand complains unless everybody stands as the last entry says, and gives
// that; somebody's standing must have moved, and somebody's not.
func (w *world) stand(c *catalogue.Catalogue, entries map[string][]*schemas.ScheduleEntry, before map[string][]string) map[string]string {
	w.t.Helper()
	table, moved, stayed, standings := map[string]string{}, 0, 0, w.standings()
	by := schemas.Instant(w.status().StandingUntil.UnixMilli())
	for id, of := range entries {
		table[id] = standsBy(w.t, c, of[len(of)-1], by)
		is, was := "[]", "[]"
		if all := standings[id]; len(all) > 0 {
			is = all[len(all)-1]
		}
		if all := before[id]; len(all) > 0 {
			was = all[len(all)-1]
		}
		if is != table[id] {
			w.t.Errorf("%s stands as %s, want %s", id, is, table[id])
		}
		if is != was {
			moved++
		} else {
			stayed++
		}
	}
	if moved == 0 || stayed == 0 {
		w.t.Errorf("%d moved and %d stayed", moved, stayed)
	}
	return table
}

// refused complains unless a process with the catalogue before is refused.
func (w *world) refused(run func(context.Context, RunOptions) error, o RunOptions) {
	w.t.Helper()
	ctx, stop := context.WithTimeout(w.t.Context(), awaitMax)
	defer stop()
	if err := run(ctx, w.options(o)); err == nil || !strings.Contains(err.Error(), "version 2 of the catalogue, and this instance has version 1: give it the later one with --catalogue") {
		w.t.Errorf("with the catalogue before it ended with %v", err)
	}
}

// On demand everything is written again under the same catalogue, and once in
// the life of a process, however often its partitions come and go.
func TestResend(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	if err := w.produce(awkwardFacts(t)); err != nil {
		t.Fatal(err)
	}
	c, state := exampleCatalogue(t, awkward), t.TempDir()
	w.settle(certifierMember, RunOptions{State: state, Catalogue: c})
	before, announced := w.entries(c), w.written(certifierOutputs)
	metrics := NewMetrics(CertifierGroup)
	stop := w.run(RunOptions{State: state, Catalogue: c, Resend: true, Metrics: metrics})
	members := func(n, running int) {
		w.await(fmt.Sprintf("%d members share the work", n), func() bool {
			g := w.group(CertifierGroup)
			return g.Members == n && g.State == "Stable" && gauge(t, metrics, metricAssigned) == running && gauge(t, metrics, metricRunning) == running
		})
	}
	members(1, partitionsOfTests)
	resent := func() bool {
		after := w.entries(c)
		for id := range before {
			if len(after[id]) != len(before[id])+1 {
				return false
			}
		}
		return true
	}
	w.await("everybody's entry is written again", resent)
	leave := w.run(RunOptions{Instance: "1", Catalogue: c})
	members(2, partitionsOfTests/2)
	if err := leave(); err != nil {
		t.Fatal(err)
	}
	members(1, partitionsOfTests)
	tick := `{"topic":"clock","at":"2025-01-01T00:00:00.000Z","value":{"at":"1999-01-01T00:00:00.000Z"}}`
	if err := w.produce(tick); err != nil {
		t.Fatal(err)
	}
	w.awaitRead(metrics, partitionsOfTests)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if !resent() {
		t.Error("when partitions came back their entries were written once more")
	}
	compareSets(t, w.written(certifierOutputs), announced)
}

// gauge is the value of a gauge without labels of its own.
func gauge(t testing.TB, m *Metrics, name string) int {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return int(family.Metric[0].Gauge.GetValue())
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// passCitizens are enough for a pass of several transactions where it is slow.
const (
	passCitizens = 6_000
	passVictims  = 4
)

// Whenever certifier and timer are killed in the middle of a pass, the next one
// goes on with it: each citizen is decided anew once.
func TestPassWithKills(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	w.createTopics()
	w.enrol(passCitizens)
	first, next := exampleCatalogue(t, awkward), loadCatalogue(t, nextCatalogue(t))
	certifier, timer := t.TempDir(), t.TempDir()
	w.settle(certifierMember, RunOptions{State: certifier, Catalogue: first})
	before := w.entries(first)
	w.settle(timerMember, RunOptions{State: timer, Catalogue: first})
	stood := w.standings()
	w.victims(random, CertifierGroup, &certifier)
	w.settle(certifierMember, RunOptions{State: certifier, Catalogue: next})
	after := w.entries(next)
	once(t, before, after)
	w.victims(random, TimerGroup, &timer)
	w.settle(timerMember, RunOptions{State: timer, Catalogue: next})
	w.stand(next, after, stood)
	for _, topic := range []string{Schedule, Standing} { // else nobody was killed in the middle
		var passed []*kgo.Record
		for _, r := range w.records(topic) {
			if r.Partition == 0 && r.Timestamp.Equal(time.UnixMilli(int64(passClock))) {
				passed = append(passed, r)
			}
		}
		if n := transactions(passed); n < 2 {
			t.Errorf("a pass wrote %d records to a partition of %s in %d transactions", len(passed), topic, n)
		}
	}
}

// passClock is the tick that stands before a pass.
var passClock = schemas.Instant(schemas.DateOf(2024, 8, 15)) * schemas.Day

// enrol puts citizens of two benefits each, every second of whom has lapsed by
// a tick.
func (w *world) enrol(citizens int) {
	w.t.Helper()
	encoders, err := NewEncoders(w.t.Context(), w.codec, w.prefix)
	if err != nil {
		w.t.Fatal(err)
	}
	var records []*kgo.Record
	at := passClock - schemas.Day
	for i := range citizens {
		id := fmt.Sprint("citizen-", i)
		if i < partitionsOfTests {
			id = TickKeys(partitionsOfTests)[i] // the partition's own key is a name like any other
		}
		since := schemas.DateOf(2023, 8, 1) - schemas.Date(i%2*90)
		for _, benefit := range []string{"URRP", "MINBAN"} {
			value := encoders.roster.Append(nil, &schemas.RosterEntry{EntryID: "r", CitizenID: id, Benefit: benefit, Op: schemas.Enrol, RecordedAt: at, EffectiveOn: since})
			records = append(records, &kgo.Record{Topic: w.prefix + Roster, Key: []byte(id), Value: value, Timestamp: time.UnixMilli(int64(at))})
		}
	}
	w.put(records)
	tick := fmt.Sprintf(`{"topic":"clock","at":%q,"value":{"at":%q}}`, passClock, passClock)
	if err := w.produce(tick); err != nil {
		w.t.Fatal(err)
	}
}

// victims of a group die in the pass under the next catalogue, the first one
// when it has committed a part of it.
func (w *world) victims(random *rand.Rand, group string, state *string) {
	w.t.Helper()
	v := victim{Key: keyEndTxn, Count: 1, Sent: true}
	for range passVictims {
		if random.IntN(3) == 0 {
			*state = w.t.TempDir()
		}
		v.Group, v.State, v.Catalogue = group, *state, nextCatalogue(w.t)
		w.sacrifice(v)
		for v = drawVictim(random); v.commits() > 0; v = drawVictim(random) {
			continue
		}
	}
}

// A tick that was cut into rounds when the catalogue changed is finished by the
// rows under which it began; the pass comes behind it.
func TestPassWaitsForATick(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	before, tick, want := w.storm()
	w.put(before)
	state := t.TempDir()
	stop := w.runTimer(RunOptions{Catalogue: remindtest.Catalogue(), State: state})
	w.awaitStanding(stormBegins)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.put(tick)
	w.sacrifice(victim{Group: TimerGroup, State: state, Catalogue: readFile(t, "../processors/remind/remindtest/catalogue.yaml"), Key: keyEndTxn, Count: 2, Sent: true})
	w.settle(timerMember, RunOptions{Catalogue: remindtest.Next(), State: state})
	codecs, err := newTimerCodecs(t.Context(), w.codec, w.prefix)
	if err != nil {
		t.Fatal(err)
	}
	rows, rules := map[string]*remind.Citizen{}, remind.New(remindtest.Next())
	for number := range stormCitizens {
		e := stormEntry(number)
		rows[e.CitizenID] = new(remind.Citizen)
		remind.New(remindtest.Catalogue()).OnEntry(rows[e.CitizenID], e, stormBegins-schemas.Instant(number), remind.NoTick)
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if said, is := rules.Renew(rows[id], id, stormEnds); is {
			want.fold(codecs, []facts.Output{eventOutput(id, said)}, stormEnds)
		}
	}
	w.events().compare(t, want)
}
