package topology

import (
	"bytes"
	"context"
	"hash"
	"io"
	"log"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/tester"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/processors/remind"
	"github.com/vouch-engine/vouch/processors/remind/remindtest"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology/store"
)

// timerScripts are the timer's scripts, of which processors/remind runs the
// same on the bare functions.
func timerScripts(t *testing.T, run func(t *testing.T, text string)) {
	t.Helper()
	files, err := filepath.Glob("../processors/remind/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { run(t, readFile(t, file)) })
	}
}

// decodeEvent gives the event that a value on one of the timer's topics holds.
func decodeEvent(t testing.TB, codec *avro.Codec, citizen string, value []byte) remindtest.Said {
	t.Helper()
	if value == nil {
		return remindtest.Said{Citizen: citizen, Event: remind.Event{Left: true}}
	}
	record, err := codec.DecodeAny(t.Context(), value)
	if err != nil {
		t.Fatal(err)
	}
	said := remindtest.Said{Citizen: citizen}
	switch record := record.(type) {
	case *schemas.Standing:
		said.Standing = record
	case *schemas.ExpiryReminder:
		said.Reminder = record
	case *schemas.VisitRequested:
		said.Visit = record
	default:
		t.Fatalf("the timer writes no %T", record)
	}
	return said
}

// topicOf is the topic to which an event goes.
func topicOf(event remind.Event) string {
	switch {
	case event.Reminder != nil:
		return ExpiryReminder
	case event.Visit != nil:
		return VisitRequested
	}
	return Standing
}

// encodeScheduled gives the bytes of a record of schedule as the certifier
// writes it.
func encodeScheduled(t testing.TB, record any) []byte {
	t.Helper()
	switch record := record.(type) {
	case *schemas.ScheduleEntry:
		return avro.NewInternalEncoder[schemas.ScheduleEntry]().Append(nil, record)
	case *schemas.ClockTick:
		return avro.NewInternalEncoder[schemas.ClockTick]().Append(nil, record)
	}
	t.Fatalf("a %T does not stand in %s", record, Schedule)
	return nil
}

// timerOnTester is the second depth: the timer's own binding, codecs and table
// on Goka's tester. There is no transaction, so that what is staged is sealed
// after every record, as the runtime does between two of them.
type timerOnTester struct {
	store *store.Store
	codec *avro.Codec
	said  []remindtest.Said

	member *member
	work   *timer
	tester *tester.Tester
	stop   func()
}

func newTimerOnTester(t *testing.T) *timerOnTester {
	t.Helper()
	d := &timerOnTester{codec: avro.New(nil)}
	var err error
	d.store, err = store.Open(store.Config{Directory: t.TempDir(), Owner: "script", Index: remind.DueEntries, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.stop()
		d.store.Close()
	})
	d.start(t, remindtest.Catalogue())
	return d
}

// start starts a timer over the store, and lets it go over everybody where
// that is due.
func (d *timerOnTester) start(t testing.TB, c *catalogue.Catalogue) {
	t.Helper()
	o := RunOptions{Catalogue: c, Logger: slog.New(slog.DiscardHandler)}.withDefaults(TimerGroup)
	d.member = &member{RunOptions: o, name: TimerGroup, tickKeys: TickKeys(1), works: map[int32]work{}, store: d.store}
	d.member.reminds()
	if err := d.member.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.member.open(0); err != nil {
		t.Fatal(err)
	}
	d.work = d.member.find(0).(*timer)
	d.tester = tester.New(t)
	processor, err := d.member.processor(0, []goka.ProcessorOption{
		goka.WithTester(d.tester), goka.WithNilHandling(goka.NilProcess), goka.WithLogger(log.New(io.Discard, "", 0)),
		goka.WithProducerBuilder(func([]string, string, func() hash.Hash32) (goka.Producer, error) { return listening{d, t}, nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- processor.Run(ctx) }()
	d.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := d.member.close(0); err != nil {
			t.Error(err)
		}
	}
	d.tester.Catchup() // it waits until the processor runs
	d.pass(t)
}

// pass hands the timer's own records to it, a few at a time.
func (d *timerOnTester) pass(t testing.TB) {
	t.Helper()
	for {
		records, err := d.work.pass.next(3)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			return
		}
		for _, r := range records {
			d.tester.Consume(DefaultPrefix+ownTopic(TimerGroup), r.Key, nil, tester.WithTime(r.Timestamp))
		}
		d.seal(t)
	}
}

func (d *timerOnTester) seal(t testing.TB) {
	t.Helper()
	if err := d.work.table.Seal(0); err != nil { // the tester's table topic stays empty
		t.Fatal(err)
	}
}

// listening is a producer that keeps what is written, in the order of all topics.
type listening struct {
	depth *timerOnTester
	t     testing.TB
}

func (l listening) Emit(topic, key string, value []byte) *goka.Promise {
	return l.EmitWithHeaders(topic, key, value, nil)
}

func (l listening) EmitWithHeaders(topic, key string, value []byte, _ goka.Headers) *goka.Promise {
	if slices.Contains(timerOutputs, topic[len(DefaultPrefix):]) {
		l.depth.said = append(l.depth.said, decodeEvent(l.t, l.depth.codec, key, bytes.Clone(value))) // a step uses the memory again
	}
	promise, finish := goka.NewPromiseWithFinisher()
	finish(nil, nil)
	return promise
}

func (l listening) Close() error { return nil }

func (d *timerOnTester) take() (said []remindtest.Said) {
	said, d.said = d.said, nil
	return said
}

func (d *timerOnTester) Step(t testing.TB, key string, record any, at schemas.Instant) []remindtest.Said {
	t.Helper()
	if _, is := record.(*schemas.ClockTick); is {
		key = TickKeys(1)[0]
	}
	for again := true; again; again = d.work.again() {
		d.tester.Consume(DefaultPrefix+Schedule, key, encodeScheduled(t, record), tester.WithTime(time.UnixMilli(int64(at))))
		d.seal(t)
	}
	d.pass(t)
	return d.take()
}

func (d *timerOnTester) Restart(t testing.TB, c *catalogue.Catalogue) []remindtest.Said {
	t.Helper()
	d.stop()
	d.start(t, c)
	return d.take()
}

// TestTimerScriptsOnGokasTester runs the timer's scripts through bind and
// codecs, the order of its topics among one another included.
func TestTimerScriptsOnGokasTester(t *testing.T) {
	timerScripts(t, func(t *testing.T, text string) {
		datadriven.RunTestFromString(t, text, remindtest.Commands(newTimerOnTester(t)))
	})
}

// scriptStep is what a script asks for, and what the bare functions say.
type scriptStep struct {
	key     string
	record  any // nil: a restart
	at      schemas.Instant
	restart *catalogue.Catalogue
	said    []remindtest.Said
}

// recorder takes down what a script asks for.
type recorder struct {
	*remindtest.Bare
	steps []scriptStep
}

// Step takes down one record.
func (r *recorder) Step(t testing.TB, key string, record any, at schemas.Instant) []remindtest.Said {
	said := r.Bare.Step(t, key, record, at)
	r.steps = append(r.steps, scriptStep{key: key, record: record, at: at, said: said})
	return said
}

// Restart takes down another catalogue.
func (r *recorder) Restart(t testing.TB, c *catalogue.Catalogue) []remindtest.Said {
	said := r.Bare.Restart(t, c)
	r.steps = append(r.steps, scriptStep{restart: c, said: said})
	return said
}

// timerOnBroker is the third depth: the timer as it runs, in transactions. It
// has gone through the whole script before the first step is looked at. Of
// each partition of a topic the order is what a consumer sees; there is none
// between two of them, so that what the bare functions said gives the turns.
type timerOnBroker struct {
	steps   []scriptStep
	written map[string][][]remindtest.Said // by topic and partition
}

var ofTests = kgo.StickyKeyPartitioner(nil).ForTopic(Schedule)

// partitionOf is where every client's default partitioner puts a key.
func partitionOf(key string) int {
	return ofTests.Partition(&kgo.Record{Key: []byte(key)}, partitionsOfTests)
}

func (d *timerOnBroker) next() (said []remindtest.Said) {
	step := d.steps[0]
	d.steps = d.steps[1:]
	for _, s := range step.said {
		of := d.written[topicOf(s.Event)]
		if of == nil {
			continue
		}
		if waiting := of[partitionOf(s.Citizen)]; len(waiting) > 0 {
			said = append(said, waiting[0])
			of[partitionOf(s.Citizen)] = waiting[1:]
		}
	}
	return said
}

func (d *timerOnBroker) Step(testing.TB, string, any, schemas.Instant) []remindtest.Said {
	return d.next()
}

func (d *timerOnBroker) Restart(testing.TB, *catalogue.Catalogue) []remindtest.Said {
	return d.next()
}

// timeScript lets the timer go through all steps of a script.
func timeScript(t *testing.T, steps []scriptStep) *timerOnBroker {
	t.Helper()
	w := newWorld(t)
	w.createTopics()
	c, state := remindtest.Catalogue(), t.TempDir()
	for rest := steps; ; rest = rest[1:] {
		var records []*kgo.Record
		for ; len(rest) > 0 && rest[0].record != nil; rest = rest[1:] {
			records = append(records, w.scheduled(rest[0].key, rest[0].record, rest[0].at)...)
		}
		if err := w.client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		metrics := NewMetrics(TimerGroup)
		m, stop := w.timerMember(RunOptions{Catalogue: c, Metrics: metrics, State: state})
		w.await("everybody is gone over", func() bool { return m.ready() == nil })
		w.awaitRead(metrics, len(records))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		nothingLost(t, metrics.Totals(), len(records))
		if len(rest) == 0 {
			break
		}
		c = rest[0].restart
	}
	d := &timerOnBroker{steps, map[string][][]remindtest.Said{}}
	for _, topic := range timerOutputs {
		d.written[topic] = make([][]remindtest.Said, partitionsOfTests)
		for _, r := range w.records(topic) {
			d.written[topic][r.Partition] = append(d.written[topic][r.Partition], decodeEvent(t, w.codec, string(r.Key), r.Value))
		}
	}
	return d
}

// scheduled makes the records of schedule that the certifier would write.
func (w *world) scheduled(key string, record any, at schemas.Instant) (records []*kgo.Record) {
	w.t.Helper()
	keys := []string{key}
	if _, is := record.(*schemas.ClockTick); is {
		keys = TickKeys(partitionsOfTests)
	}
	for _, key := range keys {
		records = append(records, &kgo.Record{Topic: w.prefix + Schedule, Key: []byte(key), Value: encodeScheduled(w.t, record), Timestamp: time.UnixMilli(int64(at))})
	}
	return records
}

// TestTimerScriptsOnABroker runs the timer's scripts as they run in production.
func TestTimerScriptsOnABroker(t *testing.T) {
	timerScripts(t, func(t *testing.T, text string) {
		asked := &recorder{Bare: remindtest.NewBare()}
		datadriven.RunTestFromString(t, text, remindtest.Commands(asked))
		d := timeScript(t, asked.steps)
		datadriven.RunTestFromString(t, text, remindtest.Commands(d))
		for topic, partitions := range d.written {
			for partition, left := range partitions {
				if len(left) > 0 {
					t.Errorf("%s has %d records more in partition %d; the first is %+v", topic, len(left), partition, left[0])
				}
			}
		}
	})
}
