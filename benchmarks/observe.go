package benchmarks

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology"
)

// How often an outside observer looks, and how long a system may take to end.
const (
	lookInterval = 50 * time.Millisecond
	subjectStop  = 15 * time.Second
	settlePause  = 20 * time.Millisecond
)

// committed are the positions of a group. Before it has committed anything
// there are none.
func (b *bench) committed(ctx context.Context, group string) (kadm.OffsetResponses, error) {
	offsets, err := b.admin.FetchOffsets(ctx, group)
	for _, none := range []error{kerr.GroupIDNotFound, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress} {
		if errors.Is(err, none) {
			return nil, nil // a broker that is new makes the topic of offsets when it is first asked
		}
	}
	return offsets, err
}

// lag is how many records of the inputs the group has not committed; all of
// them as long as it has committed nothing.
func (b *bench) lag(ctx context.Context, group string, total int) (int, error) {
	committed, err := b.committed(ctx, group)
	done := int64(0)
	committed.Each(func(o kadm.OffsetResponse) { done += max(o.At, 0) })
	return total - int(done), err
}

// fired is the time up to which the timer has fired everything on all
// partitions, which it commits with its positions.
func (b *bench) fired(ctx context.Context, prefix string) (schemas.Instant, error) {
	committed, err := b.committed(ctx, prefix+topology.TimerGroup)
	least, partitions := schemas.Instant(1<<62), 0
	committed.Each(func(o kadm.OffsetResponse) {
		at, malformed := strconv.ParseInt(o.Metadata, 10, 64)
		if malformed == nil {
			least, partitions = min(least, schemas.Instant(at)), partitions+1
		}
	})
	if partitions < benchPartitions {
		return 0, err
	}
	return least, err
}

// spent is what a piece of work took.
type spent struct {
	wall, cpu time.Duration
	peak      int64
	records   int
}

// awaitDrained waits until a group has committed all records that lie there.
// Time and CPU run from when the process said that it works, or else from the
// last look at which it had committed none of them: systems that commit seldom
// have worked for long when that is first seen.
func (b *bench) awaitDrained(ctx context.Context, s *subject, group string, total int) (d spent, err error) {
	before, err := b.lag(ctx, group, total)
	if err != nil {
		return d, err
	}
	began := time.Now()
	from, err := s.used()
	if err != nil {
		return d, err
	}
	for started := false; ; {
		ready := !started && s.ready(ctx)
		lag, err := b.lag(ctx, group, total)
		now := time.Now()
		used, failed := s.used()
		if err := errors.Join(err, failed); err != nil {
			return d, err
		}
		if lag == before && !started {
			began, from = now, used
		}
		started = started || lag < before || ready
		if lag == 0 {
			return spent{now.Sub(began), used.cpu - from.cpu, used.peak, before}, nil
		}
		if lag < 0 {
			return d, fmt.Errorf("the group %s has committed %d records more than there are", group, -lag)
		}
		if err := s.sleep(ctx, lookInterval); err != nil {
			return d, err
		}
	}
}

// awaitReady waits until a process says that it works.
func (s *subject) awaitReady(ctx context.Context) error {
	for !s.ready(ctx) {
		if err := s.sleep(ctx, readyInterval); err != nil {
			return err
		}
	}
	return nil
}

// readyInterval is how exactly the end of a start is seen.
const readyInterval = 5 * time.Millisecond

// ends are how far topics reach, by topic and partition.
type ends map[string]map[int32]int64

// read gives visit all committed records of topics from where an earlier read
// ended, nil for the first, to where they end now.
func (b *bench) read(ctx context.Context, from ends, visit func(*kgo.Record) error, topics ...string) (ends, error) {
	to, err := b.settledEnds(ctx, topics...)
	if err != nil {
		return nil, err
	}
	left, begin := 0, map[string]map[int32]kgo.Offset{}
	for topic, partitions := range to {
		for partition, end := range partitions {
			if at := from[topic][partition]; at < end {
				if begin[topic] == nil {
					begin[topic] = map[int32]kgo.Offset{}
				}
				begin[topic][partition] = kgo.NewOffset().At(at)
				left++
			}
		}
	}
	if left == 0 {
		return to, nil
	}
	client, err := b.reader(kgo.KeepControlRecords(), kgo.ConsumePartitions(begin))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for left > 0 && err == nil {
		fetches := client.PollFetches(ctx)
		if err = errors.Join(ctx.Err(), fetches.Err()); err != nil {
			break
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end := to[r.Topic][r.Partition]
			if r.Offset < end && !r.Attrs.IsControl() && err == nil {
				err = visit(r)
			}
			if r.Offset == end-1 {
				left--
			}
		})
	}
	return to, err
}

// Of the harness's own clients: with their defaults of 5 s a first request may
// wait as long, and the wait would be counted as latency.
const (
	readerWait     = 250 * time.Millisecond // for which a broker holds a fetch that finds nothing
	clientsLookMin = 250 * time.Millisecond // between two questions who leads what
)

// reader is a reader of committed records.
func (b *bench) reader(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(options, kgo.SeedBrokers(b.Brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(readerWait), kgo.MetadataMinAge(clientsLookMin))...)
}

// settledEnds are the ends of topics once no transaction is open there: a
// broker writes the markers after it has confirmed the end.
func (b *bench) settledEnds(ctx context.Context, topics ...string) (ends, error) {
	for ctx.Err() == nil {
		high, err := b.admin.ListEndOffsets(ctx, topics...)
		if err != nil {
			return nil, err
		}
		stable, err := b.admin.ListCommittedOffsets(ctx, topics...)
		if err != nil {
			return nil, err
		}
		open, to := false, ends{}
		high.Each(func(h kadm.ListedOffset) {
			open = open || stable[h.Topic][h.Partition].Offset < h.Offset
			if to[h.Topic] == nil {
				to[h.Topic] = map[int32]int64{}
			}
			to[h.Topic][h.Partition] = h.Offset
		})
		if !open {
			return to, nil
		}
		time.Sleep(settlePause)
	}
	return nil, ctx.Err()
}

// certified reads the ids of all certifications that were written.
func (b *bench) certified(ctx context.Context, prefix string) (ids eventIDs, doubled int, err error) {
	codec := avro.New(nil)
	ids = eventIDs{}
	_, err = b.read(ctx, nil, func(r *kgo.Record) error {
		completed, err := completedOf(ctx, codec, r)
		if err == nil && !ids.add(completed.EventID) {
			doubled++
		}
		return err
	}, prefix+topology.CertificationCompleted)
	return ids, doubled, err
}

func completedOf(ctx context.Context, codec *avro.Codec, r *kgo.Record) (*schemas.CertificationCompleted, error) {
	record, err := codec.DecodeAny(ctx, r.Value)
	if err != nil {
		return new(schemas.CertificationCompleted), fmt.Errorf("read %s: %w", topology.CertificationCompleted, err)
	}
	return record.(*schemas.CertificationCompleted), nil
}
