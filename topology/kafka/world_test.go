package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const partitions = 4

// patience is how long a test waits for what must come, on a busy machine too.
const patience = 90 * time.Second

// world is a broker with the topics of one test: two inputs, an output and a
// table, under names of the test's own, since one real broker serves all.
type world struct {
	t       *testing.T
	brokers []string
	prefix  string
	client  *kgo.Client // for whoever writes and reads outside
	admin   *kadm.Client
	tables  *tables
	log     *slog.Logger
	said    *buffer // by the members, shown if the test fails
}

// brokers are those of VOUCH_TEST_BROKERS, else one embedded in the test.
func brokers(t *testing.T) []string {
	t.Helper()
	if named := os.Getenv("VOUCH_TEST_BROKERS"); named != "" {
		return strings.Split(named, ",")
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, brokers(t))
}

func newWorldOn(t *testing.T, brokers []string) *world {
	t.Helper()
	w := &world{t: t, brokers: brokers, said: new(buffer), prefix: fmt.Sprintf("%s-%x.", regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(t.Name(), "-"), time.Now().UnixNano()), tables: newTables()}
	w.log = slog.New(slog.NewTextHandler(w.said, nil))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the members said:\n%s", w.said.text())
		}
	})
	w.client = w.connect()
	w.admin = kadm.NewClient(w.client)
	for topic, policy := range map[string]string{"one": "delete", "two": "delete", "out": "delete", "group-table": "compact"} {
		created, err := w.admin.CreateTopic(context.Background(), partitions, 1, map[string]*string{"cleanup.policy": &policy, "retention.ms": kadm.StringPtr("-1")}, w.prefix+topic)
		if err != nil || created.Err != nil {
			t.Fatalf("create %s: %v %v", topic, err, created.Err)
		}
	}
	w.await("the topics are there", func() bool { // a broker hears of them after it has confirmed them
		ends, err := w.admin.ListEndOffsets(context.Background(), w.prefix+"one", w.prefix+"two", w.prefix+"out", w.prefix+"group-table")
		return err == nil && ends.Error() == nil
	})
	return w
}

func (w *world) connect(more ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(more, kgo.SeedBrokers(w.brokers...), kgo.RecordPartitioner(partitioner()), kgo.MetadataMinAge(100*time.Millisecond))...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return client
}

// put writes records to the inputs.
func (w *world) put(records ...*kgo.Record) {
	w.t.Helper()
	if err := w.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) record(topic, key, value string, millis int64) *kgo.Record {
	return &kgo.Record{Topic: w.prefix + topic, Key: []byte(key), Value: []byte(value), Timestamp: time.UnixMilli(millis), Partition: byKey}
}

// config runs the counting processor on the world's tables.
func (w *world) config(instance string) Config { return w.configOn(w.tables, instance, w.count) }

// configOn runs a step on tables, which stand for the disk of one machine.
func (w *world) configOn(on *tables, instance string, step goka.ProcessCallback) Config {
	c := Config{
		Brokers: w.brokers, Group: w.prefix + "group", Instance: instance,
		Inputs: []string{w.prefix + "one", w.prefix + "two"}, TableTopic: w.prefix + "group-table",
		Open:   on.open,
		Close:  on.close,
		Logger: w.log.With("instance", instance),
		Limits: Limits{Idle: 100 * time.Millisecond, BackoffMin: 10 * time.Millisecond, BackoffMax: 100 * time.Millisecond},
	}
	c.Processor = func(partition int32, seams []goka.ProcessorOption) (*goka.Processor, error) {
		graph := goka.DefineGroup(goka.Group(w.prefix+"group"),
			goka.Input(goka.Stream(w.prefix+"one"), new(codec.Bytes), step),
			goka.Input(goka.Stream(w.prefix+"two"), new(codec.Bytes), step),
			goka.Output(goka.Stream(w.prefix+"out"), new(codec.Bytes)),
			goka.Persist(new(codec.String)))
		return goka.NewProcessor(nil, graph, append(seams, goka.WithStorageBuilder(func(string, int32) (storage.Storage, error) {
			return on.get(partition), nil
		}))...)
	}
	return c
}

// count is the counting step: the row of a key is the list of all values that
// it was given, and each is emitted with its place in the list.
func (w *world) count(ctx goka.Context, value any) {
	row, _ := ctx.Value().(string)
	row += string(value.([]byte)) + " "
	ctx.SetValue(row)
	ctx.Emit(goka.Stream(w.prefix+"out"), ctx.Key(), fmt.Appendf(nil, "%s #%d", value, strings.Count(row, " ")))
}

// start runs a member until the returned function stops it, or the test ends.
func (w *world) start(c Config) (stop func() error) {
	m := w.member(c)
	w.t.Cleanup(func() {
		if err := m.stop(); err != nil {
			w.t.Errorf("the member ended with: %v", err)
		}
	})
	return m.stop
}

// member is one that runs.
type member struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of Run, to be read when it has ended
}

// member runs one whose end is the test's affair.
func (w *world) member(c Config) *member {
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{cancel: cancel, ended: make(chan struct{})}
	go func() {
		m.err = Run(ctx, c)
		w.log.Info("Run has returned", "instance", c.Instance, "error", m.err)
		close(m.ended)
	}()
	w.t.Cleanup(func() { _ = m.stop() })
	return m
}

func (m *member) stop() error {
	m.cancel()
	return m.wait()
}

// wait gives what Run returned.
func (m *member) wait() error {
	select {
	case <-m.ended:
		return m.err
	case <-time.After(30 * time.Second):
		return errors.New("Run did not end within 30 s")
	}
}

// read reads the committed records of a topic, up to its end as it stands.
func (w *world) read(topic string) (records []*kgo.Record) {
	w.t.Helper()
	var ends kadm.ListedOffsets
	w.await("no transaction is open in "+topic, func() bool { // a broker writes the markers after it has confirmed the end
		high, err := w.admin.ListEndOffsets(context.Background(), w.prefix+topic)
		if err == nil {
			ends, err = w.admin.ListCommittedOffsets(context.Background(), w.prefix+topic)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		open := false
		high.Each(func(h kadm.ListedOffset) { open = open || ends[h.Topic][h.Partition].Offset < h.Offset })
		return !open
	})
	from := map[int32]kgo.Offset{}
	left := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		from[end.Partition] = kgo.NewOffset().AtStart()
		if end.Offset > 0 {
			left[end.Partition] = end.Offset
		}
	})
	client := w.connect(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{w.prefix + topic: from}), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	defer client.Close()
	for len(left) > 0 {
		client.PollFetches(context.Background()).EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() && r.Offset < ends[r.Topic][r.Partition].Offset {
				records = append(records, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return records
}

// lines are the values of a topic's committed records, by key, in order.
func (w *world) lines(topic string) map[string][]string {
	all := map[string][]string{}
	for _, r := range w.read(topic) {
		all[string(r.Key)] = append(all[string(r.Key)], string(r.Value))
	}
	return all
}

// lag is what the group has not committed yet.
func (w *world) lag(group string) int64 {
	lags, err := w.admin.Lag(context.Background(), group)
	if err != nil {
		return -1
	}
	total := int64(0)
	for _, lag := range lags {
		if lag.Error() != nil || len(lag.Lag) == 0 {
			return -1
		}
		for _, topic := range []string{"one", "two"} {
			if len(lag.Lag[w.prefix+topic]) != partitions {
				return -1
			}
		}
		total += lag.Lag.Total()
	}
	return total
}

func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// buffer takes what several goroutines write.
type buffer struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes.Write(p)
}

func (b *buffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes.String()
}

func (w *world) awaitCaughtUp() {
	w.t.Helper()
	w.await("the group's lag is 0", func() bool { return w.lag(w.prefix+"group") == 0 })
}

// counted is what the counting processor must have emitted for values that
// were put in this order.
func counted(values map[string][]string) map[string][]string {
	all := map[string][]string{}
	for key, list := range values {
		for i, value := range list {
			all[key] = append(all[key], fmt.Sprintf("%s #%d", value, i+1))
		}
	}
	return all
}

func (w *world) same(got, want map[string][]string) {
	w.t.Helper()
	if maps.EqualFunc(got, want, slices.Equal[[]string]) {
		return
	}
	for key := range want {
		if !slices.Equal(got[key], want[key]) {
			w.t.Fatalf("key %s: got %v, want %v", key, got[key], want[key])
		}
	}
	w.t.Fatalf("keys %v that nobody put", got)
}

// sameRows waits until tables, which have all partitions, hold what was put.
func (w *world) sameRows(ts *tables, values map[string][]string) {
	w.t.Helper()
	want := map[string]string{}
	for key, list := range values {
		want[key] = strings.Join(list, " ") + " "
	}
	w.await("the rows are what was put", func() bool { return maps.Equal(ts.rows(), want) })
}

// add appends more values to those of the same keys.
func add(values, more map[string][]string) {
	for key, list := range more {
		values[key] = append(values[key], list...)
	}
}

// tables are local states that survive their owners, as a disk does.
type tables struct {
	mu     sync.Mutex
	all    map[int32]*table
	opened map[int32]bool
	// restoring, if set, is called before rows are restored.
	restoring func()
}

func newTables() *tables { return &tables{all: map[int32]*table{}, opened: map[int32]bool{}} }

func (ts *tables) open(partition int32) (Table, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.opened[partition] {
		return nil, errors.New("it is open already")
	}
	ts.opened[partition] = true
	if ts.all[partition] == nil {
		ts.all[partition] = &table{tables: ts, Storage: storage.NewMemory(), rows: map[string][]byte{}, staged: map[string][]byte{}}
	}
	return ts.all[partition], nil
}

func (ts *tables) close(partition int32) error {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if !ts.opened[partition] {
		return errors.New("it is not open")
	}
	ts.opened[partition] = false
	return nil
}

func (ts *tables) get(partition int32) *table {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.all[partition]
}

// lose is what becomes of the disk when the machine is lost.
func (ts *tables) lose() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	clear(ts.all)
}

// rows are the rows of all partitions.
func (ts *tables) rows() map[string]string {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	all := map[string]string{}
	for _, t := range ts.all {
		t.mu.Lock()
		for key, value := range t.rows {
			all[key] = string(value)
		}
		t.mu.Unlock()
	}
	return all
}

// table is the simplest Table: two maps.
type table struct {
	storage.Storage
	tables       *tables
	mu           sync.Mutex // tests look at rows meanwhile
	rows, staged map[string][]byte
	position     int64
}

func (t *table) Get(key string) ([]byte, error) {
	if value, is := t.staged[key]; is {
		return value, nil
	}
	return t.rows[key], nil
}
func (t *table) Set(key string, value []byte) error { t.staged[key] = value; return nil }
func (t *table) GetOffset(int64) (int64, error)     { return t.position, nil }
func (t *table) SetOffset(int64) error              { return nil }
func (t *table) Position() int64                    { return t.position }
func (t *table) Empty() (bool, error)               { return len(t.rows) == 0, nil }
func (t *table) Drop()                              { clear(t.staged) }

func (t *table) Seal(next int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.Copy(t.rows, t.staged)
	t.Drop()
	t.position = next
	return nil
}

func (t *table) Restore(rows []Row, next int64) error {
	if restoring := t.tables.restoring; restoring != nil && len(rows) > 0 {
		restoring()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, row := range rows {
		t.rows[string(row.Key)] = slices.Clone(row.Value)
	}
	t.position = next
	return nil
}

func (t *table) Staged(f func(string, []byte) error) error {
	for key, value := range t.staged {
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// some are values for a few keys, as put and as they must come out. A key stays
// in one topic: what comes while a member runs has no order with what has not
// come yet.
func (w *world) some(from, to int) map[string][]string {
	values := map[string][]string{}
	var records []*kgo.Record
	for i := from; i < to; i++ {
		key := "key" + strconv.Itoa(i%37)
		topic := []string{"one", "two"}[i%37%2]
		values[key] = append(values[key], strconv.Itoa(i))
		records = append(records, w.record(topic, key, strconv.Itoa(i), int64(1_700_000_000_000+i)))
	}
	w.put(records...)
	return values
}
