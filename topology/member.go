package topology

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/topology/kafka"
	"github.com/vouch-engine/vouch/topology/store"
)

// member is this process in one group: its partitions share a store and
// metrics.
type member struct {
	RunOptions
	name     string // of the group, without prefix
	store    *store.Store
	limits   map[string]int32 // the largest batch that a topic takes, by full name
	tickKeys []string         // by partition: the key of its ticks and of its own row

	// What the group's work is like. prepare sets begin, which makes the work of
	// a partition, once the registry has answered; rekey, alone and index may be
	// nil. purges is the internal topic that it alone reads, empty for none.
	prepare func(context.Context) error
	begin   func(*binding) work
	rekey   func(topic string, partition int32) string
	alone   func(value []byte) bool
	index   func(key string, row []byte, add func(entry []byte)) error
	purges  string
	// Of the store; zero is its default.
	rowBytes, cacheBytes int64

	mu      sync.Mutex
	works   map[int32]work // those that are open
	running int            // how many of them take records
	resent  map[int32]bool // those whose pass this process has begun and committed: it goes on, whoever asked for it
}

// work is what a group does with one partition: the steps of its processor,
// bound to Goka. It is called by one goroutine at a time, while the partition's
// processor is quiet.
type work interface {
	bound() *binding
	// inputs are the callbacks, by topic without prefix; ownTopic among them.
	inputs() map[string]goka.ProcessCallback
	// outputs are the topics that it writes, without prefix.
	outputs() []string
	// rows is the form of its table's rows.
	rows() goka.Codec
	// recall reads the partition's own row. It begins the pass that the row asks
	// for, or refuses the partition.
	recall(row []byte) error
	// again says whether more is left of the record in hand.
	again() bool
	// clock is the last tick applied, and how far the one in hand has come;
	// certify.NoTick for none.
	clock() (applied, reached schemas.Instant)
}

// newMember connects to the brokers and checks the group's topics.
func newMember(ctx context.Context, o RunOptions, name string) (*member, error) {
	if o.CommitInterval < 0 || o.CommitInterval > CommitIntervalMax {
		return nil, fmt.Errorf("%s: a commit interval of %v: must be from 0 to %v", name, o.CommitInterval, CommitIntervalMax)
	}
	client, err := kgo.NewClient(append(o.Client, kgo.SeedBrokers(o.Brokers...))...)
	if err != nil {
		return nil, fmt.Errorf("%s: connect to Kafka: %w", name, err)
	}
	defer client.Close()
	partitions, err := checkTopics(ctx, client, o.Prefix, specsOfGroup(name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	limits, err := batchLimits(ctx, client, o.Prefix, specsOfGroup(name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &member{RunOptions: o, name: name, limits: limits, tickKeys: TickKeys(partitions), works: map[int32]work{}, resent: map[int32]bool{}}, nil
}

// work works until ctx ends.
func (m *member) work(ctx context.Context) (err error) {
	group := m.Prefix + m.name
	if err := m.prepare(ctx); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	if m.store, err = store.Open(store.Config{Directory: m.State, Owner: group, Index: m.index, RowBytes: m.rowBytes, CacheBytes: m.cacheBytes, Logger: m.Logger}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.store.Close()) }()
	m.Metrics.watch(m.store.Stats, m.passing, m.Registry)
	m.Logger.Info(m.name+" starts", "group", group, "instance", m.Instance, "partitions", len(m.tickKeys), "catalogue", m.Catalogue.Hash(), "version", m.Catalogue.Version)
	if m.purges != "" {
		purging, stop := context.WithCancel(ctx)
		var ended sync.WaitGroup
		ended.Go(func() { m.purge(purging, m.purges) })
		defer ended.Wait()
		defer stop()
	}
	return kafka.Run(ctx, m.config())
}

func (m *member) config() kafka.Config {
	var inputs []string
	for _, topic := range inputsOf[m.name] {
		inputs = append(inputs, m.Prefix+topic)
	}
	c := kafka.Config{
		Brokers: m.Brokers, Client: m.Client, Group: m.Prefix + m.name, Instance: m.Instance,
		Inputs: inputs, TableTopic: m.Prefix + m.name + "-table", BatchBytes: m.limits,
		Open: m.open, Close: m.close, Processor: m.processor, Rekey: m.rekey,
		First:      func(partition int32, most int) ([]kafka.Own, error) { return m.find(partition).bound().pass.next(most) },
		FirstTopic: m.Prefix + ownTopic(m.name),
		Metadata:   m.metadata,
		Observer: kafka.Observer{
			Reset:       m.Metrics.reset,
			Restore:     m.Metrics.restore,
			Running:     func(int32) { m.count(+1) },
			Stopped:     m.stopped,
			Committed:   m.committed,
			Transaction: m.Metrics.transaction,
			Position: func(topic string, partition int32, p kafka.Progress) {
				m.Metrics.position(topic[len(m.Prefix):], partition, p)
			},
		},
		Logger: m.Logger,
		Limits: kafka.Limits{Interval: m.CommitInterval},
	}
	if m.alone != nil {
		c.Alone = func(_ string, value []byte) bool { return m.alone(value) }
		c.Again = func(partition int32) bool { return m.find(partition).again() }
	}
	return c
}

// ownTopic is the name, without prefix, under which a group's partitions hand
// records to themselves. There is no such topic.
func ownTopic(group string) string { return group + "-pass" }

// metadata tells with a partition's positions which tick it has applied.
func (m *member) metadata(partition int32) string {
	applied, _ := m.find(partition).clock()
	return appendTick(applied)
}

// table is a store's partition as the runtime of transactions takes it.
type table struct{ *store.Partition }

func (t table) Restore(rows []kafka.Row, next int64) error {
	return t.Partition.Restore(iter.Seq2[[]byte, []byte](func(yield func([]byte, []byte) bool) {
		for _, row := range rows {
			if !yield(row.Key, row.Value) {
				return
			}
		}
	}), next)
}

func (m *member) open(partition int32) (kafka.Table, error) {
	rows, err := m.store.Partition(partition)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.works[partition] = m.begin(&binding{
		prefix: m.Prefix, partition: partition, tally: newTally(inputsOf[m.name]), table: rows,
		pass: pass{group: m.name, partition: partition, rows: rows, own: m.tickKeys[partition], log: m.Logger},
	})
	m.Metrics.assigned.Set(float64(len(m.works)))
	return table{rows}, nil
}

func (m *member) close(partition int32) error {
	m.mu.Lock()
	w := m.works[partition]
	delete(m.works, partition)
	m.Metrics.assigned.Set(float64(len(m.works)))
	m.mu.Unlock()
	m.Metrics.gone(partition)
	w.bound().pass.end()
	return w.bound().table.Release()
}

func (m *member) find(partition int32) work {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.works[partition]
}

func (m *member) count(more int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running += more
	m.Metrics.running.Set(float64(m.running))
}

// stopped forgets what was counted and not committed.
func (m *member) stopped(partition int32) {
	m.find(partition).bound().tally.forget()
	m.count(-1)
}

func (m *member) committed(partition int32) {
	w := m.find(partition)
	m.Metrics.committed(w.bound().tally)
	applied, reached := w.clock()
	m.Metrics.tick(partition, applied, reached)
	if w.bound().pass.begun() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.resent[partition] = true
	}
}

// passing counts the partitions whose pass is not over.
func (m *member) passing() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.works {
		if w.bound().pass.running.Load() {
			n++
		}
	}
	return n
}

// processor builds the Goka processor of one partition, whose table is
// restored.
func (m *member) processor(partition int32, seams []goka.ProcessorOption) (*goka.Processor, error) {
	w := m.find(partition)
	bound := w.bound()
	own, err := bound.table.Get(m.tickKeys[partition])
	if err == nil {
		err = w.recall(own)
	}
	if err != nil {
		return nil, err
	}
	var edges []goka.Edge
	for topic, callback := range w.inputs() {
		edges = append(edges, goka.Input(goka.Stream(m.Prefix+topic), bytesCodec{}, callback))
	}
	bound.streams = map[string]goka.Stream{}
	for _, topic := range w.outputs() {
		bound.streams[topic] = goka.Stream(m.Prefix + topic)
		edges = append(edges, goka.Output(bound.streams[topic], bytesCodec{}))
	}
	graph := goka.DefineGroup(goka.Group(m.Prefix+m.name), append(edges, goka.Persist(w.rows()))...)
	return goka.NewProcessor(m.Brokers, graph, append(seams, goka.WithStorageBuilder(func(string, int32) (storage.Storage, error) {
		return bound.table, nil
	}))...)
}

// ready says why the process does not do all its work, nil if it does.
func (m *member) ready() error {
	if m.Registry != nil {
		if err := m.Registry.Down(); err != nil {
			return err
		}
	}
	if n := m.passing(); n > 0 {
		return fmt.Errorf("%s: %d partitions go over their citizens anew before they take records", m.name, n)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.works) == 0 || m.running < len(m.works) {
		return fmt.Errorf("%s: %d of %d assigned partitions run", m.name, m.running, len(m.works))
	}
	return nil
}

// timestamp is the Kafka timestamp of what a tick at a clock leads to; without
// a tick, 1970.
func timestamp(clock schemas.Instant) time.Time {
	return time.UnixMilli(max(0, int64(clock)))
}

// bytesCodec leaves decoding to the callbacks: a codec's error would fail the
// partition, and a record that cannot be decoded must not.
type bytesCodec struct{}

func (bytesCodec) Encode(value any) ([]byte, error) { return value.([]byte), nil }
func (bytesCodec) Decode(value []byte) (any, error) { return value, nil }
