package topology

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology/kafka"
	"github.com/vouch-engine/vouch/topology/store"
)

// RunOptions say what a processor runs on. Brokers and State are needed, the
// zero value of everything else is ready.
type RunOptions struct {
	Brokers  []string
	Client   []kgo.Opt // TLS, SASL: for every client
	Prefix   string    // of topics and groups; empty: DefaultPrefix
	Instance string    // this member's name, unique in its group and the same after a restart; empty: "0"
	State    string    // directory of the local state, which is rebuilt if it is lost

	Catalogue *catalogue.Catalogue // nil: the shipped one
	Registry  *avro.Registry       // nil: values are in single-object encoding
	Listen    string               // address of /metrics, /ready and /live; empty: none
	Metrics   *Metrics             // nil: new ones
	Logger    *slog.Logger         // nil: slog.Default()
}

func (o RunOptions) withDefaults() RunOptions {
	o.Prefix, o.Instance = cmp.Or(o.Prefix, DefaultPrefix), cmp.Or(o.Instance, "0")
	if o.Catalogue == nil {
		o.Catalogue = catalogue.Default()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// RunCertifier decides the inputs until ctx ends; it then finishes the
// transaction in hand, leaves the group and returns nil. An error is one that
// starting again would meet again: see kafka.Run.
func RunCertifier(ctx context.Context, o RunOptions) (err error) {
	o = o.withDefaults()
	client, err := kgo.NewClient(append(o.Client, kgo.SeedBrokers(o.Brokers...))...)
	if err != nil {
		return fmt.Errorf("certifier: connect to Kafka: %w", err)
	}
	defer client.Close()
	partitions, err := checkTopics(ctx, client, o.Prefix, certifierSpecs())
	if err != nil {
		return fmt.Errorf("certifier: %w", err)
	}
	limits, err := batchLimits(ctx, client, o.Prefix, certifierSpecs())
	if err != nil {
		return fmt.Errorf("certifier: %w", err)
	}
	group := o.Prefix + CertifierGroup
	r := &certifierRun{RunOptions: o, limits: limits, tickKeys: TickKeys(partitions), partitions: map[int32]*certifier{}}
	stop, err := serve(o, r.ready) // before the registry, which may have to be waited for
	if err != nil {
		return fmt.Errorf("certifier: %w", err)
	}
	defer stop()
	if r.codecs, err = newCodecs(ctx, avro.New(o.Registry), o.Prefix); err != nil {
		return fmt.Errorf("certifier: %w", err)
	}
	if r.store, err = store.Open(store.Config{Directory: o.State, Owner: group, Logger: o.Logger}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	o.Metrics.watch(r.store.Stats, o.Registry)
	o.Logger.Info("certifier starts", "group", group, "instance", o.Instance, "partitions", partitions, "catalogue", o.Catalogue.Hash(), "version", o.Catalogue.Version)
	return kafka.Run(ctx, r.config(group))
}

// certifierRun is a certifier process: its partitions share a store, codecs
// and metrics.
type certifierRun struct {
	RunOptions
	codecs   *codecs
	store    *store.Store
	limits   map[string]int32 // the largest batch that a topic takes, by full name
	tickKeys []string         // by partition: the key of its ticks and of its own row

	mu         sync.Mutex
	partitions map[int32]*certifier // those that are open
	running    int                  // how many of them take records
}

func (r *certifierRun) config(group string) kafka.Config {
	inputs := make([]string, len(Inputs))
	for i, topic := range Inputs {
		inputs[i] = r.Prefix + topic
	}
	return kafka.Config{
		Brokers: r.Brokers, Client: r.Client, Group: group, Instance: r.Instance,
		Inputs: inputs, TableTopic: r.Prefix + CertifierTable, BatchBytes: r.limits,
		Open: r.open, Close: r.close, Processor: r.processor, Rekey: r.rekey,
		Observer: kafka.Observer{
			Reset:       r.Metrics.reset,
			Restore:     r.Metrics.restore,
			Running:     func(int32) { r.count(+1) },
			Stopped:     r.stopped,
			Committed:   r.committed,
			Transaction: r.Metrics.transaction,
			Position: func(topic string, partition int32, p kafka.Progress) {
				r.Metrics.position(topic[len(r.Prefix):], partition, p)
			},
		},
		Logger: r.Logger,
	}
}

// rekey puts what is kept of a partition as a whole under its own key,
// whatever key a foreign clock gave its tick.
func (r *certifierRun) rekey(topic string, partition int32) string {
	if topic[len(r.Prefix):] == Clock {
		return r.tickKeys[partition]
	}
	return ""
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

func (r *certifierRun) open(partition int32) (kafka.Table, error) {
	rows, err := r.store.Partition(partition)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.partitions[partition] = &certifier{
		prefix: r.Prefix, catalogue: r.Catalogue, codecs: r.codecs, rules: certify.New(r.Catalogue), tally: newTally(),
		rows: rows, partition: certify.Partition{Clock: certify.NoTick},
	}
	r.Metrics.assigned.Set(float64(len(r.partitions)))
	return table{rows}, nil
}

func (r *certifierRun) close(partition int32) error {
	r.mu.Lock()
	c := r.partitions[partition]
	delete(r.partitions, partition)
	r.Metrics.assigned.Set(float64(len(r.partitions)))
	r.mu.Unlock()
	r.Metrics.gone(partition)
	return c.rows.Release()
}

func (r *certifierRun) find(partition int32) *certifier {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.partitions[partition]
}

func (r *certifierRun) count(more int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running += more
	r.Metrics.running.Set(float64(r.running))
}

// stopped forgets what was counted and not committed.
func (r *certifierRun) stopped(partition int32) {
	r.find(partition).tally.forget()
	r.count(-1)
}

func (r *certifierRun) committed(partition int32) {
	c := r.find(partition)
	r.Metrics.committed(c.tally)
	r.Metrics.tick(partition, c.partition.Clock)
}

// processor builds the Goka processor of one partition, whose table is
// restored.
func (r *certifierRun) processor(partition int32, seams []goka.ProcessorOption) (*goka.Processor, error) {
	c := r.find(partition)
	if err := c.recall(r.tickKeys[partition]); err != nil {
		return nil, err
	}
	var edges []goka.Edge
	for topic, callback := range c.inputs() {
		edges = append(edges, goka.Input(goka.Stream(r.Prefix+topic), bytesCodec{}, callback))
	}
	c.streams = map[string]goka.Stream{}
	for _, topic := range []string{Alert, CertificationCompleted, CertificationRevoked, Quarantine, Schedule, Payee} {
		c.streams[topic] = goka.Stream(r.Prefix + topic)
		edges = append(edges, goka.Output(c.streams[topic], bytesCodec{}))
	}
	graph := goka.DefineGroup(goka.Group(r.Prefix+CertifierGroup), append(edges, goka.Persist(new(rowCodec)))...)
	return goka.NewProcessor(r.Brokers, graph, append(seams, goka.WithStorageBuilder(func(string, int32) (storage.Storage, error) {
		return c.rows, nil
	}))...)
}

// ready says why the process does not do all its work, nil if it does.
func (r *certifierRun) ready() error {
	if r.Registry != nil {
		if err := r.Registry.Down(); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.partitions) == 0 || r.running < len(r.partitions) {
		return fmt.Errorf("%d of %d assigned partitions run", r.running, len(r.partitions))
	}
	return nil
}

// bytesCodec leaves decoding to the callbacks: a codec's error would fail the
// partition, and a record that cannot be decoded must not.
type bytesCodec struct{}

func (bytesCodec) Encode(value any) ([]byte, error) { return value.([]byte), nil }
func (bytesCodec) Decode(value []byte) (any, error) { return value, nil }

// rowCodec is the form of one partition's rows. A row is written into scratch
// memory first and copied at its size: the store keeps it for long, and would
// keep the room to grow with it.
type rowCodec struct{ scratch []byte }

func (c *rowCodec) Encode(value any) ([]byte, error) {
	c.scratch = certify.AppendRow(c.scratch[:0], value.(*certify.Row))
	return bytes.Clone(c.scratch), nil
}

func (c *rowCodec) Decode(bytes []byte) (any, error) { return certify.DecodeRow(bytes) }
