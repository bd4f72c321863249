package kafka

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// A transaction in which a request or its answer is lost comes out whole,
// wherever that happens, and whether the member goes on, is killed there and
// comes back with its disk as it was, or without it.
func TestLostRequestsAndAnswers(t *testing.T) {
	for name, key := range map[string]int16{"Produce": keyProduce, "TxnOffsetCommit": keyTxnOffsetCommit, "EndTxn": keyEndTxn} {
		for what, lost := range map[string]fate{"request": requestLost, "answer": answerLost} {
			for _, then := range []string{"goes on", "killed", "machine lost"} {
				t.Run(fmt.Sprintf("%s, %s, %s", name, what, then), func(t *testing.T) {
					t.Parallel()
					loseOne(t, key, lost, then)
				})
			}
		}
	}
}

func loseOne(t *testing.T, key int16, lost fate, then string) {
	w := newWorld(t)
	n := newNetwork()
	c := w.config("a")
	c.Client = n.client()
	c.Limits.LeaveTimeout = 500 * time.Millisecond
	values := w.some(0, 300)
	m := w.member(c)
	w.awaitCaughtUp()
	var fired atomic.Bool
	n.decide(func(asked int16) fate {
		switch {
		case asked == key && fired.CompareAndSwap(false, true):
			if then != "goes on" {
				n.dead = true
			}
			return lost
		case fired.Load() && then != "goes on":
			return requestLost
		}
		return passes
	})
	add(values, w.some(300, 600))
	w.await("the request is lost", fired.Load)
	if then != "goes on" {
		if err := m.stop(); err != nil {
			t.Fatal(err)
		}
		if then == "machine lost" {
			w.tables.lose()
		}
		w.start(w.config("a"))
	}
	began := time.Now()
	w.awaitCaughtUp()
	if took := time.Since(began); took > 12*time.Second { // less than the time out of the transaction that was left open
		t.Errorf("it took %v", took)
	}
	w.same(w.lines("out"), counted(values))
	w.sameRows(w.tables, values)
}
