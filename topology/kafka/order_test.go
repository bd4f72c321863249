package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ordered puts records of one key into both inputs, and returns their values in
// the order of their timestamps, at a tie those of input one first.
func (w *world) ordered(random *rand.Rand, n int) []string {
	type put struct {
		millis int64
		topic  int
		value  string
	}
	var all []put
	var records []*kgo.Record
	for topic, name := range []string{"one", "two"} {
		millis := int64(1_700_000_000_000)
		for i := range n {
			millis += random.Int64N(3) // ties within a topic and between both
			value := fmt.Sprintf("%s%d", name, i)
			all = append(all, put{millis, topic, value})
			records = append(records, w.record(name, "key", value, millis))
		}
	}
	w.put(records...)
	slices.SortStableFunc(all, func(a, b put) int {
		if a.millis != b.millis {
			return int(a.millis - b.millis)
		}
		return a.topic - b.topic
	})
	var values []string
	for _, p := range all {
		values = append(values, p.value)
	}
	return values
}

// Both inputs are one sequence by timestamp, however little is fetched at a
// time, and whichever topic comes first.
func TestOrderIsThatOfTimestamps(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	values := w.ordered(random, 3000)
	c := w.config("a")
	c.Limits.FetchBytes = 2 << 10
	c.Limits.BufferedRecords = 20
	w.start(c)
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(map[string][]string{"key": values}))
}

// A topic that answers late is waited for: of two records that are there when
// the partition is taken over, the older comes first.
func TestOrderWaitsForALateTopic(t *testing.T) {
	w := newWorld(t)
	w.put(w.record("two", "key", "old", 1_600_000_000_000))
	w.ordered(rand.New(rand.NewPCG(1, 1)), 500)
	c := w.config("a")
	// Each fetch asks for one record or so: two's first comes long after one's.
	c.Inputs = []string{w.prefix + "two", w.prefix + "one"}
	c.Limits.FetchBytes = 1
	w.start(c)
	w.awaitCaughtUp()
	if first := w.lines("out")["key"][0]; first != "old #1" {
		t.Fatalf("the first record was %q", first)
	}
}

// transact writes records of one transaction to an input and ends it, unless
// end is nil.
func (w *world) transact(name string, end *kgo.TransactionEndTry, records ...*kgo.Record) *kgo.Client {
	w.t.Helper()
	client := w.connect(kgo.TransactionalID(w.prefix + name))
	if err := client.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	if end != nil {
		w.end(client, *end)
	}
	return client
}

func (w *world) end(client *kgo.Client, how kgo.TransactionEndTry) {
	w.t.Helper()
	if err := client.EndTransaction(context.Background(), how); err != nil {
		w.t.Fatal(err)
	}
}

// awaitLines waits until the committed values of a key are these.
func (w *world) awaitLines(key string, want ...string) {
	w.t.Helper()
	var got []string
	defer func() {
		if w.t.Failed() {
			w.t.Logf("key %s: got %v, want %v", key, got, want)
		}
	}()
	w.await("key "+key+" has its lines", func() bool {
		got = w.lines("out")[key]
		return slices.Equal(got, want)
	})
}

// An input that ends in aborted records, or has no others, holds nothing back,
// and is not lagged behind.
func TestOrderPassesAbortedRecords(t *testing.T) {
	abort, commit := kgo.TryAbort, kgo.TryCommit
	for name, ends := range map[string][]*kgo.TransactionEndTry{"only aborted": {&abort, &abort}, "at the end": {&commit, &abort, &abort}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			want := []string{}
			for i, end := range ends {
				value := fmt.Sprintf("two%d", i)
				w.transact(value, end, w.record("two", "key", value, int64(1_600_000_000_000+i)))
				if *end == commit {
					want = append(want, fmt.Sprintf("%s #%d", value, len(want)+1))
				}
			}
			w.put(w.record("one", "key", "one", 1_700_000_000_000))
			w.start(w.config("a"))
			w.awaitLines("key", append(want, fmt.Sprintf("one #%d", len(want)+1))...)
			w.awaitCaughtUp()
		})
	}
}

// The last stable offset may lie behind aborted records whose marker it does
// not reach, as long as another transaction is open: nobody waits for a marker
// that a stranger holds back.
func TestOrderDoesNotWaitForAStrangersTransaction(t *testing.T) {
	w := newWorld(t)
	aborted := w.transact("aborted", nil, w.record("two", "key", "never", 1_600_000_000_000))
	open := w.transact("open", nil, w.record("two", "key", "late", 1_600_000_000_001))
	w.end(aborted, kgo.TryAbort)
	w.put(w.record("one", "key", "one", 1_700_000_000_000))
	w.start(w.config("a"))
	w.awaitLines("key", "one #1")
	w.end(open, kgo.TryCommit)
	w.awaitLines("key", "one #1", "late #2")
	w.awaitCaughtUp()
}

// More aborted transactions than a queue may hold do not stop it: what is
// paused for their markers is fetched again.
func TestOrderPassesManyMarkers(t *testing.T) {
	w := newWorld(t)
	client := w.transact("aborting", nil, w.record("two", "key", "never", 1_600_000_000_000))
	for i := range 60 {
		w.end(client, kgo.TryAbort)
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(context.Background(), w.record("two", "key", "never", int64(1_600_000_000_000+i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	w.end(client, kgo.TryCommit)
	w.put(w.record("one", "key", "one", 1_700_000_000_000))
	c := w.config("a")
	c.Limits.BufferedRecords, c.Limits.FetchBytes = 5, 2<<10 // a dozen markers a fetch
	w.start(c)
	w.awaitLines("key", "never #1", "one #2")
	w.awaitCaughtUp()
}

// What a paused queue was paused for is forgotten with its partition: the
// client would remember it when the partition comes back.
func TestGivenUpPartitionsAreFetchedAgain(t *testing.T) {
	w := newWorld(t)
	c, err := w.config("a").withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	g := newGeneration(&c)
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	if err := g.connect(g.ctx); err != nil {
		t.Fatal(err)
	}
	defer g.client.Close()
	table, err := w.tables.open(0)
	if err != nil {
		t.Fatal(err)
	}
	q := queue{topic: c.Inputs[0]}
	for range c.Limits.BufferedRecords + 1 {
		q.push([]*kgo.Record{{}})
	}
	p := &partition{table: table, queues: []queue{q}}
	g.partitions[0] = p
	g.throttle(g.held())
	if paused := g.client.PauseFetchPartitions(nil); len(paused[c.Inputs[0]]) != 1 {
		t.Fatalf("a full queue is not paused: %v", paused)
	}
	g.giveUp(map[string][]int32{c.Inputs[0]: {0}}, false)
	if paused := g.client.PauseFetchPartitions(nil); len(paused[c.Inputs[0]]) != 0 {
		t.Fatalf("still paused: %v", paused)
	}
}

// A queue that never runs empty has bounded room.
func TestQueueRoomIsBounded(t *testing.T) {
	var q queue
	for i := range 100_000 {
		q.push([]*kgo.Record{{Offset: int64(i)}})
		if i >= 10 {
			if got := q.pop().Offset; got != int64(i-10) {
				t.Fatalf("popped %d, want %d", got, i-10)
			}
		}
	}
	if cap(q.records) > 100 {
		t.Fatalf("room for %d records, with 10 in it", cap(q.records))
	}
}

// What a processor's failure says does not contain the key.
func TestTextsWithoutKeys(t *testing.T) {
	for text, want := range map[string]string{
		"message for key 7 from x/17":     "message for key (key) from x/17",
		"'7', (7) and 77":                 "'(key)', ((key)) and 77",
		"7":                               "(key)",
		strings.Repeat("7 ", 3):           strings.Repeat("(key) ", 3),
		"nothing of the kind, nor é7 or7": "nothing of the kind, nor é7 or7",
	} {
		if got := without(text, "7"); got != want {
			t.Errorf("without(%q) = %q, want %q", text, got, want)
		}
	}
}
