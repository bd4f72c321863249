package topology

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/processors/remind/remindtest"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
)

// aDay is when the tests of this file play.
var aDay = remindtest.Catalogue().Zone.StartOf(schemas.DateOf(2024, 5, 1))

// entryOf is an entry of a citizen with one pension.
func entryOf(citizen string, dueOn schemas.Date) *schemas.ScheduleEntry {
	return &schemas.ScheduleEntry{CitizenID: citizen, Benefits: []schemas.ScheduledBenefit{{Benefit: "PENSION", DueOn: dueOn}}}
}

// What no certifier writes to schedule lies in quarantine as it came, and the
// timer goes on.
func TestForeignRecordsOnSchedule(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	entry, tick := encodeScheduled(t, entryOf("c", schemas.DateOf(2024, 5, 31))), encodeScheduled(t, &schemas.ClockTick{At: aDay})
	unknown := slices.Clone(entry)
	unknown[5]++
	inputs := map[string]*kgo.Record{
		"no value":                       {Key: []byte("c")},
		"neither key nor value":          {},
		"an empty value":                 {Key: []byte("c"), Value: []byte{}},
		"nonsense":                       {Key: []byte("c"), Value: []byte("nonsense")},
		"half an entry":                  {Key: []byte("c"), Value: entry[:len(entry)-3]},
		"half a tick":                    {Key: []byte("any"), Value: tick[:len(tick)-2]},
		"another schema":                 {Key: []byte("c"), Value: unknown},
		"an entry under another's key":   {Key: []byte("d"), Value: entry},
		"an entry under no key":          {Value: entry},
		"a tick under a citizen's key":   {Key: []byte("c"), Value: tick},
		"a tick of another partition":    {Key: []byte(TickKeys(partitionsOfTests)[1]), Partition: 0, Value: tick},
		"a tick under a key and headers": {Key: []byte("c"), Value: tick, Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("1")}}},
	}
	by, err := w.connect(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer by.Close()
	for name, record := range inputs {
		record.Topic, record.Timestamp = w.prefix+Schedule, time.UnixMilli(int64(aDay))
		if err := by.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	w.put(w.scheduled("c", entryOf("c", schemas.DateOf(2024, 5, 31)), aDay))
	m := NewMetrics(TimerGroup)
	stop := w.runTimer(RunOptions{Catalogue: remindtest.Catalogue(), Metrics: m})
	w.awaitRead(m, len(inputs)+1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	nothingLost(t, m.Totals(), len(inputs)+1)
	want := map[certify.Refusal]int{certify.NullValue: 2, certify.Undecodable: 4, certify.UnknownSchema: 1, certify.KeyMismatch: 5}
	if got := m.Totals().Quarantined; !maps.Equal(got, want) {
		t.Errorf("quarantined %v, want %v", got, want)
	}
	kept := map[string]*kgo.Record{}
	for _, r := range w.records(Quarantine) {
		kept[header(r, headerTopic)+" "+header(r, headerOffset)] = r
	}
	for name, in := range inputs {
		out := kept[fmt.Sprint(in.Topic, " ", in.Offset)]
		if out == nil || !bytes.Equal(in.Key, out.Key) || (in.Key == nil) != (out.Key == nil) || !bytes.Equal(in.Value, out.Value) || (in.Value == nil) != (out.Value == nil) ||
			!in.Timestamp.Equal(out.Timestamp) || header(in, "trace") != header(out, "trace") {
			t.Errorf("%s: it lies in quarantine as %+v", name, out)
		}
	}
	if said := w.records(timerOutputs...); len(said) != 1 || string(said[0].Key) != "c" {
		t.Errorf("the timer wrote %d records", len(said))
	}
}

// offsets are where the partitions of schedule begin, and what the timer has
// committed of them.
func (w *world) offsets() (starts, committed []int64) {
	w.t.Helper()
	admin := kadm.NewClient(w.client)
	all, err := admin.ListStartOffsets(w.t.Context(), w.prefix+Schedule)
	if err != nil {
		w.t.Fatal(err)
	}
	group, err := admin.FetchOffsets(w.t.Context(), w.prefix+TimerGroup)
	if err != nil {
		w.t.Fatal(err)
	}
	for partition := range int32(partitionsOfTests) {
		start, _ := all.Lookup(w.prefix+Schedule, partition)
		offset, found := group.Lookup(w.prefix+Schedule, partition)
		if !found {
			offset.At = -1
		}
		starts, committed = append(starts, start.Offset), append(committed, offset.At)
	}
	return starts, committed
}

// What the timer has read and committed is purged, and nothing else; a restart
// goes on, with its state or without.
func TestPurge(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	var records []*kgo.Record
	for i := range 40 {
		records = append(records, w.scheduled(fmt.Sprint("c", i), entryOf(fmt.Sprint("c", i), schemas.DateOf(2024, 5, 31)), aDay)...)
	}
	w.put(records)
	metrics := NewMetrics(TimerGroup)
	m, stop := w.timerMember(RunOptions{Catalogue: remindtest.Catalogue(), Metrics: metrics})
	w.await("all is committed", func() bool { return w.group(TimerGroup).CaughtUp() })
	open := w.transaction(Schedule, 0, "nonsense")
	w.put(records)
	w.await("it has caught up where nothing is open", func() bool {
		return metrics.Totals().Read >= 2*len(records)-len(w.inPartition(records, 0))
	})
	w.await("the rest is committed", func() bool {
		_, committed := w.offsets()
		return int(slices.Max(committed)) >= 2*len(w.inPartition(records, 1))
	})
	admin, purged := kadm.NewClient(w.client), map[int32]int64{}
	for range 2 { // the second time there is nothing to purge
		if err := m.purgeOnce(t.Context(), admin, w.prefix+Schedule, purged); err != nil {
			t.Fatal(err)
		}
	}
	starts, committed := w.offsets()
	if once := int64(len(w.inPartition(records, 0))); !slices.Equal(starts, committed) || starts[0] != once || starts[1] != 2*int64(len(w.inPartition(records, 1))) {
		t.Errorf("after a purge the log begins at %v, and %v is committed", starts, committed)
	}
	open(kgo.TryCommit)
	w.awaitRead(metrics, 2*len(records)+1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	nothingLost(t, metrics.Totals(), 2*len(records)+1)
	for _, state := range []string{m.State, t.TempDir()} {
		again := NewMetrics(TimerGroup)
		w.put(records)
		stop := w.runTimer(RunOptions{Catalogue: remindtest.Catalogue(), Metrics: again, State: state})
		w.awaitRead(again, len(records))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		nothingLost(t, again.Totals(), len(records))
	}
}

// inPartition picks the records that lie in a partition.
func (w *world) inPartition(records []*kgo.Record, partition int) (some []*kgo.Record) {
	for _, r := range records {
		if partitionOf(string(r.Key)) == partition {
			some = append(some, r)
		}
	}
	return some
}

// Standing is complete up to the least of the ticks that the partitions have
// fired, and up to none before each of them has.
func TestStandingUntil(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	m := NewMetrics(TimerGroup)
	w.runTimer(RunOptions{Catalogue: remindtest.Catalogue(), Metrics: m})
	tick := func(partition int, at schemas.Instant) {
		w.put(w.inPartition(w.scheduled("", &schemas.ClockTick{At: at}, at), partition))
	}
	for partition := 1; partition < partitionsOfTests; partition++ {
		tick(partition, aDay+schemas.Instant(partition)*schemas.Day)
	}
	w.awaitRead(m, partitionsOfTests-1)
	if until := w.status().StandingUntil; !until.IsZero() {
		t.Errorf("with one partition without a tick standing is complete up to %v", until)
	}
	tick(0, aDay+2*schemas.Day)
	w.awaitStanding(aDay + schemas.Day)
	tick(1, aDay+9*schemas.Day)
	w.awaitStanding(aDay + 2*schemas.Day)
}

// labels are the only ones that metrics of the engine have.
var labels = []string{"group", "topic", "partition", "reason", "count", "le", "version", "revision"}

// Certifier, timer and clock in one process: time comes by itself, and one
// listener tells of both groups, and of nobody by name.
func TestRunAll(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	address, get := listenAddress(t)
	state := t.TempDir()
	stop := w.start(func(ctx context.Context, o RunOptions) error { return RunAll(ctx, o, time.Second) }, RunOptions{State: state, Listen: address})
	if err := w.produce(strings.NewReplacer(`"c1"`, `"zhang-007"`, `"341602"`, `"341602","phone":"13812345678","payee":"6217000011112222"`).Replace(twoFacts)); err != nil {
		t.Fatal(err)
	}
	w.await("standing goes with the clock", func() bool { return time.Since(w.status().StandingUntil) < time.Minute })
	w.await("it is ready", func() bool { status, _ := get("/ready"); return status == http.StatusOK })
	w.await("somebody stands", func() bool {
		_, page := get("/metrics")
		return strings.Contains(page, metricEmitted+`{group="timer",topic="standing"}`)
	})
	_, page := get("/metrics")
	for _, series := range []string{
		metricRunning + `{group="certifier"} 4`, metricRunning + `{group="timer"} 4`, metricRead + `{group="timer",topic="schedule"}`,
		metricLastTick + `{group="timer",partition="3"}`, metricReached + `{group="timer",partition="3"}`, metricInputs + `{count="applied",group="certifier",topic="clock"}`,
	} {
		if !strings.Contains(page, series) {
			t.Errorf("the metrics lack %s", series)
		}
	}
	for _, private := range []string{"zhang-007", "13812345678", "6217000011112222", "公"} {
		if strings.Contains(page, private) {
			t.Errorf("the metrics tell %s", private)
		}
	}
	for _, series := range regexp.MustCompile(`(?m)^vouch_\w+\{(.*)\}`).FindAllStringSubmatch(page, -1) {
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(series[1], -1) {
			if !slices.Contains(labels, label[1]) {
				t.Errorf("there is a label %s", label[1])
			}
		}
	}
	if err := stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	for _, group := range []string{CertifierGroup, TimerGroup} {
		if _, err := os.Stat(filepath.Join(state, group)); err != nil {
			t.Error(err)
		}
		if members := w.group(group).Members; members != 0 {
			t.Errorf("%s has %d members after the end", group, members)
		}
	}
	if status, _ := get("/live"); status != 0 {
		t.Errorf("after its end /live answers %d", status)
	}
}

// What status says is complete can be read: a transaction that is open in
// standing, or whose marker is not written yet, is waited for.
func TestStandingUntilIsReadable(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	other, err := w.connect(kgo.TransactionalID(w.prefix+"other"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for p := range int32(partitionsOfTests) {
		if err := other.ProduceSync(t.Context(), &kgo.Record{Topic: w.prefix + Standing, Partition: p, Key: []byte("x"), Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	w.put(w.scheduled("c", entryOf("c", schemas.DateOf(2024, 5, 31)), aDay))
	w.put(w.scheduled("", &schemas.ClockTick{At: aDay + 1000}, aDay+1000))
	m := NewMetrics(TimerGroup)
	w.runTimer(RunOptions{Catalogue: remindtest.Catalogue(), Metrics: m})
	w.awaitRead(m, 1+partitionsOfTests)
	answer := make(chan Status, 1)
	go func() {
		s, err := ReadStatus(t.Context(), w.client, w.prefix)
		if err != nil {
			t.Error(err)
		}
		answer <- s
	}()
	select {
	case s := <-answer:
		t.Fatalf("it is said to be complete up to %v, and cannot be read", s.StandingUntil.UTC())
	case <-time.After(time.Second):
	}
	if err := other.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	if s := <-answer; s.StandingUntil.IsZero() {
		t.Error("nothing is said to be complete")
	}
	if len(w.tail(Standing)) != 1 {
		t.Error("what is said to be complete cannot be read")
	}
}

// The registry has no say in what the certifier writes for the timer: a record
// that asks for it is foreign, whether it answers or not.
func TestForeignRecordWhileTheRegistryIsDown(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	registry, err := avro.NewRegistry(fake.URL())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.createTopics()
	for _, topic := range RegisteredTopics() {
		if _, err := Register(t.Context(), registry, w.prefix, topic); err != nil {
			t.Fatal(err)
		}
	}
	fake.Intercept(func(answer http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/schemas/ids/") {
			http.Error(answer, "busy", http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	w.put([]*kgo.Record{{Topic: w.prefix + Schedule, Key: []byte("c"), Value: []byte{0, 0, 0, 0, 99, 1, 2, 3}, Timestamp: time.UnixMilli(int64(aDay))}})
	m := NewMetrics(TimerGroup)
	w.runTimer(RunOptions{Catalogue: remindtest.Catalogue(), Registry: registry, Metrics: m})
	w.awaitRead(m, 1)
	if got := m.Totals().Quarantined; got[certify.UnknownSchema] != 1 {
		t.Errorf("in quarantine lies %v", got)
	}
}

// Certifier, timer, clock and purge append to the same options side by side:
// what one appends the others must not find in the place of their own.
func TestClientOptionsAreNotShared(t *testing.T) {
	given := make([]kgo.Opt, 1, 2)
	given[0] = kgo.ClientID("given")
	o := RunOptions{Client: given}.withDefaults(TimerGroup)
	_ = append(o.Client, kgo.SeedBrokers("one:1"))
	if given[:2][1] != nil {
		t.Error("what was appended stands behind the end of the caller's options")
	}
}
