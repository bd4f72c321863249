package topology

import (
	"bytes"
	"cmp"
	"context"
	"hash"
	"io"
	"log"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/tester"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/processors/certify/certifytest"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology/store"
)

// The certifier's scripts, of which processors/certify runs the same on the
// bare functions.
func certifierScripts(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../processors/certify/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no scripts: %v", err)
	}
	return files
}

// writtenTopics are the certifier's outputs in the order in which one input's
// are written.
var writtenTopics = []string{Alert, CertificationCompleted, CertificationRevoked, Payee, Quarantine, Schedule}

// decodeOutput gives the record that a value on an output topic holds, or the
// reason of a quarantined one.
func decodeOutput(t testing.TB, codec *avro.Codec, topic, reason string, value []byte) any {
	t.Helper()
	if topic == Quarantine {
		return certify.Refusal(reason)
	}
	record, err := codec.DecodeAny(t.Context(), value)
	if err != nil {
		t.Fatalf("a record of %s: %v", topic, err)
	}
	return record
}

// encodeInput gives the topic and the bytes of an input record.
func encodeInput(t testing.TB, e *Encoders, record any) (topic string, value []byte) {
	t.Helper()
	switch record := record.(type) {
	case *schemas.RosterEntry:
		return Roster, e.roster.Append(nil, record)
	case *schemas.Evidence:
		return Evidence, e.evidence.Append(nil, record)
	case *schemas.Payout:
		return Payout, e.payout.Append(nil, record)
	case *schemas.ClockTick:
		return Clock, e.clock.Append(nil, record)
	}
	t.Fatalf("a %T is no input", record)
	return "", nil
}

// onTester is the second depth: the certifier's own binding, codecs and table
// on Goka's tester, where there is no broker and no transaction.
type onTester struct {
	tester   *tester.Tester
	codec    *avro.Codec
	encoders *Encoders
	written  map[string]*tester.QueueTracker
}

func newOnTester(t *testing.T) *onTester {
	t.Helper()
	d := &onTester{tester: tester.New(t), codec: avro.New(nil), written: map[string]*tester.QueueTracker{}}
	o := RunOptions{Catalogue: certifytest.Catalogue(), Logger: slog.New(slog.DiscardHandler)}.withDefaults(CertifierGroup)
	m := &member{RunOptions: o, name: CertifierGroup, tickKeys: TickKeys(1), works: map[int32]work{}}
	m.certifies()
	var err error
	if d.encoders, err = NewEncoders(t.Context(), d.codec, o.Prefix); err != nil {
		t.Fatal(err)
	}
	if err = m.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m.store, err = store.Open(store.Config{Directory: t.TempDir(), Owner: "script", Logger: o.Logger}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.store.Close() })
	if _, err := m.open(0); err != nil {
		t.Fatal(err)
	}
	processor, err := m.processor(0, onGokasTester(d.tester))
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range writtenTopics {
		d.written[topic] = d.tester.NewQueueTracker(DefaultPrefix + topic)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- processor.Run(ctx) }()
	t.Cleanup(sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}))
	return d
}

// onGokasTester are the options of a processor on Goka's tester, which keeps
// what is emitted where the engine's own way out copies it.
func onGokasTester(t *tester.Tester) []goka.ProcessorOption {
	return []goka.ProcessorOption{
		goka.WithTester(t), goka.WithLogger(log.New(io.Discard, "", 0)),
		goka.WithProducerBuilder(func(brokers []string, client string, hasher func() hash.Hash32) (goka.Producer, error) {
			producer, err := t.ProducerBuilder()(brokers, client, hasher)
			return copying{producer}, err
		}),
	}
}

type copying struct{ goka.Producer }

func (c copying) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	return c.Producer.EmitWithHeaders(topic, key, bytes.Clone(value), headers)
}

func (d *onTester) Step(t testing.TB, key string, record any, at schemas.Instant) (all []any) {
	t.Helper()
	topic, value := encodeInput(t, d.encoders, record)
	if topic == Clock {
		key = TickKeys(1)[0]
	}
	d.tester.Consume(DefaultPrefix+topic, key, value, tester.WithTime(time.UnixMilli(int64(at))))
	for _, topic := range writtenTopics {
		for headers, _, value, more := d.written[topic].NextRawWithHeaders(); more; headers, _, value, more = d.written[topic].NextRawWithHeaders() {
			all = append(all, decodeOutput(t, d.codec, topic, string(headers[headerReason]), value))
		}
	}
	return all
}

// TestScriptsOnGokasTester runs the certifier's scripts through bind and codecs.
func TestScriptsOnGokasTester(t *testing.T) {
	for _, file := range certifierScripts(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			certifytest.Run(t, readFile(t, file), newOnTester(t))
		})
	}
}

// onBroker is the third depth: the certifier as it runs, in transactions. It
// has decided the whole script before the first step is looked at, and tells
// the records of a step by their Kafka timestamp, which is that of the input.
type onBroker struct {
	codec   *avro.Codec
	written map[string]map[schemas.Instant][]*kgo.Record // by topic and timestamp
}

func (d *onBroker) Step(t testing.TB, _ string, record any, at schemas.Instant) (all []any) {
	t.Helper()
	for _, topic := range writtenTopics {
		records := d.written[topic][at]
		if _, is := record.(*schemas.ClockTick); is && len(records) > 0 {
			if len(records) != partitionsOfTests {
				t.Fatalf("a tick led to %d records of %s on %d partitions", len(records), topic, partitionsOfTests)
			}
			records = records[:1] // every partition has the same
		}
		for _, r := range records {
			all = append(all, decodeOutput(t, d.codec, topic, headerOf(r, headerReason), r.Value))
		}
	}
	return all
}

func headerOf(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// decideScript lets the certifier decide all records of a script.
func decideScript(t *testing.T, text string) *onBroker {
	t.Helper()
	w := newWorld(t)
	w.createTopics()
	encoders, err := NewEncoders(t.Context(), w.codec, w.prefix)
	if err != nil {
		t.Fatal(err)
	}
	var records []*kgo.Record
	for _, input := range certifytest.Inputs(t, text) {
		topic, value := encodeInput(t, encoders, input.Record)
		keys := []string{input.Key}
		if topic == Clock {
			keys = TickKeys(partitionsOfTests)
		}
		for _, key := range keys {
			records = append(records, &kgo.Record{Topic: w.prefix + topic, Key: []byte(key), Value: value, Timestamp: time.UnixMilli(int64(input.At))})
		}
	}
	if err := w.client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	m := NewMetrics(CertifierGroup)
	stop := w.run(RunOptions{Catalogue: certifytest.Catalogue(), Metrics: m})
	w.awaitRead(m, len(records))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	nothingLost(t, m.Totals(), len(records))
	d := &onBroker{w.codec, map[string]map[schemas.Instant][]*kgo.Record{}}
	for _, topic := range writtenTopics {
		written := w.records(topic)
		slices.SortStableFunc(written, func(a, b *kgo.Record) int { // in each partition they are in order
			return cmp.Or(a.Timestamp.Compare(b.Timestamp), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
		})
		d.written[topic] = map[schemas.Instant][]*kgo.Record{}
		for _, r := range written {
			at := schemas.Instant(r.Timestamp.UnixMilli())
			d.written[topic][at] = append(d.written[topic][at], r)
		}
	}
	return d
}

// TestScriptsOnABroker runs the certifier's scripts as they run in production.
func TestScriptsOnABroker(t *testing.T) {
	for _, file := range certifierScripts(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text := readFile(t, file)
			certifytest.Run(t, text, decideScript(t, text))
		})
	}
}
