package kafka

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

const ticker = "ticker" // the key of the row with the cursor

// tick fires a tick's rounds, one a transaction: its cursor is in the row of
// the tick's key. Other records tell how many rounds had gone before them.
type tick struct {
	w      *world
	rounds int
	mu     sync.Mutex
	left   map[int32]bool
}

func (k *tick) config(on *tables) Config {
	c := k.w.configOn(on, "a", k.step)
	c.Alone = func(_ string, value []byte) bool { return bytes.HasPrefix(value, []byte("tick")) }
	c.Again = func(p int32) bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.left[p]
	}
	return c
}

func (k *tick) step(ctx goka.Context, value any) {
	text := string(value.([]byte))
	row, _ := ctx.Value().(string)
	if !strings.HasPrefix(text, "tick") {
		ctx.SetValue(row + text + " ")
		ctx.Emit(goka.Stream(k.w.prefix+"out"), ctx.Key(), value)
		return
	}
	done := 0
	if name, cursor, is := strings.Cut(row, " "); is && name == text {
		done, _ = strconv.Atoi(cursor)
	}
	done++
	ctx.SetValue(fmt.Sprintf("%s %d", text, done))
	ctx.Emit(goka.Stream(k.w.prefix+"out"), ctx.Key(), fmt.Appendf(nil, "%s.%d", text, done))
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left[ctx.Partition()] = done < k.rounds
}

// A record of which something is left is handed again in the next transaction,
// before any other of its partition, also if the member is killed in between.
func TestAgainAcrossTransactionsAndKills(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	const ticks, rounds = 4, 25
	want := []string{}
	var records []*kgo.Record
	millis := int64(1_700_000_000_000)
	for i := range ticks {
		for j := range 3 {
			value := fmt.Sprintf("before%d.%d", i, j)
			records = append(records, w.record("one", ticker, value, millis))
			want = append(want, value)
			millis++
		}
		records = append(records, w.record("two", ticker, fmt.Sprintf("tick%d", i), millis))
		for j := range rounds {
			want = append(want, fmt.Sprintf("tick%d.%d", i, j+1))
		}
		millis++
	}
	w.put(records...)
	disk := newTables()
	for range 5 {
		w.runMortal((&tick{w: w, rounds: rounds, left: map[int32]bool{}}).config(disk), 20+random.IntN(60))
	}
	w.runMortal((&tick{w: w, rounds: rounds, left: map[int32]bool{}}).config(disk), immortal)
	w.same(w.lines("out"), map[string][]string{ticker: want})
}

// A transaction in which a record is only handed again is refused, like any
// other, when the partition is no longer this member's: so its position goes
// with it although it has not moved.
func TestAgainIsFenced(t *testing.T) {
	w := newWorld(t)
	n := newNetwork()
	var mu sync.Mutex
	counts := map[int16]int{}
	n.decide(func(key int16) fate {
		mu.Lock()
		defer mu.Unlock()
		counts[key]++
		return passes
	})
	const rounds = 30
	c := (&tick{w: w, rounds: rounds, left: map[int32]bool{}}).config(w.tables)
	c.Client = n.client()
	w.put(w.record("two", ticker, "tick", 1_700_000_000_000))
	w.start(c)
	w.awaitCaughtUp()
	mu.Lock()
	defer mu.Unlock()
	if counts[keyTxnOffsetCommit] < rounds || counts[keyEndTxn] < rounds {
		t.Fatalf("%d transactions in %d rounds, %d with positions", counts[keyEndTxn], rounds, counts[keyTxnOffsetCommit])
	}
}
