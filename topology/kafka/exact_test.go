package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What is put in comes out, once and in order, and again after a clean stop
// with its state, and after the state is lost.
func TestWhatIsPutComesOut(t *testing.T) {
	w := newWorld(t)
	values := w.some(0, 2000)
	stop := w.start(w.config("a"))
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	add(values, w.some(2000, 3000))
	stop = w.start(w.config("a"))
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	before := w.tables.rows()
	w.tables = newTables()
	add(values, w.some(3000, 3001))
	w.start(w.config("b"))
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	after := w.tables.rows()
	before["key"+strconv.Itoa(3000%37)] += "3000 "
	if !maps.Equal(before, after) {
		text, _ := json.Marshal(after)
		t.Fatalf("the restored table differs: %s", text)
	}
}

// machine is a place where a member runs: its disk, its network and the process
// that is there now. What is on the disk stays there, and grows old, while the
// partition is somewhere else.
type machine struct {
	w      *world
	name   string
	disk   *tables
	net    *network
	member *member
}

func (m *machine) start() {
	m.net = newNetwork()
	c := m.w.configOn(m.disk, m.name, m.w.count)
	c.Client = m.net.client()
	c.Limits.SessionTimeout = sessionTimeoutMin
	c.Limits.TransactionTimeout = 3 * time.Second
	c.Limits.TransactionTime = 20 * time.Millisecond
	if m.name == "2" {
		c.Limits.Interval = 50 * time.Millisecond
	}
	c.Limits.LeaveTimeout = time.Second
	m.member = m.w.member(c)
}

// Whatever is cut, killed, added and removed at whatever moment, each value
// comes out once and in order, and the rows are those of the changelog.
func TestExactlyOnceInChaos(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	var machines []*machine
	for i := range 3 {
		machines = append(machines, &machine{w: w, name: strconv.Itoa(i), disk: newTables()})
	}
	machines[0].start()
	machines[1].start()
	values, stop := w.keepPutting(seed)
	for range 40 {
		time.Sleep(upTo(random, 400*time.Millisecond))
		m := machines[random.IntN(len(machines))]
		switch running := m.member != nil; {
		case !running:
			m.start()
		case random.IntN(3) > 0:
			m.net.cut()
		default:
			if random.IntN(2) == 0 {
				m.net.die() // killed, or else it stops in good order
			}
			if err := m.member.stop(); err != nil {
				t.Fatalf("machine %s: %v", m.name, err)
			}
			if m.member = nil; random.IntN(3) == 0 {
				m.disk = newTables()
			}
		}
	}
	stop()
	for _, m := range machines {
		if m.member == nil {
			m.start()
		}
	}
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	for _, m := range machines {
		if err := m.member.stop(); err != nil {
			t.Fatalf("machine %s: %v", m.name, err)
		}
	}
	last := machine{w: w, name: "last", disk: newTables()}
	last.start()
	w.sameRows(last.disk, values)
}

// A transaction that somebody left open in the table's topic holds back what
// was committed behind it, so that its end is waited for: the rows behind it
// would be missing.
func TestOpenTransactionInTheTableIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	values := w.some(0, 100)
	m := w.member(w.config("a"))
	w.awaitCaughtUp()
	var left []*kgo.Record
	for p := range int32(partitions) {
		left = append(left, &kgo.Record{Topic: w.prefix + "group-table", Partition: p, Key: []byte("key1"), Value: []byte("never ")})
	}
	open := w.transact("left open", nil, left...)
	add(values, w.some(100, 200))
	w.awaitCaughtUp()
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	w.tables.lose()
	c := w.config("b")
	running := takes(&c)
	w.start(c)
	select {
	case <-running:
		t.Error("a partition runs while rows of it are held back")
	case <-time.After(time.Second):
	}
	w.end(open, kgo.TryAbort)
	add(values, w.some(200, 300))
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	w.sameRows(w.tables, values)
}

// What one transaction sends to one partition may be more than one batch that
// the topic takes: it goes as several.
func TestTransactionsAreLargerThanABatch(t *testing.T) {
	w := newWorld(t)
	random := rand.New(rand.NewPCG(1, 1))
	values := map[string][]string{}
	var records []*kgo.Record
	for i := range 12_000 {
		text := make([]byte, 2_000) // that no compression makes small
		for j := range text {
			text[j] = byte('!' + random.IntN('~'-'!'))
		}
		key := fmt.Sprint("key", i)
		values[key] = []string{string(text)}
		records = append(records, w.record("one", key, string(text), int64(1_700_000_000_000+i)))
	}
	w.put(records...)
	c := w.config("a")
	c.Limits.TransactionTime, c.Limits.FetchBytes, c.Limits.BufferedBytes = 5*time.Second, 16<<20, 64<<20 // one fetch has it all
	largest := 0
	c.Observer.Transaction = func(told Transaction) { largest = max(largest, told.Rows) }
	stop := w.start(c)
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if bytes := largest * 2_000 / partitions; bytes < batchBytesMax*3/2 {
		t.Fatalf("a partition got %d bytes of rows in the largest transaction, which one batch holds", bytes)
	}
}

// keepPutting puts records into both inputs until the returned function is
// called; then the map has all that was put, key by key, each in one topic.
func (w *world) keepPutting(seed uint64) (values map[string][]string, stop func()) {
	values = map[string][]string{}
	random := rand.New(rand.NewPCG(seed, 1))
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := 0; ctx.Err() == nil; {
			var records []*kgo.Record
			for range 1 + random.IntN(50) {
				n := random.IntN(60)
				key, value := fmt.Sprintf("key%d", n), strconv.Itoa(i)
				values[key] = append(values[key], value)
				records = append(records, w.record([]string{"one", "two"}[n%2], key, value, int64(1_700_000_000_000+i)))
				i++
			}
			if err := w.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
				w.t.Errorf("put: %v", err)
				return
			}
			time.Sleep(upTo(random, 10*time.Millisecond))
		}
	})
	return values, func() {
		cancel()
		wait.Wait()
	}
}

func upTo(random *rand.Rand, longest time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(longest)))
}
