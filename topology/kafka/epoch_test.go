package kafka

import (
	"context"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every transaction has its own producer epoch, of 15 bits: when they run out
// the broker gives the producer another id, and nothing is lost or doubled.
func TestEpochsRunOut(t *testing.T) {
	w := newWorld(t)
	c := w.config("a")
	c.Limits.TransactionRecords = 1
	began := w.raiseEpoch(c.Group+"."+c.Instance, math.MaxInt16-100)
	values := w.some(0, 300)
	w.start(c)
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	described, err := w.admin.DescribeTransactions(context.Background(), c.Group+"."+c.Instance)
	if err != nil {
		t.Fatal(err)
	}
	if now := described[c.Group+"."+c.Instance]; now.ProducerID == began || now.ProducerEpoch > 1000 {
		t.Fatalf("300 transactions later the producer is %d, epoch %d; it was %d", now.ProducerID, now.ProducerEpoch, began)
	}
}

// raiseEpoch raises a transactional id's epoch as if so many transactions had
// been: each time that somebody takes the id over, it is raised by one.
func (w *world) raiseEpoch(id string, to int16) (producer int64) {
	w.t.Helper()
	request := kmsg.NewPtrInitProducerIDRequest()
	request.TransactionalID, request.TransactionTimeoutMillis = &id, 15_000
	for {
		answer, err := request.RequestWith(context.Background(), w.client)
		if err == nil {
			err = kerr.ErrorForCode(answer.ErrorCode)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if answer.ProducerEpoch >= to {
			return answer.ProducerID
		}
	}
}
