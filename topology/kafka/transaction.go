package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/vouch-engine/vouch/topology/pieces"
)

// transaction processes what is buffered, and what comes in the meantime up to
// its limits, and commits it. It begins to process while markers of the last one
// are still being written: what it produces then waits for Limits.Linger, or
// for the flush.
func (g *generation) transaction() error {
	began := time.Now()
	marked := g.markers()
	if err := g.client.BeginTransaction(); err != nil {
		return reset{resetCommit, fmt.Errorf("kafka: begin a transaction: %w", err)}
	}
	g.produced.Store(0)
	held := g.held()
	for _, p := range held {
		p.begin()
	}
	told := Transaction{}
	for waited := false; ; {
		n, err := g.round(held, g.config.Limits.TransactionRecords-told.Records)
		if err != nil {
			return err
		}
		told.Records += n
		if told.Records >= g.config.Limits.TransactionRecords || time.Since(began) >= g.config.Limits.TransactionTime {
			break
		}
		if n == 0 {
			if waited {
				break
			}
			<-marked
			waited = true // and what has come meanwhile is processed as well
		}
		if err := g.poll(g.ctx, 0); err != nil {
			return err
		}
	}
	<-marked
	told.Outputs = int(g.produced.Load())
	if err := g.commit(held, &told); err != nil {
		return err
	}
	told.Took = time.Since(began)
	observe1(g.config.Observer.Transaction, told)
	for _, p := range held {
		for i := range p.queues {
			if q := &p.queues[i]; g.config.Observer.Position != nil {
				g.config.Observer.Position(q.topic, p.id, Progress{q.next, q.end})
			}
		}
	}
	return nil
}

// round hands every partition what it may process, no more than most in all,
// and waits until all of it is processed. It returns how many records that
// were. How many one partition gets follows what a round takes: a round of slow
// steps must not outlive the transaction's time, or the broker's patience with
// it.
func (g *generation) round(held []*partition, most int) (records int, err error) {
	if most <= 0 {
		return 0, nil
	}
	began, full := time.Now(), false
	for i := range held {
		p := held[(g.turn+i)%len(held)] // another one is first every time, so that none is left out
		share := min(g.share, most-records)
		if share == 0 {
			break
		}
		n, err := p.hand(g.config, share)
		if err != nil {
			return 0, err
		}
		records, full = records+n, full || n == g.share
	}
	g.turn++
	for _, p := range held {
		if len(p.session.handed) == 0 {
			continue
		}
		select {
		case <-p.session.done:
			p.processed(g.config)
		case <-p.ended:
			return 0, cmp.Or(p.failure(), context.Cause(g.ctx))
		case <-g.ctx.Done():
			return 0, context.Cause(g.ctx)
		}
	}
	switch took := time.Since(began); {
	case took > g.config.Limits.TransactionTime:
		g.share = max(g.share/2, shareMin)
	case full && took < g.config.Limits.TransactionTime/2:
		g.share = min(g.share*2, claimRecords)
	}
	return records, nil
}

// commit sends the rows, makes sure that all was delivered, commits the
// positions with it, and then lets the tables have their rows.
func (g *generation) commit(held []*partition, told *Transaction) error {
	for _, p := range held {
		if err := g.sendRows(p); err != nil {
			return err
		}
		told.Rows += p.rows
	}
	ctx, stop := context.WithTimeout(g.ctx, g.config.Limits.CommitTimeout)
	defer stop()
	flushing := time.Now()
	err := g.client.Flush(ctx)
	if cause := context.Cause(g.ctx); cause != nil {
		return cause // a record was not written; the client would commit all the same
	}
	if err != nil {
		return reset{resetCommit, fmt.Errorf("kafka: flush a transaction: %w", err)}
	}
	if err := g.awaitPublished(ctx); err != nil {
		return reset{resetCommit, err}
	}
	moved := map[*queue]int64{}
	if g.produced.Load() > 0 {
		if err := g.sendPositions(ctx, held, moved); err != nil {
			return reset{resetCommit, err}
		}
	}
	told.Flush = time.Since(flushing)
	ending := time.Now()
	// Without a record it sends nothing; then no positions were sent either,
	// and they go with the next transaction or when it is quiet.
	if err := g.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return reset{resetCommit, fmt.Errorf("kafka: end a transaction: %w", err)}
	}
	g.ended = time.Now()
	told.End = g.ended.Sub(ending)
	g.tell(moved)
	if err := g.seal(held); err != nil {
		return fatal{err}
	}
	told.Sealing = time.Since(g.ended)
	g.committed++
	if told.Outputs+told.Rows > 0 {
		g.confirmed(held)
	}
	return nil
}

// confirmed says that what was processed of these partitions is committed.
func (g *generation) confirmed(held []*partition) {
	for _, p := range held {
		observe1(g.config.Observer.Committed, p.id)
	}
}

// sendRows sends of each key of the table the last row, since what lies
// between two commits nobody can see.
func (g *generation) sendRows(p *partition) error {
	p.rows = 0
	p.lastRow.Store(-1)
	acknowledged := func(record *kgo.Record, err error) {
		g.acknowledged(record, err)
		if err == nil && record.Offset > p.lastRow.Load() {
			p.lastRow.Store(record.Offset) // promises are called one after the other
		}
	}
	err := p.table.Staged(func(key string, value []byte) error {
		p.rows++
		record := p.room.records.One()
		record.Topic, record.Partition, record.Key, record.Value = g.config.TableTopic, p.id, pieces.Copy(&p.room.bytes, key), value
		g.client.Produce(g.ctx, record, acknowledged)
		return nil
	})
	g.produced.Add(int64(p.rows))
	if err != nil {
		return fatalf("kafka: read the staged rows of partition %d: %w", p.id, err)
	}
	return nil
}

// acknowledged is called for every record that was sent, for one after the
// other. One that was not written ends the generation at once: its transaction
// cannot be committed.
func (g *generation) acknowledged(record *kgo.Record, err error) {
	if err != nil {
		g.cancel(refusedRecord(fmt.Errorf("kafka: write a record to %s: %w", record.Topic, err)))
	}
	if err == nil && !slices.ContainsFunc(g.written, func(w written) bool { return w.topic == record.Topic }) {
		g.written = append(g.written, written{record.Topic, record.Partition})
	}
}

// written is a topic that the broker has taken a record of, and its partition.
type written struct {
	topic     string
	partition int32
}

// awaitPublished waits until the client shows the partitions of every topic that
// it has written to. franz-go 1.22.3 sends the records that waited for a topic's
// partitions a moment before it publishes those (storePartitionsUpdate in its
// topics_and_partitions.go). EndTransaction, which raises the epoch and lets every
// published partition count its records from 0 again, would pass over them: the
// broker would refuse the next record there with OUT_OF_ORDER_SEQUENCE_NUMBER.
func (g *generation) awaitPublished(ctx context.Context) error {
	for ; g.published < len(g.written); g.published++ {
		at := g.written[g.published]
		for {
			// Its error may be that of an earlier look, which found no such topic.
			if leader, _, _ := g.client.PartitionLeader(at.topic, at.partition); leader >= 0 {
				break
			}
			select {
			case <-time.After(publishedRetry):
			case <-ctx.Done():
				return fmt.Errorf("kafka: wait for the client's metadata of %s: %w", at.topic, ctx.Err())
			}
		}
	}
	return nil
}

// preparing begins the names of a transaction's states in which its markers are
// being written: PrepareCommit, PrepareAbort.
const preparing = "Prepare"

// markers gives a channel that is closed when the brokers have written the
// markers of the last transaction, which they begin to do when EndTransaction
// returns. They would hold back what is sent before for 20 ms
// (add.partitions.to.txn.retry.backoff.ms), or refuse it. If the coordinator does
// not say, the brokers will.
func (g *generation) markers() <-chan struct{} {
	written := make(chan struct{})
	if g.produced.Load() == 0 { // in the last one
		close(written)
		return written
	}
	go func() {
		defer close(written)
		ctx, stop := context.WithTimeout(g.ctx, markersWait)
		defer stop()
		request := kmsg.NewPtrDescribeTransactionsRequest()
		request.TransactionalIDs = []string{g.config.transactionalID()}
		for {
			answer, err := request.RequestWith(ctx, g.client)
			if err != nil || len(answer.TransactionStates) != 1 || answer.TransactionStates[0].ErrorCode != 0 || !strings.HasPrefix(answer.TransactionStates[0].State, preparing) {
				return
			}
			time.Sleep(markersRetry)
		}
	}()
	return written
}

// refusedRecord judges a record that was not written. One that no broker will
// ever take would fail again.
func refusedRecord(err error) error {
	for _, refusal := range []error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.TopicAuthorizationFailed, kerr.UnknownTopicOrPartition} {
		if errors.Is(err, refusal) {
			return fatal{err}
		}
	}
	return reset{resetCommit, err}
}

// seal lets the tables have their committed rows, several at a time.
func (g *generation) seal(held []*partition) error {
	var wait sync.WaitGroup
	failed := make([]error, len(held))
	for i, p := range held {
		if p.rows == 0 {
			continue
		}
		wait.Go(func() {
			// A row whose offset the broker did not tell leaves the position
			// where it was: a restore then reads these rows once more.
			next := max(p.table.Position(), p.lastRow.Load()+1)
			if err := p.table.Seal(next); err != nil {
				failed[i] = fmt.Errorf("kafka: write committed rows of partition %d: %w", p.id, err)
			}
		})
	}
	wait.Wait()
	return errors.Join(failed...)
}

// sendPositions puts the positions that have moved into the open transaction,
// and one of a partition that has processed a record without a position or one
// which is handed again: with it the group's coordinator checks that the
// partition is still this member's, and another owner waits until the
// transaction is over.
func (g *generation) sendPositions(ctx context.Context, held []*partition, moved map[*queue]int64) error {
	request := kmsg.NewPtrTxnOffsetCommitRequest()
	for i, topic := range g.config.Inputs {
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, g.topicIDs[topic]
		for _, p := range held {
			if q := &p.queues[i]; q.next != q.committed || p.alone == q || p.own {
				at := kmsg.NewTxnOffsetCommitRequestTopicPartition()
				at.Partition, at.Offset, at.Metadata = p.id, q.next, g.config.metadata(p.id)
				t.Partitions = append(t.Partitions, at)
				moved[q] = q.next
			}
		}
		if len(t.Partitions) > 0 {
			request.Topics = append(request.Topics, t)
		}
	}
	if len(moved) == 0 {
		return nil
	}
	request.TransactionalID, request.Group, request.InstanceID = g.config.transactionalID(), g.config.Group, &g.config.Instance
	request.MemberID, request.Generation = g.client.GroupMetadata()
	var err error
	if request.ProducerID, request.ProducerEpoch, err = g.client.ProducerID(ctx); err != nil {
		return fmt.Errorf("kafka: commit positions in a transaction: %w", err)
	}
	for {
		answer, err := request.RequestWith(ctx, g.client)
		if err == nil {
			err = firstError(answer.Topics, func(t kmsg.TxnOffsetCommitResponseTopic) []kmsg.TxnOffsetCommitResponseTopicPartition {
				return t.Partitions
			},
				func(p kmsg.TxnOffsetCommitResponseTopicPartition) int16 { return p.ErrorCode })
		}
		if !errors.Is(err, kerr.ConcurrentTransactions) || ctx.Err() != nil {
			if err != nil {
				return fmt.Errorf("kafka: commit positions in a transaction: %w", err)
			}
			return nil
		}
		time.Sleep(offsetRetry)
	}
}

// commitPositions commits, without a transaction, positions that are ahead of
// what the group's coordinator has: nothing was produced since, so that they
// may be told at any time. It is told of empty partitions too, so that a
// missing offset always means that it was lost.
func (g *generation) commitPositions(held []*partition) error {
	request := kmsg.NewPtrOffsetCommitRequest()
	moved := map[*queue]int64{}
	for i, topic := range g.config.Inputs {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, g.topicIDs[topic]
		for _, p := range held {
			q := &p.queues[i]
			q.skipControls()
			if q.next != q.committed {
				at := kmsg.NewOffsetCommitRequestTopicPartition()
				at.Partition, at.Offset, at.Metadata = p.id, q.next, g.config.metadata(p.id)
				t.Partitions = append(t.Partitions, at)
				moved[q] = q.next
			}
		}
		if len(t.Partitions) > 0 {
			request.Topics = append(request.Topics, t)
		}
	}
	if len(moved) == 0 {
		g.told = time.Now()
		return nil // confirmed already
	}
	request.Group, request.InstanceID = g.config.Group, &g.config.Instance
	request.MemberID, request.Generation = g.client.GroupMetadata()
	ctx, stop := context.WithTimeout(g.ctx, g.config.Limits.CommitTimeout)
	defer stop()
	answer, err := request.RequestWith(ctx, g.client)
	if err == nil {
		err = firstError(answer.Topics, func(t kmsg.OffsetCommitResponseTopic) []kmsg.OffsetCommitResponseTopicPartition { return t.Partitions },
			func(p kmsg.OffsetCommitResponseTopicPartition) int16 { return p.ErrorCode })
	}
	if errors.Is(err, kerr.RebalanceInProgress) {
		return nil // they go with the next transaction, or the next time that it is quiet
	}
	if err != nil {
		return reset{resetCommit, fmt.Errorf("kafka: commit positions: %w", err)}
	}
	g.tell(moved)
	g.confirmed(held)
	return nil
}

// tell takes down that the coordinator has been told of positions.
func (g *generation) tell(moved map[*queue]int64) {
	for q, next := range moved {
		q.committed = next
	}
	if len(moved) > 0 {
		g.told = time.Now()
	}
}

// firstError finds the first error in the answer to a commit.
func firstError[T, P any](topics []T, partitions func(T) []P, code func(P) int16) error {
	for _, t := range topics {
		for _, p := range partitions(t) {
			if err := kerr.ErrorForCode(code(p)); err != nil {
				return err
			}
		}
	}
	return nil
}
