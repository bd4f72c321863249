// Command goka is the workload on stock Goka: its own runtime on sarama, at
// least once, its state in LevelDB with a changelog.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"log"
	"path/filepath"
	"sync"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"github.com/vouch-engine/vouch/benchmarks/peers/peer"
	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/topology"
)

func main() { peer.Main(run) }

func run(ctx context.Context, o peer.Options) error {
	config := goka.DefaultConfig()
	config.Version = sarama.V2_8_0_0 // a broker of today speaks nothing older than 2.1
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Producer.RequiredAcks = sarama.WaitForAll // as everybody else's
	goka.ReplaceGlobalConfig(config)
	keys, err := tickKeys(o, config)
	if err != nil {
		return err
	}
	g := &group{Options: o, keys: keys, partitions: map[int32]*partition{}, build: storage.DefaultBuilder(filepath.Join(o.State, "goka"))}
	processor, err := goka.NewProcessor(o.Brokers, g.graph(), goka.WithStorageBuilder(g.storage), goka.WithHasher(newMurmur2), goka.WithLogger(log.New(io.Discard, "", 0)))
	if err != nil {
		return fmt.Errorf("goka: make the processor: %w", err)
	}
	go func() {
		if processor.WaitForReadyContext(ctx) == nil {
			peer.Ready()
		}
	}()
	if err := processor.Run(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("goka: %w", err)
	}
	return nil
}

type group struct {
	peer.Options
	build storage.Builder

	mu         sync.Mutex
	partitions map[int32]*partition
	keys       []string // of ticks, by partition
}

// partition is what its goroutine has to itself.
type partition struct {
	worker   *peer.Worker
	rows     storage.Storage
	recalled bool // its clock
}

func (g *group) graph() *goka.GroupGraph {
	var edges []goka.Edge
	for _, topic := range topology.Inputs {
		edges = append(edges, goka.Input(goka.Stream(g.Prefix+topic), raw{}, func(ctx goka.Context, value any) { g.on(ctx, topic, value.([]byte)) }))
	}
	for _, topic := range []string{topology.Alert, topology.CertificationCompleted, topology.CertificationRevoked, topology.Schedule, topology.Payee} {
		edges = append(edges, goka.Output(goka.Stream(g.Prefix+topic), raw{}))
	}
	return goka.DefineGroup(goka.Group(g.Group()), append(edges, goka.Persist(rows{}))...)
}

// storage keeps the partition's store at hand: its clock lies in a row of it
// that no record has for its key.
func (g *group) storage(topic string, number int32) (storage.Storage, error) {
	built, err := g.build(topic, number)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.partitions[number] = &partition{worker: peer.NewWorker(g.Catalogue), rows: built}
	return built, nil
}

func (g *group) partition(number int32) *partition {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.partitions[number]
}

// recall reads the clock that the partition's ticks have written, once its
// table is restored.
func (g *group) recall(p *partition, number int32) error {
	value, err := p.rows.Get(g.keys[number])
	if err != nil || value == nil {
		return err
	}
	row, err := certify.DecodeRow(value)
	if err == nil && row.Partition != nil {
		p.worker.Clock = row.Partition.Clock
	}
	return err
}

func (g *group) on(ctx goka.Context, topic string, value []byte) {
	p := g.partition(ctx.Partition())
	if !p.recalled {
		p.recalled = true
		if err := g.recall(p, ctx.Partition()); err != nil {
			ctx.Fail(err)
		}
	}
	row, _ := ctx.Value().(*certify.Row)
	if row == nil {
		row = new(certify.Row)
	}
	changed, err := p.worker.Do(ctx.Context(), topic, ctx.Key(), value, schemas.Instant(ctx.Timestamp().UnixMilli()), row, func(topic, key string, value []byte) {
		ctx.Emit(goka.Stream(g.Prefix+topic), key, value)
	})
	if err != nil {
		ctx.Fail(err)
	}
	if changed {
		ctx.SetValue(row)
	}
}

// tickKeys are the keys of ticks by partition.
func tickKeys(o peer.Options, config *sarama.Config) ([]string, error) {
	client, err := sarama.NewClient(o.Brokers, config)
	if err != nil {
		return nil, fmt.Errorf("goka: connect to Kafka: %w", err)
	}
	defer client.Close()
	partitions, err := client.Partitions(o.Prefix + topology.Clock)
	if err != nil {
		return nil, fmt.Errorf("goka: ask for the partitions of the clock: %w", err)
	}
	return topology.TickKeys(len(partitions)), nil
}

// raw leaves the bytes to the worker.
type raw struct{}

func (raw) Encode(value any) ([]byte, error) { return value.([]byte), nil }
func (raw) Decode(value []byte) (any, error) { return value, nil }

// rows are the engine's own rows.
type rows struct{}

func (rows) Encode(value any) ([]byte, error) {
	return certify.AppendRow(nil, value.(*certify.Row)), nil
}
func (rows) Decode(value []byte) (any, error) { return certify.DecodeRow(value) }

// murmur2 is the hash of every Java client, in place of Goka's own: the topics
// are those of the other systems.
type murmur2 struct{ key []byte }

func newMurmur2() hash.Hash32 { return new(murmur2) }

func (m *murmur2) Write(p []byte) (int, error) { m.key = append(m.key, p...); return len(p), nil }
func (m *murmur2) Sum(b []byte) []byte         { return binary.BigEndian.AppendUint32(b, m.Sum32()) }
func (m *murmur2) Reset()                      { m.key = m.key[:0] }
func (m *murmur2) Size() int                   { return 4 }
func (m *murmur2) BlockSize() int              { return 4 }

// Sum32 has its sign masked, as the default partitioner masks it.
func (m *murmur2) Sum32() uint32 {
	const seed, mix, shift = 0x9747b28c, 0x5bd1e995, 24
	h, b := uint32(seed^len(m.key)), m.key
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * mix
		k = (k ^ k>>shift) * mix
		h = h*mix ^ k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * mix
	}
	h = (h ^ h>>13) * mix
	return (h ^ h>>15) & 0x7fffffff
}
