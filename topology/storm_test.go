package topology

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/processors/remind/remindtest"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/facts"
)

// A storm: stormCitizens of three enrolments each, of whom every one has
// something due between two ticks, so that it takes stormRounds transactions.
const (
	stormCitizens = 14_000
	stormRounds   = 4
	stormVictims  = 6
)

var (
	stormBegins = remindtest.Catalogue().Zone.StartOf(schemas.DateOf(2024, 5, 1))
	stormEnds   = remindtest.Catalogue().Zone.StartOf(schemas.DateOf(2024, 5, 2))
)

// stormEntry is what the timer is told of a citizen.
func stormEntry(number int) *schemas.ScheduleEntry {
	pension := []schemas.Date{
		schemas.DateOf(2024, 5, 31), // a reminder is due
		schemas.DateOf(2024, 5, 16), // a visit
		schemas.DateOf(2024, 5, 1),  // the end
	}[number%3]
	oldAge := []schemas.Date{schemas.DateOf(2024, 5, 11), schemas.DateOf(2024, 5, 6)}[number%2] // a reminder, a visit
	e := &schemas.ScheduleEntry{CitizenID: fmt.Sprintf("citizen-%d", number*7919%stormCitizens), Benefits: []schemas.ScheduledBenefit{
		{Benefit: "INJURY", DueOn: schemas.DateOf(2024, 6, 15)}, // a reminder
		{Benefit: "OLDAGE", DueOn: oldAge},
		{Benefit: "PENSION", DueOn: pension},
	}}
	if number < partitionsOfTests {
		e.CitizenID = TickKeys(partitionsOfTests)[number] // the partition's own key is a name like any other
	}
	return e
}

// event is an output of the timer as it stands on a topic.
type event struct {
	topic, key string
	at         schemas.Instant
	value      string
}

func (e event) String() string {
	return fmt.Sprintf("%s of %s at %s: %q", e.topic, e.key, e.at, e.value)
}

// events are outputs by topic and partition.
type events map[string][]event

func (all events) add(partition int, e event) {
	name := fmt.Sprint(e.topic, " ", partition)
	all[name] = append(all[name], e)
}

// fold adds what an offline timer decides.
func (all events) fold(codecs *timerCodecs, outputs []facts.Output, at schemas.Instant) {
	for _, output := range outputs {
		e := event{topic: output.Topic, key: *output.Key, at: at}
		switch record := output.Value.(type) {
		case *schemas.Standing:
			e.value = string(codecs.standing.Append(nil, record))
		case *schemas.ExpiryReminder:
			e.value = string(codecs.reminder.Append(nil, record))
		case *schemas.VisitRequested:
			e.value = string(codecs.visit.Append(nil, record))
		}
		all.add(partitionOf(e.key), e)
	}
}

// events are what the timer has written.
func (w *world) events() events {
	w.t.Helper()
	all := events{}
	for _, r := range w.records(timerOutputs...) {
		all.add(int(r.Partition), event{r.Topic[len(w.prefix):], string(r.Key), schemas.Instant(r.Timestamp.UnixMilli()), string(r.Value)})
	}
	return all
}

// compare complains unless the same stands in the same order, byte for byte.
func (all events) compare(t testing.TB, want events) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		is, should := all[name], want[name]
		for i := range max(len(is), len(should)) {
			if i >= len(is) || i >= len(should) || is[i] != should[i] {
				t.Errorf("%s: there are %d records, want %d; from the first that differs, %d, on there are\n%v\nwant\n%v", name, len(is), len(should), i, is[i:min(i+2, len(is))], should[i:min(i+2, len(should))])
				break
			}
		}
	}
	if len(all) != len(want) {
		t.Errorf("there are records on %v, want %v", slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(want)))
	}
}

// storm makes the records of a storm, its tick by itself, and gives what an
// offline timer makes of them.
func (w *world) storm() (before, tick []*kgo.Record, want events) {
	w.t.Helper()
	fold := newTimerFold(remindtest.Catalogue())
	codecs, err := newTimerCodecs(w.t.Context(), avro.New(nil), "")
	if err != nil {
		w.t.Fatal(err)
	}
	want = events{}
	for number := range stormCitizens {
		e, at := stormEntry(number), stormBegins-schemas.Instant(number)
		before = append(before, w.scheduled(e.CitizenID, e, at)...)
		want.fold(codecs, fold.entry(e.CitizenID, e, at), at)
	}
	begins, ends := &schemas.ClockTick{At: stormBegins}, &schemas.ClockTick{At: stormEnds}
	before = append(before, w.scheduled("", begins, stormBegins)...)
	want.fold(codecs, fold.tick(begins), stormBegins)
	want.fold(codecs, fold.tick(ends), stormEnds)
	return before, w.scheduled("", ends, stormEnds), want
}

func (w *world) put(records []*kgo.Record) {
	w.t.Helper()
	if err := w.client.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// awaitStanding waits until standing is complete up to a tick.
func (w *world) awaitStanding(until schemas.Instant) {
	w.t.Helper()
	w.await("standing is complete up to "+until.String(), func() bool {
		return w.status().StandingUntil.Equal(time.UnixMilli(int64(until)))
	})
}

// transactions counts those by which records came into a partition of a topic:
// between two of them lies a marker.
func transactions(records []*kgo.Record) (n int) {
	slices.SortFunc(records, func(a, b *kgo.Record) int { return int(a.Offset - b.Offset) })
	for i, r := range records {
		if i == 0 || r.Offset > records[i-1].Offset+1 {
			n++
		}
	}
	return n
}

// A tick that has more to say than a transaction holds says it in several, in
// order, none of it twice.
func TestStorm(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	before, tick, want := w.storm()
	w.put(before)
	w.put(tick)
	m := NewMetrics(TimerGroup)
	stop := w.runTimer(RunOptions{Catalogue: remindtest.Catalogue(), Metrics: m})
	w.awaitStanding(stormEnds)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.events().compare(t, want)
	nothingLost(t, m.Totals(), len(before)+len(tick))
	fired := map[int32][]*kgo.Record{}
	for _, r := range w.records(ExpiryReminder) {
		fired[r.Partition] = append(fired[r.Partition], r)
	}
	for partition := range int32(partitionsOfTests) {
		if n := transactions(fired[partition]); n < stormRounds-1 { // in the last one people lapse
			t.Errorf("partition %d of %s got %d records in %d transactions", partition, ExpiryReminder, len(fired[partition]), n)
		}
	}
}

// Whenever the timer is killed in the middle of a storm, and whether its state
// survives or not, the next one goes on as if nothing had been.
func TestStormWithKills(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	w.createTopics()
	before, tick, want := w.storm()
	state := t.TempDir()
	w.put(before)
	stop := w.runTimer(RunOptions{Catalogue: remindtest.Catalogue(), State: state})
	w.awaitStanding(stormBegins)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.put(tick)
	for committed, victims := int64(0), 0; victims < stormVictims; {
		v := drawVictim(random)
		if committed+v.commits() >= stormRounds {
			continue // the storm might be over
		}
		v.Group, v.State, v.Catalogue = TimerGroup, state, readFile(t, "../processors/remind/remindtest/catalogue.yaml")
		if random.IntN(3) == 0 {
			v.State = t.TempDir()
			state = v.State
		}
		w.sacrifice(v)
		committed += v.commits()
		victims++
	}
	if at := w.status().StandingUntil; !at.Equal(time.UnixMilli(int64(stormBegins))) {
		t.Errorf("the storm was over when the last one was killed: standing is complete up to %v", at)
	}
	stop = w.runTimer(RunOptions{Catalogue: remindtest.Catalogue(), State: state})
	w.awaitStanding(stormEnds)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.events().compare(t, want)
}
