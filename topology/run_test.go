package topology

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/schemas/facts"
)

// certifierOutputs are the topics that only the certifier writes.
var certifierOutputs = []string{CertificationCompleted, CertificationRevoked, Alert, Quarantine}

// canonical is a record as text that is equal for equal records, which begins
// with topic and key. The value of a fact of a topic has all its fields, whichever of them its writer left out, if
// it fits its schema.
func canonical(t testing.TB, topic, of string, key *string, reason string, value []byte) string {
	t.Helper()
	if of != "" && value != nil {
		if record, err := DecodeFact(facts.Line{Topic: of, Value: value}); err == nil {
			if value, err = json.Marshal(record); err != nil {
				t.Fatal(err)
			}
		}
	}
	var plain any
	if value != nil {
		decoder := json.NewDecoder(bytes.NewReader(value))
		decoder.UseNumber()
		if err := decoder.Decode(&plain); err != nil {
			t.Fatalf("%s of %s: %v", topic, of, err)
		}
	}
	text, err := json.Marshal([]any{topic, key, reason, plain})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// decided is what the offline decision gives of some topics, on a broker with
// partitions, in the order decided, each with the Kafka timestamp of the input
// that led to it.
func decided(t testing.TB, c *catalogue.Catalogue, text string, topics []string) (all []string) {
	t.Helper()
	fold, lines := NewFold(c), facts.NewReader(strings.NewReader(text))
	keys := TickKeys(partitionsOfTests)
	for {
		line, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, output := range fold.Step(line) {
			if !slices.Contains(topics, output.Topic) {
				continue
			}
			value, err := json.Marshal(output.Value)
			if err != nil {
				t.Fatal(err)
			}
			add := func(of string, key *string, value []byte) {
				all = append(all, canonical(t, output.Topic, of, key, line.At.String()+output.Reason, value))
			}
			switch {
			case output.Topic != Quarantine:
				add("", output.Key, value)
			case line.Topic != Clock:
				add(line.Topic, output.Key, line.Value)
			default:
				for _, key := range keys {
					add(line.Topic, &key, line.Value)
				}
			}
		}
	}
}

// written is what stands in some topics, in the same form, in the order of each
// partition.
func (w *world) written(topics []string) (all []string) {
	w.t.Helper()
	at := map[string]schemas.Instant{} // which tail does not tell of outputs
	for _, r := range w.records(topics...) {
		at[fmt.Sprint(r.Topic, r.Partition, " ", r.Offset)] = schemas.Instant(r.Timestamp.UnixMilli())
	}
	for _, line := range w.tail(topics...) {
		value := line.Bytes
		if value == nil && line.Value != nil {
			var err error
			if value, err = json.Marshal(line.Value); err != nil {
				w.t.Fatal(err)
			}
		}
		all = append(all, canonical(w.t, line.Topic, "", line.Key, at[fmt.Sprint(w.prefix, line.Topic, line.Partition, " ", line.Offset)].String()+line.Reason, value))
	}
	return all
}

func readFile(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// awaitRead waits until the certifier has committed so many input records.
func (w *world) awaitRead(m *Metrics, records int) {
	w.t.Helper()
	w.await(fmt.Sprintf("%d records are read", records), func() bool { return m.Totals().Read >= records })
}

// recordsOf counts the records that a facts file makes on a broker.
func recordsOf(t testing.TB, text string) (records int) {
	t.Helper()
	lines := facts.NewReader(strings.NewReader(text))
	for {
		line, err := lines.Read()
		switch {
		case errors.Is(err, io.EOF):
			return records
		case err != nil:
			t.Fatal(err)
		case line.Topic == Clock:
			records += partitionsOfTests
		default:
			records++
		}
	}
}

func compareSets(t testing.TB, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if slices.Equal(got, want) {
		return
	}
	only := func(a, b []string) (first string) {
		for _, s := range a {
			if !slices.Contains(b, s) {
				return s
			}
		}
		return "nothing"
	}
	t.Errorf("the engine wrote %d records, the offline decision gives %d\nwritten only: %s\ndecided only: %s", len(got), len(want), only(got, want), only(want, got))
}

// nothingLost adds up what became of the records read: law 4.
func nothingLost(t testing.TB, totals Totals, read int) {
	t.Helper()
	sum := 0
	for _, n := range totals.Counts {
		sum += n
	}
	for _, n := range totals.Quarantined {
		sum += n
	}
	if totals.Read != read || sum != read {
		t.Errorf("%d records were written, %d read, and %d counted: %v %v", read, totals.Read, sum, totals.Counts, totals.Quarantined)
	}
}

// rawInputs are records that no facts file can say, each with the reason for
// which it is put in quarantine.
func rawInputs(w *world, whole []byte) map[string]*kgo.Record {
	at := time.UnixMilli(1_700_000_000_123)
	record := func(topic string, key, value []byte) *kgo.Record {
		return &kgo.Record{Topic: w.prefix + topic, Key: key, Value: value, Timestamp: at, Headers: []kgo.RecordHeader{
			{Key: "trace", Value: []byte("2")}, {Key: "trace", Value: []byte("1")}, {Key: "a", Value: nil},
		}}
	}
	damaged := slices.Clone(whole[:len(whole)-3])
	foreign := slices.Clone(whole)
	foreign[5]++
	return map[string]*kgo.Record{
		"null value, null key":    record(Evidence, nil, nil),
		"null value":              record(Roster, []byte("c"), nil),
		"empty value":             record(Evidence, []byte("c"), []byte{}),
		"cut off":                 record(Evidence, []byte("c"), damaged),
		"foreign fingerprint":     record(Evidence, []byte("c"), foreign),
		"id without a registry":   record(Payout, []byte("c"), []byte{0, 0, 0, 0, 7, 1, 2, 3}),
		"null key":                record(Evidence, nil, whole),
		"key that is not UTF-8":   record(Evidence, []byte{0xff, 0xfe}, whole),
		"a tick that is nonsense": record(Clock, []byte("any"), []byte("soon")),
		"at the topic's limit":    record(Evidence, []byte("c"), bytes.Repeat([]byte("x"), valueBytesMax-recordOverheadBytes)),
	}
}

// Whatever an input is, it is decided or lies in quarantine with key, value,
// headers and timestamp as they came, and the engine goes on.
func TestQuarantineKeepsEverything(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	encoders, err := NewEncoders(t.Context(), w.codec, w.prefix)
	if err != nil {
		t.Fatal(err)
	}
	whole := encoders.evidence.Append(nil, &schemas.Evidence{EvidenceID: "e", CitizenID: "c", Kind: "K", Source: "S", Op: schemas.Assert, OccurredAt: 1, RecordedAt: 1})
	inputs := rawInputs(w, whole)
	for name, record := range inputs {
		if err := w.client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	m := NewMetrics(CertifierGroup)
	stop := w.run(RunOptions{Metrics: m})
	w.awaitRead(m, len(inputs))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	nothingLost(t, m.Totals(), len(inputs))
	kept := map[string]*kgo.Record{} // by topic, partition and offset of the input
	for _, r := range w.records(Quarantine) {
		kept[header(r, headerTopic)+" "+header(r, headerPartition)+" "+header(r, headerOffset)] = r
	}
	for name, in := range inputs {
		out := kept[fmt.Sprint(in.Topic, " ", in.Partition, " ", in.Offset)]
		if out == nil {
			t.Errorf("%s: it is not in quarantine", name)
			continue
		}
		var original []kgo.RecordHeader
		for _, h := range out.Headers {
			if !strings.HasPrefix(h.Key, "vouch-") {
				original = append(original, h)
			}
		}
		if !bytes.Equal(in.Key, out.Key) || (in.Key == nil) != (out.Key == nil) || !bytes.Equal(in.Value, out.Value) || (in.Value == nil) != (out.Value == nil) ||
			!in.Timestamp.Equal(out.Timestamp) || !slices.EqualFunc(in.Headers, original, func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }) {
			t.Errorf("%s: went in as\n%q %q %v %v\nand lies in quarantine as\n%q %q %v %v", name, in.Key, limit(in.Value), in.Timestamp, in.Headers, out.Key, limit(out.Value), out.Timestamp, original)
		}
		if header(out, headerError) == "" || header(out, headerReason) == "" {
			t.Errorf("%s: its headers do not say why: %v", name, out.Headers)
		}
	}
	want := map[certify.Refusal]int{certify.NullValue: 2, certify.Undecodable: 4, certify.UnknownSchema: 2, certify.KeyMismatch: 2}
	if got := m.Totals().Quarantined; !maps.Equal(got, want) {
		t.Errorf("quarantined %v, want %v", got, want)
	}
}

func limit(b []byte) []byte { return b[:min(len(b), 40)] }

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// records reads the committed records of topics as they are, each partition's in
// order, up to their end as it stands.
func (w *world) records(topics ...string) (all []*kgo.Record) {
	w.t.Helper()
	w.awaitMarkers(topics...)
	var names []string
	for _, topic := range topics {
		names = append(names, w.prefix+topic)
	}
	admin := kadm.NewClient(w.client)
	starts, err := admin.ListStartOffsets(w.t.Context(), names...)
	if err != nil {
		w.t.Fatal(err)
	}
	ends, err := admin.ListCommittedOffsets(w.t.Context(), names...)
	if err != nil {
		w.t.Fatal(err)
	}
	from, missing := map[string]map[int32]kgo.Offset{}, map[string]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if start, _ := starts.Lookup(end.Topic, end.Partition); start.Offset < end.Offset {
			if from[end.Topic] == nil {
				from[end.Topic] = map[int32]kgo.Offset{}
			}
			from[end.Topic][end.Partition] = kgo.NewOffset().At(start.Offset)
			missing[fmt.Sprint(end.Topic, end.Partition)] = end.Offset
		}
	})
	client, err := w.connect(kgo.ConsumePartitions(from), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxPartitionBytes(4<<20))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	ctx, stop := context.WithTimeout(w.t.Context(), awaitMax)
	defer stop()
	for len(missing) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			w.t.Fatalf("waited %v in vain for the ends of %v", awaitMax, missing)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if name := fmt.Sprint(r.Topic, r.Partition); r.Offset+1 >= missing[name] {
				delete(missing, name)
			}
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
		})
	}
	return all
}

// A restart goes on where the last run ended, clock included; and a fresh
// state directory comes to the same from the changelog.
func TestRestart(t *testing.T) {
	file := "testdata/examples/awkward/1.facts.ndjson"
	text, c := readFile(t, file), exampleCatalogue(t, file)
	lines := strings.SplitAfter(text, "\n")
	third := len(lines) / 3
	parts := []string{strings.Join(lines[:third], ""), strings.Join(lines[third:2*third], ""), strings.Join(lines[2*third:], "")}
	w := newWorld(t)
	w.createTopics()
	kept := t.TempDir()
	for i, state := range []string{kept, kept, t.TempDir()} {
		if err := w.produce(parts[i]); err != nil {
			t.Fatal(err)
		}
		m := NewMetrics(CertifierGroup)
		stop := w.run(RunOptions{Catalogue: c, Metrics: m, State: state})
		w.awaitRead(m, recordsOf(t, parts[i]))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		nothingLost(t, m.Totals(), recordsOf(t, parts[i]))
	}
	compareSets(t, w.written(certifierOutputs), decided(t, c, text, certifierOutputs))

	old := `{"topic":"clock","at":"2025-01-01T00:00:00.000Z","value":{"at":"1999-01-01T00:00:00.000Z"}}`
	m := NewMetrics(CertifierGroup)
	stop := w.run(RunOptions{Catalogue: c, Metrics: m, State: kept})
	for twice := 1; twice <= 2; twice++ {
		if err := w.produce(old); err != nil {
			t.Fatal(err)
		}
		w.awaitRead(m, twice*partitionsOfTests)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	nothingLost(t, m.Totals(), 2*partitionsOfTests)
	if n := m.Totals().Counts[certify.OldTick]; n != 2*partitionsOfTests {
		t.Errorf("of %d old ticks it knows %d as such", 2*partitionsOfTests, n)
	}
}

// A tick that a foreign clock wrote under a key of its own moves the partition's
// clock all the same, is remembered, and goes on to the timer under the key of
// the partition; what it leads to has its Kafka timestamp.
func TestForeignTick(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	encoders, err := NewClockEncoders(t.Context(), w.codec, w.prefix)
	if err != nil {
		t.Fatal(err)
	}
	const at = schemas.Instant(1_700_000_000_000)
	tick := &kgo.Record{Topic: w.prefix + Clock, Key: []byte("foreign"), Value: encoders.clock.Append(nil, &schemas.ClockTick{At: at}), Timestamp: time.UnixMilli(int64(at) + 7)}
	state := t.TempDir()
	for _, count := range []certify.Count{certify.Applied, certify.OldTick} {
		if err := w.client.ProduceSync(t.Context(), tick).FirstErr(); err != nil {
			t.Fatal(err)
		}
		m := NewMetrics(CertifierGroup)
		stop := w.run(RunOptions{Metrics: m, State: state})
		w.awaitRead(m, 1)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got := m.Totals().Counts; got[count] != 1 {
			t.Errorf("it is counted as %v, want %s", got, count)
		}
	}
	passed := w.records(Schedule)
	if len(passed) != 1 {
		t.Fatalf("%d ticks were passed on", len(passed))
	}
	if r := passed[0]; string(r.Key) != TickKeys(partitionsOfTests)[tick.Partition] || r.Partition != tick.Partition || !r.Timestamp.Equal(tick.Timestamp) {
		t.Errorf("it was passed on under %q to partition %d at %v", r.Key, r.Partition, r.Timestamp)
	}
}

// Waiting for a registry costs nothing.
func TestWaitingForTheRegistryDoesNotSpin(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*registryPause)
	defer cancel()
	asked := 0
	_, err := decodeWaiting(ctx, nil, func([]byte) (any, error) { asked++; return nil, avro.ErrRegistryUnavailable })
	if !errors.Is(err, avro.ErrRegistryUnavailable) || asked < 2 || asked > 6 {
		t.Errorf("it asked %d times: %v", asked, err)
	}
}

// An instance with an older catalogue refuses a partition that a newer one has
// decided, with a sentence.
func TestOlderCatalogueIsRefused(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	load := func(version string) *catalogue.Catalogue {
		c, err := catalogue.Load("catalogue.json", []byte(strings.Replace(readFile(t, "testdata/examples/stories/catalogue.json"), `"version": 1`, `"version": `+version, 1)))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	older, newer := load("1"), load("2")
	if newer.Version != 2 {
		t.Fatalf("the catalogue has version %d", newer.Version)
	}
	tick := `{"topic":"clock","at":"2023-06-02T00:00:00.000Z","value":{"at":"2023-06-02T00:00:00.000Z"}}`
	if err := w.produce(tick); err != nil {
		t.Fatal(err)
	}
	m := NewMetrics(CertifierGroup)
	stop := w.run(RunOptions{Catalogue: newer, Metrics: m})
	w.awaitRead(m, partitionsOfTests)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), awaitMax)
	defer cancel()
	err := RunCertifier(ctx, RunOptions{Brokers: w.brokers, Prefix: w.prefix, State: t.TempDir(), Catalogue: older, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "version 2 of the catalogue, and this instance has version 1") {
		t.Errorf("it ended with %v", err)
	}
}

// What would lose data is refused at the start, with a sentence each.
func TestStartDemandsItsTopics(t *testing.T) {
	w := newWorld(t)
	start := func() error {
		return RunCertifier(t.Context(), RunOptions{Brokers: w.brokers, Prefix: w.prefix, State: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	}
	if err := start(); err == nil || !strings.Contains(err.Error(), "topic "+w.prefix+Evidence+" is missing: make it with `vouch topics create`") {
		t.Errorf("without topics it ended with %v", err)
	}
	admin := kadm.NewClient(w.client)
	if _, err := admin.CreateTopic(t.Context(), partitionsOfTests+1, 1, nil, w.prefix+Payout); err != nil {
		t.Fatal(err)
	}
	_, _, err := CreateTopics(t.Context(), w.client, w.prefix, partitionsOfTests, 0)
	if sentence := fmt.Sprintf("topic %s has %d partitions and %s has %d", w.prefix+Payout, partitionsOfTests+1, w.prefix+Roster, partitionsOfTests); err == nil || !strings.Contains(err.Error(), sentence) {
		t.Errorf("with another partition count topics create says %v", err)
	}
	if err := start(); err == nil || !strings.Contains(err.Error(), "a citizen's records would not meet") {
		t.Errorf("with another partition count it ended with %v", err)
	}
}

// listenAddress is one that nobody listens on, and get asks whoever does later.
func listenAddress(t *testing.T) (address string, get func(path string) (status int, body string)) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	listener.Close()
	get = func(path string) (status int, body string) {
		answer, err := http.Get("http://" + address + path)
		if err != nil {
			return 0, err.Error()
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	return address, get
}

// A process says what it does: ready when all its partitions run, and numbers
// that name nobody.
func TestListener(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	address, get := listenAddress(t)
	if err := w.produce(readFile(t, "testdata/examples/stories/1-silent.facts.ndjson")); err != nil {
		t.Fatal(err)
	}
	m := NewMetrics(CertifierGroup)
	stop := w.run(RunOptions{Catalogue: exampleCatalogue(t, "testdata/examples/stories/1-silent.facts.ndjson"), Listen: address, Metrics: m})
	w.await("it is ready", func() bool { status, _ := get("/ready"); return status == http.StatusOK })
	if status, _ := get("/live"); status != http.StatusOK {
		t.Errorf("/live answers %d", status)
	}
	w.await("all is read", func() bool { return m.Totals().Counts[certify.Applied] > 0 })
	w.await("the metrics tell it", func() bool {
		_, page := get("/metrics")
		return strings.Contains(page, metricRunning+`{group="certifier"} 4`) && strings.Contains(page, metricLag+`{group="certifier",partition="0",topic="clock"} 0`) &&
			strings.Contains(page, metricLastTick+`{group="certifier",partition="3"}`) && strings.Contains(page, metricInputs+`{count="applied",group="certifier",topic="roster"}`) &&
			strings.Contains(page, metricTransactionSeconds+"_count") && strings.Contains(page, metricStoreDisk) && strings.Contains(page, metricBuild)
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if status, _ := get("/live"); status != 0 {
		t.Errorf("after its end /live answers %d", status)
	}
}

// While the registry does not answer nothing is judged by it: the record waits,
// and so does the process that says so.
func TestRegistryThatIsDown(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	registry, err := avro.NewRegistry(fake.URL())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.createTopics()
	w.codec = avro.New(registry)
	if err := w.produce(""); err == nil || !strings.Contains(err.Error(), "vouch schemas register") || strings.Count(err.Error(), "-value") != len(Inputs) {
		t.Errorf("without subjects produce says %v", err)
	}
	for _, topic := range RegisteredTopics() {
		if _, err := Register(t.Context(), registry, w.prefix, topic); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.produce(readFile(t, "testdata/examples/stories/1-silent.facts.ndjson")); err != nil {
		t.Fatal(err)
	}
	// The engine asks by itself: its codec knows no schema yet.
	own, err := avro.NewRegistry(fake.URL())
	if err != nil {
		t.Fatal(err)
	}
	var down atomic.Bool
	var asked atomic.Int64
	fake.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/schemas/ids/") {
			asked.Add(1)
			if down.Load() {
				http.Error(rw, "busy", http.StatusServiceUnavailable)
				return true
			}
		}
		return false
	})
	down.Store(true)
	m := NewMetrics(CertifierGroup)
	stop := w.run(RunOptions{Catalogue: exampleCatalogue(t, "testdata/examples/stories/1-silent.facts.ndjson"), Registry: own, Metrics: m})
	w.await("the registry is missed", func() bool { return own.Down() != nil })
	before := asked.Load()
	time.Sleep(time.Second)
	if more := asked.Load() - before; more > 10 {
		t.Errorf("it asked %d times within a second", more)
	}
	if read := m.Totals().Read; read > 0 {
		t.Errorf("%d records were judged without the registry", read)
	}
	down.Store(false)
	text := readFile(t, "testdata/examples/stories/1-silent.facts.ndjson")
	w.awaitRead(m, recordsOf(t, text))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if own.Down() != nil || len(m.Totals().Quarantined) > 0 {
		t.Errorf("the registry answers again: %v, %v", own.Down(), m.Totals().Quarantined)
	}
	compareSets(t, w.written(certifierOutputs), decided(t, exampleCatalogue(t, "testdata/examples/stories/1-silent.facts.ndjson"), text, certifierOutputs))
}
