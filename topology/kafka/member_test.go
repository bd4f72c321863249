package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
)

// Of two processes of one name the older one ends and says why, and the newer
// one is not disturbed by it.
func TestNamesakeFencesTheOlder(t *testing.T) {
	w := newWorld(t)
	values := w.some(0, 200)
	older := w.member(w.config("a"))
	w.awaitCaughtUp()
	var generations atomic.Int64
	c := w.configOn(newTables(), "a", w.count)
	c.Observer.Generation = func() { generations.Add(1) }
	w.start(c)
	add(values, w.some(200, 400)) // the older one may be in a transaction
	if err := older.wait(); !errors.Is(err, ErrFenced) {
		t.Fatalf("the older one ended with %v", err)
	}
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	if n := generations.Load(); n != 1 {
		t.Fatalf("the newer one needed %d generations", n)
	}
}

// takes gives a channel that gets a value when a member's first partition runs.
func takes(c *Config) <-chan time.Time {
	running := make(chan time.Time, partitions)
	c.Observer.Running = func(int32) { running <- time.Now() }
	return running
}

// A member that stops gives its partitions to the others at once; one that is
// killed keeps them for its session, so that it may come back to them.
func TestStoppedLeavesAndKilledKeeps(t *testing.T) {
	for name, kill := range map[string]bool{"stopped": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := newNetwork()
			c := w.config("a")
			c.Client = n.client()
			c.Limits.SessionTimeout = sessionTimeoutMin
			c.Limits.LeaveTimeout = time.Second
			values := w.some(0, 200)
			a := w.member(c)
			w.awaitCaughtUp()
			other := w.configOn(newTables(), "b", w.count)
			other.Limits.SessionTimeout = sessionTimeoutMin
			running := takes(&other)
			w.start(other)
			<-running
			<-running // b has its half
			add(values, w.some(200, 300))
			w.awaitCaughtUp()
			if kill {
				n.die()
			}
			stopping := time.Now()
			if err := a.stop(); err != nil {
				t.Fatal(err)
			}
			took := (<-running).Sub(stopping)
			if kill && took < 3*time.Second {
				t.Errorf("the killed member's partitions were taken over after %v", took)
			}
			if !kill && took > 3*time.Second {
				t.Errorf("the stopped member's partitions were taken over after %v", took)
			}
			add(values, w.some(300, 400))
			w.awaitCaughtUp()
			w.same(w.lines("out"), counted(values))
		})
	}
}

// A member that was killed and comes back goes on before its session has ended.
func TestKilledComesBackAtOnce(t *testing.T) {
	w := newWorld(t)
	n := newNetwork()
	c := w.config("a")
	c.Client = n.client()
	c.Limits.LeaveTimeout = 100 * time.Millisecond
	values := w.some(0, 200)
	m := w.member(c)
	w.awaitCaughtUp()
	n.die()
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	add(values, w.some(200, 300))
	began := time.Now()
	w.start(w.config("a"))
	w.awaitCaughtUp()
	if took := time.Since(began); took > sessionTimeoutMin {
		t.Errorf("it took %v", took)
	}
	w.same(w.lines("out"), counted(values))
}

// A member that is killed after it has given partitions up, and before it has
// joined again for another to get them, comes back without a rebalance: what it
// had given up gets an owner all the same.
func TestGivenUpAndKilledPartitionsGetAnOwner(t *testing.T) {
	w := newWorld(t)
	n := newNetwork()
	c := w.config("a")
	c.Client = n.client()
	c.Limits.LeaveTimeout = 100 * time.Millisecond
	var gaveUp atomic.Int64
	c.Observer.Stopped = func(int32) { gaveUp.Add(1) }
	values := w.some(0, 200)
	a := w.member(c)
	w.awaitCaughtUp()
	n.decide(func(key int16) fate {
		if n.dead = n.dead || key == keyJoinGroup && gaveUp.Load() > 0; n.dead {
			return requestLost
		}
		return passes
	})
	w.start(w.configOn(newTables(), "b", w.count))
	w.await("the member is dead", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.dead
	})
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	w.start(w.config("a"))
	add(values, w.some(200, 400))
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
}

// Partitions that stay are not disturbed when others move: their processors
// run on, and take records while another member restores.
func TestPartitionsThatStayRunOn(t *testing.T) {
	w := newWorld(t)
	c := w.config("a")
	var mu sync.Mutex
	stopped := map[int32]int{}
	c.Observer.Stopped = func(p int32) {
		mu.Lock()
		defer mu.Unlock()
		stopped[p]++
	}
	values := w.some(0, 400)
	w.start(c)
	w.awaitCaughtUp()
	slow := newTables()
	restoring, goOn := make(chan bool), make(chan bool)
	slow.restoring = sync.OnceFunc(func() {
		close(restoring)
		<-goOn
	})
	other := w.configOn(slow, "b", w.count)
	running := takes(&other)
	w.start(other)
	<-restoring
	mu.Lock()
	moved := map[int32]bool{}
	for p := range stopped {
		moved[p] = true
	}
	mu.Unlock()
	if len(moved) != partitions/2 {
		t.Fatalf("partitions %v were given up", moved)
	}
	add(values, w.some(400, 800))
	w.await("the partitions that stay are processed", func() bool {
		for at, offset := range w.positions() {
			ends, err := w.admin.ListCommittedOffsets(context.Background(), at.topic)
			if err != nil || !moved[at.partition] && offset < ends[at.topic][at.partition].Offset {
				return false
			}
		}
		return true
	})
	close(goOn)
	<-running
	<-running
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	mu.Lock()
	defer mu.Unlock()
	if len(stopped) != partitions/2 {
		t.Fatalf("processors were stopped: %v", stopped)
	}
}

// troubles are what Run may be at when it is told to end.
var troubles = map[string]func(t *testing.T, w *world, c *Config, n *network){
	"no broker ever": func(t *testing.T, w *world, c *Config, n *network) { n.die() },
	"broker away": func(t *testing.T, w *world, c *Config, n *network) {
		w.some(0, 100)
		time.AfterFunc(500*time.Millisecond, n.die)
	},
	"broker away in a transaction": func(t *testing.T, w *world, c *Config, n *network) {
		w.some(0, 100)
		n.decide(func(key int16) fate {
			if n.dead = n.dead || key == keyProduce; n.dead {
				return requestLost
			}
			return passes
		})
	},
	"blocked produce": func(t *testing.T, w *world, c *Config, n *network) {
		w.some(0, 2)
		*c = w.configOn(w.tables, "a", func(ctx goka.Context, value any) {
			n.die()
			large := make([]byte, 1<<20)
			for range 2 * produceBytesMax / len(large) {
				ctx.Emit(goka.Stream(w.prefix+"out"), ctx.Key(), large)
			}
		})
	},
	"a join that waits for a dead member": func(t *testing.T, w *world, c *Config, n *network) {
		away := newNetwork()
		dead := w.configOn(newTables(), "b", w.count)
		dead.Client = away.client()
		dead.Limits.SessionTimeout = 20 * time.Second
		dead.Limits.LeaveTimeout = 100 * time.Millisecond
		m := w.member(dead)
		w.awaitCaughtUp()
		away.die()
		if err := m.stop(); err != nil {
			t.Fatal(err)
		}
	},
	"a restore": func(t *testing.T, w *world, c *Config, n *network) {
		w.some(0, 2000)
		m := w.member(w.config("a"))
		w.awaitCaughtUp()
		if err := m.stop(); err != nil {
			t.Fatal(err)
		}
		w.tables.lose()
		w.tables.restoring = func() { time.Sleep(500 * time.Millisecond) }
		c.Limits.RestoreRows = 1
		c.Observer.Running = func(int32) { t.Error("it is restored already") }
	},
}

// Run ends within its time, whatever it is at.
func TestRunEndsInTime(t *testing.T) {
	const limit = time.Second
	for name, prepare := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := newNetwork()
			c := w.config("a")
			prepare(t, w, &c, n)
			c.Client = n.client()
			c.Limits.LeaveTimeout = limit
			c.Limits.SessionTimeout = sessionTimeoutMin
			m := w.member(c)
			time.Sleep(1500 * time.Millisecond)
			stopping := time.Now()
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(stopping); took > limit+abortTimeout+time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A restore that was cut short goes on where it stopped.
func TestRestoreGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t)
	values := w.some(0, 2000)
	m := w.member(w.config("a"))
	w.awaitCaughtUp()
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	w.tables.lose()
	var rows atomic.Int64
	half := make(chan bool)
	w.tables.restoring = func() {
		if rows.Add(1) == 20 {
			close(half)
		}
		time.Sleep(5 * time.Millisecond)
	}
	c := w.config("a")
	c.Limits.RestoreRows = 1
	m = w.member(c)
	<-half
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	first := rows.Load()
	add(values, w.some(2000, 2001))
	w.start(c)
	w.awaitCaughtUp()
	w.sameRows(w.tables, values)
	if again, all := rows.Load()-first, int64(len(w.read("group-table"))); again > all-20 {
		t.Errorf("%d rows were restored, and then %d, of %d", first, again, all)
	}
}
