package topology

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The times of purging: how often, and how long one may take.
const (
	purgeEvery   = 30 * time.Second
	purgeTimeout = 10 * time.Second
)

// purge deletes from an internal topic, as long as ctx lasts, what this member
// has read of its partitions and committed: nothing else ever cuts that topic. A
// record that was left lies there until the next time and does no harm, so that
// a failure is told and not more.
func (m *member) purge(ctx context.Context, topic string) {
	client, err := kgo.NewClient(append(m.Client, kgo.SeedBrokers(m.Brokers...))...)
	if err != nil {
		m.Logger.Warn("an internal topic will not be purged, and grows", "topic", m.Prefix+topic, "error", err)
		return
	}
	defer client.Close()
	admin, purged := kadm.NewClient(client), map[int32]int64{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(purgeEvery):
		}
		if err := m.purgeOnce(ctx, admin, m.Prefix+topic, purged); err != nil && ctx.Err() == nil {
			m.Logger.Warn("an internal topic was not purged; it will be tried again", "topic", m.Prefix+topic, "error", err)
		}
	}
}

// purgeOnce deletes what lies before the committed positions of the partitions
// that are this member's. purged says up to where it was done before.
func (m *member) purgeOnce(ctx context.Context, admin *kadm.Client, topic string, purged map[int32]int64) error {
	ctx, stop := context.WithTimeout(ctx, purgeTimeout)
	defer stop()
	committed, err := admin.FetchOffsets(ctx, m.Prefix+m.name)
	if err != nil {
		return err
	}
	var upTo kadm.Offsets
	m.mu.Lock()
	for partition := range m.works {
		if offset, found := committed.Lookup(topic, partition); found && offset.At > purged[partition] {
			upTo.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset.At, LeaderEpoch: -1})
		}
	}
	m.mu.Unlock()
	if len(upTo) == 0 {
		return nil
	}
	deleted, err := admin.DeleteRecords(ctx, upTo)
	if err != nil {
		return err
	}
	var failed []error
	deleted.Each(func(d kadm.DeleteRecordsResponse) {
		switch {
		case d.Err == nil:
			purged[d.Partition] = upTo[topic][d.Partition].At
		case !errors.Is(d.Err, kerr.OffsetOutOfRange): // cut already, by an earlier owner
			failed = append(failed, d.Err)
		}
	})
	return errors.Join(failed...)
}
