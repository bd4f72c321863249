package kafka

import (
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A member whose records wait for the flush sends nothing while the coordinator
// says that markers of its last transaction are being written, and what the
// coordinator does not say holds nothing up.
func TestNextTransactionWaitsForMarkers(t *testing.T) {
	for name, answer := range map[string]kmsg.DescribeTransactionsResponseTransactionState{
		"they are being written": {State: "PrepareCommit"},
		"nobody knows":           {ErrorCode: kerr.TransactionalIDNotFound.Code},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			var mu sync.Mutex
			var ended, left, early int // transactions; questions that are answered so; requests that came before
			control := func(key kmsg.Key, do func(asked kmsg.Request) kmsg.Response) {
				cluster.ControlKey(int16(key), func(asked kmsg.Request) (kmsg.Response, error, bool) {
					cluster.KeepControl()
					mu.Lock()
					defer mu.Unlock()
					answer := do(asked)
					return answer, nil, answer != nil
				})
			}
			control(kmsg.EndTxn, func(kmsg.Request) kmsg.Response {
				ended, left = ended+1, 3
				return nil
			})
			control(kmsg.DescribeTransactions, func(asked kmsg.Request) kmsg.Response {
				if left == 0 {
					return nil
				}
				left--
				response := asked.ResponseKind().(*kmsg.DescribeTransactionsResponse)
				answer.TransactionalID = asked.(*kmsg.DescribeTransactionsRequest).TransactionalIDs[0]
				response.TransactionStates = append(response.TransactionStates, answer)
				return response
			})
			control(kmsg.Produce, func(asked kmsg.Request) kmsg.Response {
				if asked.(*kmsg.ProduceRequest).TransactionID != nil && left > 0 {
					early++
				}
				return nil
			})
			w := newWorldOn(t, cluster.ListenAddrs())
			c := w.config("a")
			c.Limits.Linger = time.Minute
			w.start(c)
			values := map[string][]string{}
			for from := 0; from < 100; from += 20 {
				add(values, w.some(from, from+20))
				w.awaitCaughtUp()
			}
			w.same(w.lines("out"), counted(values))
			mu.Lock()
			defer mu.Unlock()
			if ended < 2 {
				t.Fatalf("%d transactions say nothing of what lies between them", ended)
			}
			if waits := answer.ErrorCode == 0; waits == (early > 0) {
				t.Errorf("%d produce requests came before the markers of %d transactions were written", early, ended)
			}
		})
	}
}
