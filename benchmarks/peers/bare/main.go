// Command bare is the workload as a hand-written consumer: franz-go, exactly
// once by transactions, its state in a Go map that it rebuilds from the inputs.
// It is the ceiling: it has no changelog, no local store and no order across
// topics beyond one poll.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/vouch-engine/vouch/benchmarks/peers/peer"
	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
)

const (
	pollRecords        = 20_000 // of a transaction at most
	transactionTimeout = 15 * time.Second
	sessionTimeout     = 10 * time.Second // a static member leaves by it alone
	// transactionPause lets the brokers write the markers of a transaction. The
	// next one would meet them and be aborted, and its rows would be ahead.
	transactionPause = 5 * time.Millisecond
	// The engine's own: with franz-go's 5 s for both, a short transaction that
	// meets the markers of the last one now and then waits as long.
	fetchWait      = 500 * time.Millisecond
	metadataAgeMin = 250 * time.Millisecond
	retryWaitMin   = 25 * time.Millisecond
	retryWaitMax   = time.Second
)

func retryWait(failures int) time.Duration {
	return min(retryWaitMin<<min(failures, 16), retryWaitMax)
}

func main() { peer.Main(run) }

func run(ctx context.Context, o peer.Options) error {
	l := &loop{Options: o, partitions: map[int32]*partition{}}
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(o.Brokers...), kgo.ConsumerGroup(o.Group()), kgo.ConsumeTopics(o.Inputs()...),
		kgo.TransactionalID(o.Prefix+"bare-"+filepath.Base(o.State)), kgo.TransactionTimeout(transactionTimeout),
		kgo.InstanceID(filepath.Base(o.State)), kgo.SessionTimeout(sessionTimeout),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.MaxBufferedRecords(1_000_000), kgo.ProducerLinger(10*time.Millisecond),
		kgo.FetchMaxWait(fetchWait), kgo.MetadataMinAge(metadataAgeMin), kgo.RetryBackoffFn(retryWait),
		kgo.Balancers(kgo.RangeBalancer()), // of all topics the same partitions
		kgo.OnPartitionsAssigned(l.assigned), kgo.OnPartitionsRevoked(l.gone), kgo.OnPartitionsLost(l.gone),
	)
	if err != nil {
		return fmt.Errorf("bare: connect to Kafka: %w", err)
	}
	defer session.Close()
	for ctx.Err() == nil {
		if err := l.turn(ctx, session); err != nil && ctx.Err() == nil {
			return fmt.Errorf("bare: %w", err)
		}
	}
	return nil
}

// loop holds the state of the partitions that this process has.
type loop struct {
	peer.Options

	mu         sync.Mutex
	partitions map[int32]*partition
	failed     error // of a rebuilding
	ready      sync.Once
}

// partition is the state of one partition.
type partition struct {
	worker *peer.Worker
	rows   map[string]*certify.Row
}

// assigned rebuilds the state of partitions up to the group's positions.
func (l *loop) assigned(ctx context.Context, client *kgo.Client, topics map[string][]int32) {
	numbers := map[int32]bool{}
	for _, partitions := range topics {
		for _, number := range partitions {
			numbers[number] = true
		}
	}
	err := l.rebuild(ctx, client, numbers)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = errors.Join(l.failed, err)
	if len(numbers) > 0 && err == nil {
		l.ready.Do(peer.Ready)
	}
}

func (l *loop) gone(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, partitions := range topics {
		for _, number := range partitions {
			delete(l.partitions, number)
		}
	}
}

// rebuild reads what the group has committed once more, and writes nothing.
func (l *loop) rebuild(ctx context.Context, client *kgo.Client, numbers map[int32]bool) error {
	committed, err := kadm.NewClient(client).FetchOffsets(ctx, l.Group())
	if err != nil {
		return fmt.Errorf("fetch the positions: %w", err)
	}
	from, left := map[string]map[int32]kgo.Offset{}, map[string]map[int32]int64{}
	missing := 0
	committed.Each(func(o kadm.OffsetResponse) {
		if !numbers[o.Partition] || o.At <= 0 {
			return
		}
		if from[o.Topic] == nil {
			from[o.Topic], left[o.Topic] = map[int32]kgo.Offset{}, map[int32]int64{}
		}
		from[o.Topic][o.Partition], left[o.Topic][o.Partition] = kgo.NewOffset().AtStart(), o.At
		missing++
	})
	states := map[int32]*partition{}
	for number := range numbers {
		states[number] = &partition{peer.NewWorker(l.Catalogue), map[string]*certify.Row{}}
	}
	if missing > 0 {
		reader, err := kgo.NewClient(kgo.SeedBrokers(l.Brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumePartitions(from),
			kgo.FetchMaxWait(fetchWait), kgo.MetadataMinAge(metadataAgeMin))
		if err != nil {
			return fmt.Errorf("read the inputs again: %w", err)
		}
		defer reader.Close()
		for missing > 0 {
			fetches := reader.PollRecords(ctx, pollRecords)
			if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
				return fmt.Errorf("read the inputs again: %w", err)
			}
			records := map[int32][]*kgo.Record{}
			fetches.EachRecord(func(r *kgo.Record) {
				end := left[r.Topic][r.Partition]
				if r.Offset < end && !r.Attrs.IsControl() {
					records[r.Partition] = append(records[r.Partition], r)
				}
				if r.Offset == end-1 {
					missing--
				}
			})
			if err := l.decide(ctx, states, records, func(*kgo.Record) {}); err != nil {
				return err
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for number, state := range states {
		l.partitions[number] = state
	}
	return nil
}

// turn is one transaction.
func (l *loop) turn(ctx context.Context, session *kgo.GroupTransactSession) error {
	fetches := session.PollRecords(ctx, pollRecords)
	if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
		return err
	}
	l.mu.Lock()
	states, err := map[int32]*partition{}, l.failed
	for number, state := range l.partitions {
		states[number] = state
	}
	l.mu.Unlock()
	if err != nil || fetches.NumRecords() == 0 {
		return err
	}
	records, numbers := map[int32][]*kgo.Record{}, map[int32]bool{}
	fetches.EachRecord(func(r *kgo.Record) {
		records[r.Partition] = append(records[r.Partition], r)
		numbers[r.Partition] = true
	})
	if err := session.Begin(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	var failed kgo.FirstErrPromise
	err = l.decide(ctx, states, records, func(r *kgo.Record) { session.Produce(ctx, r, failed.Promise()) })
	if err = errors.Join(err, session.Client().Flush(ctx), failed.Err()); err != nil {
		return err
	}
	committed, err := session.End(ctx, kgo.TryCommit)
	if err != nil {
		return fmt.Errorf("end a transaction: %w", err)
	}
	if !committed { // the rows are ahead of the positions
		return l.rebuild(ctx, session.Client(), numbers)
	}
	time.Sleep(transactionPause)
	return nil
}

// decide takes records by partition, of each in the order of their Kafka
// timestamps, as many partitions at once as there are cores.
func (l *loop) decide(ctx context.Context, states map[int32]*partition, records map[int32][]*kgo.Record, produce func(*kgo.Record)) error {
	var group errgroup.Group
	group.SetLimit(2)
	for number, of := range records {
		state := states[number]
		if state == nil {
			continue // it has just gone, and so has the transaction
		}
		group.Go(func() error {
			slices.SortStableFunc(of, func(a, b *kgo.Record) int { return cmp.Compare(a.Timestamp.UnixMilli(), b.Timestamp.UnixMilli()) })
			for _, r := range of {
				row := state.rows[string(r.Key)]
				if row == nil {
					row = new(certify.Row)
					state.rows[string(r.Key)] = row
				}
				_, err := state.worker.Do(ctx, r.Topic[len(l.Prefix):], string(r.Key), r.Value, schemas.Instant(r.Timestamp.UnixMilli()), row, func(topic, key string, value []byte) {
					produce(&kgo.Record{Topic: l.Prefix + topic, Key: []byte(key), Value: value, Timestamp: r.Timestamp})
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
