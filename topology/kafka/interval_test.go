package kafka

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// never is an interval that no test outlives.
const never = time.Hour

// No two transactions end closer to one another than the interval, and what
// comes out is the same. The time that counts is that of the requests, which
// the embedded broker tells.
func TestCommitsKeepTheirInterval(t *testing.T) {
	const interval = 150 * time.Millisecond
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	var mu sync.Mutex
	var ended []time.Time
	cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		ended = append(ended, time.Now())
		return nil, nil, false
	})
	w := newWorldOn(t, cluster.ListenAddrs())
	c := w.config("a")
	c.Limits.Interval = interval
	stop := w.start(c)
	values := map[string][]string{}
	for from := 0; from < 400; from += 20 {
		add(values, w.some(from, from+20))
		time.Sleep(interval / 5)
	}
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ended) < 2 {
		t.Fatalf("%d transactions say nothing of an interval", len(ended))
	}
	for i := range ended[1:] {
		if apart := ended[i+1].Sub(ended[i]); apart < interval {
			t.Errorf("transaction %d ended %v after the one before it, and the interval is %v", i+1, apart, interval)
		}
	}
}

// What a partition cannot buffer does not wait for the interval; what it can
// does, and a member that is told to stop does not wait for it.
func TestLaggingDoesNotWaitForTheInterval(t *testing.T) {
	w := newWorld(t)
	c := w.config("a")
	c.Limits.Interval, c.Limits.TransactionRecords, c.Limits.BufferedRecords, c.Limits.LeaveTimeout = never, 50, 10, never
	values := w.some(0, 2_000)
	stop := w.start(c)
	w.await("no partition lags by more than it buffers", func() bool {
		lag := w.lag(c.Group)
		return lag >= 0 && lag <= int64(10*len(c.Inputs)*partitions)
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	c.Limits.Interval = 0
	w.start(c)
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
}

// A member that waits for its interval gives up partitions when another one
// joins, in good order.
func TestRebalanceDoesNotWaitForTheInterval(t *testing.T) {
	w := newWorld(t)
	c := w.config("a")
	c.Limits.Interval = never
	committed := make(chan struct{})
	once := sync.OnceFunc(func() { close(committed) })
	c.Observer.Transaction = func(told Transaction) {
		if told.Records > 0 {
			once()
		}
	}
	var stopped, resets atomic.Int64
	c.Observer.Stopped = func(int32) { stopped.Add(1) }
	c.Observer.Reset = func(string) { resets.Add(1) }
	values := w.some(0, 200)
	stop := w.start(c)
	<-committed
	add(values, w.some(200, 400))
	other := w.configOn(newTables(), "b", w.count)
	running := takes(&other)
	w.start(other)
	for range partitions / 2 {
		<-running
	}
	if stopped, resets := stopped.Load(), resets.Load(); stopped != partitions/2 || resets > 0 {
		t.Errorf("when the other one ran, %d of %d partitions were given up, with %d resets", stopped, partitions, resets)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
}

// What a partition hands to itself does not wait for the interval, not even in
// one that is taken over while others wait.
func TestPassDoesNotWaitForTheInterval(t *testing.T) {
	w := newWorld(t)
	w.some(0, 200)
	stop := w.start(w.config("a"))
	w.awaitCaughtUp()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	a, b := newPasser(w, w.tables), newPasser(w, newTables())
	c := a.config("a")
	c.Limits.Interval = never
	w.start(c)
	w.await("all partitions are gone over", func() bool { return a.ended() == partitions })
	stop = w.start(b.config("b"))
	w.await("the other one has its share", func() bool { return b.ended() == partitions/2 })
	a.forget()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.await("what came back is gone over", func() bool { return a.ended() == partitions/2 })
}

// A record that is handed again and again does not wait for the interval.
func TestAgainDoesNotWaitForTheInterval(t *testing.T) {
	w := newWorld(t)
	k := &tick{w: w, rounds: 5, left: map[int32]bool{}}
	w.put(w.record("one", ticker, "tick", 1_700_000_000_000))
	c := k.config(w.tables)
	c.Limits.Interval = never
	w.start(c)
	w.await("all rounds are fired", func() bool { return len(w.lines("out")[ticker]) == k.rounds })
}

func newPasser(w *world, on *tables) *passer {
	return &passer{w: w, on: on, last: map[int32]string{}, over: map[int32]bool{}}
}

// ended counts the partitions that are gone over.
func (p *passer) ended() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, over := range p.over {
		if over {
			n++
		}
	}
	return n
}

// forget begins the count anew.
func (p *passer) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.over)
}

// A backlog's transactions are as long as the interval, and no shorter than
// without one.
func TestTransactionTimeFollowsTheInterval(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{0: 100 * time.Millisecond, time.Millisecond: 100 * time.Millisecond, time.Second: time.Second} {
		c, _ := Config{Limits: Limits{Interval: interval}}.withDefaults() // complains of the rest
		if got := c.Limits.TransactionTime; got != want {
			t.Errorf("with an interval of %v a transaction lasts %v, want %v", interval, got, want)
		}
	}
}

func TestNegativeIntervalIsRefused(t *testing.T) {
	if _, err := (Config{Limits: Limits{Interval: -1}}).withDefaults(); err == nil || !strings.Contains(err.Error(), "a limit is negative") {
		t.Errorf("it says %v", err)
	}
}
