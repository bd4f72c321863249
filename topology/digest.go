package topology

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/topology/store"
)

// Digest sums up the rows of one partition of the certifier's table, so that
// two copies of it can be compared.
type Digest struct {
	Rows     int
	Position int64  // the changelog offset up to which the rows are complete
	Sum      string // SHA-256 over all keys and rows, in the order of keys
}

// Same says whether two copies hold the same rows. Where they stand in the
// changelog may differ by a transaction's marker.
func (d Digest) Same(other Digest) bool { return d.Rows == other.Rows && d.Sum == other.Sum }

// String is what a person compares.
func (d Digest) String() string { return fmt.Sprintf("%d rows %.16s", d.Rows, d.Sum) }

// Digests are those of all partitions.
type Digests []Digest

// String sums the partitions up once more.
func (ds Digests) String() string {
	whole := sha256.New()
	for _, d := range ds {
		fmt.Fprintln(whole, d.Rows, d.Sum)
	}
	return hex.EncodeToString(whole.Sum(nil)[:8])
}

// digestOf sums rows up.
func digestOf(rows map[string][]byte, position int64) Digest {
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(sum, "%d %d ", len(key), len(rows[key]))
		sum.Write([]byte(key))
		sum.Write(rows[key])
	}
	return Digest{len(rows), position, hex.EncodeToString(sum.Sum(nil))}
}

// DigestState sums up the rows that the state directory of an instance which
// does not run holds, partition by partition. It has the rows of a partition
// in memory at once: it is for tests.
func DigestState(directory, prefix string, partitions int) (all Digests, err error) {
	rows, err := store.Open(store.Config{Directory: directory, Owner: cmp.Or(prefix, DefaultPrefix) + CertifierGroup})
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, rows.Close()) }()
	for number := range int32(partitions) {
		partition, err := rows.Partition(number)
		if err != nil {
			return nil, err
		}
		held := map[string][]byte{}
		each, err := partition.Iterator()
		if err != nil {
			return nil, err
		}
		for each.Next() {
			value, err := each.Value()
			if err != nil {
				return nil, err
			}
			held[string(each.Key())] = slices.Clone(value)
		}
		if err := each.Err(); err != nil {
			return nil, err
		}
		each.Release()
		all = append(all, digestOf(held, partition.Position()))
	}
	return all, nil
}

// DigestChangelog sums up the rows that the changelog holds, as a reader of
// committed records sees it up to its end as it stands.
func DigestChangelog(ctx context.Context, connect func(...kgo.Opt) (*kgo.Client, error), prefix string) (all Digests, err error) {
	client, err := connect(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	topic := cmp.Or(prefix, DefaultPrefix) + CertifierTable
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("digest: list the ends of %s: %w", topic, err)
	}
	rows := make([]map[string][]byte, len(ends[topic]))
	left, from := map[int32]int64{}, map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		rows[end.Partition], from[end.Partition] = map[string][]byte{}, kgo.NewOffset().AtStart()
		if end.Offset > 0 {
			left[end.Partition] = end.Offset
		}
	})
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			return nil, fmt.Errorf("digest: read %s: %w", topic, errs[0].Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset < ends[topic][r.Partition].Offset && !r.Attrs.IsControl() {
				if rows[r.Partition][string(r.Key)] = r.Value; r.Value == nil {
					delete(rows[r.Partition], string(r.Key))
				}
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	for partition, held := range rows {
		all = append(all, digestOf(held, ends[topic][int32(partition)].Offset))
	}
	return all, nil
}
