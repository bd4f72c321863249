package kafka

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
)

// passed is the key of the row in which a partition keeps how far it has come.
const passed = "passed"

// passer goes over all rows of a partition before its next input, a few a
// transaction, and adds a word to each.
type passer struct {
	w  *world
	on *tables

	mu   sync.Mutex
	last map[int32]string // key handed last, by partition
	over map[int32]bool
}

const passBatch = 3

func (p *passer) first(partition int32, most int) (own []Own, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over[partition] {
		return nil, nil
	}
	t := p.on.get(partition)
	for _, key := range slices.Sorted(maps.Keys(t.rows)) {
		if key > p.last[partition] && key != passed && len(own) < min(passBatch, most-1) {
			own = append(own, Own{key, time.UnixMilli(1_000)})
			p.last[partition] = key
		}
	}
	if len(own) == 0 {
		p.over[partition] = true
		return nil, nil
	}
	return append(own, Own{passed, time.UnixMilli(1_000)}), nil
}

func (p *passer) step(ctx goka.Context, _ any) {
	if ctx.Key() == passed {
		p.mu.Lock()
		defer p.mu.Unlock()
		ctx.SetValue(p.last[ctx.Partition()])
		return
	}
	row, _ := ctx.Value().(string)
	ctx.SetValue(row + "again ")
	ctx.Emit(goka.Stream(p.w.prefix+"out"), ctx.Key(), []byte("again"))
}

func (p *passer) config(instance string) Config {
	c := p.w.configOn(p.on, instance, p.w.count)
	c.First, c.FirstTopic = p.first, p.w.prefix+"own"
	c.Limits.TransactionRecords = 4 * passBatch // or all would be one transaction
	c.Metadata = func(partition int32) string { return "of " + string(p.on.get(partition).rows[passed]) }
	c.Processor = func(partition int32, seams []goka.ProcessorOption) (*goka.Processor, error) {
		p.mu.Lock()
		p.last[partition], p.over[partition] = string(p.on.get(partition).rows[passed]), false
		p.mu.Unlock()
		graph := goka.DefineGroup(goka.Group(p.w.prefix+"group"),
			goka.Input(goka.Stream(p.w.prefix+"one"), new(codec.Bytes), p.w.count),
			goka.Input(goka.Stream(p.w.prefix+"two"), new(codec.Bytes), p.w.count),
			goka.Input(goka.Stream(c.FirstTopic), new(codec.Bytes), p.step),
			goka.Output(goka.Stream(p.w.prefix+"out"), new(codec.Bytes)),
			goka.Persist(new(codec.String)))
		return goka.NewProcessor(nil, graph, append(seams, goka.WithStorageBuilder(func(string, int32) (storage.Storage, error) {
			return p.on.get(partition), nil
		}))...)
	}
	return c
}

// What a partition hands to itself is handed exactly once and before its next
// input, also if the member is killed in the middle; it goes on from its row.
func TestFirstComesBeforeInputsExactlyOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	before := w.some(0, 200)
	stop := w.start(w.config("a"))
	w.awaitCaughtUp()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	want := counted(before)
	after := w.some(200, 300)
	for key, values := range after {
		want[key] = append(want[key], "again")
		for i, value := range values {
			want[key] = append(want[key], fmt.Sprintf("%s #%d", value, len(before[key])+1+i+1))
		}
	}
	for _, last := range []int{random.IntN(12), random.IntN(12), random.IntN(12), random.IntN(12), immortal} {
		p := &passer{w: w, on: w.tables, last: map[int32]string{}, over: map[int32]bool{}}
		w.runMortal(p.config("a"), last)
	}
	w.same(w.lines("out"), want)
	committed, err := w.admin.FetchOffsets(context.Background(), w.prefix+"group")
	if err != nil {
		t.Fatal(err)
	}
	for partition := range int32(partitions) {
		row := string(w.tables.get(partition).rows[passed])
		if row == "" {
			continue // no key lies there
		}
		if offset, _ := committed.Lookup(w.prefix+"one", partition); !strings.HasPrefix(offset.Metadata, "of ") {
			t.Errorf("partition %d has passed up to a row and committed the metadata %q", partition, offset.Metadata)
		}
	}
}
