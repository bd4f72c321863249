package topology

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/processors/remind"
	"github.com/vouch-engine/vouch/topology/store"
)

// Digest sums up the rows of one partition of a group's table, so that two
// copies of it can be compared.
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
// does not run holds of a group's table, partition by partition, and fails if
// its index is not that of the rows. It has the rows of a partition in memory
// at once: it is for tests.
func DigestState(directory, prefix, group string, partitions int) (all Digests, err error) {
	config := store.Config{Directory: directory, Owner: cmp.Or(prefix, DefaultPrefix) + group}
	if group == TimerGroup {
		config.Index = remind.DueEntries
	}
	rows, err := store.Open(config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for number := range int32(partitions) {
		partition, err := rows.Partition(number)
		if err != nil {
			return nil, err
		}
		held, err := rowsOf(partition)
		if err != nil {
			return nil, err
		}
		if config.Index != nil {
			if err := checkIndex(partition, held, config.Index); err != nil {
				return nil, fmt.Errorf("digest: partition %d in %s: %w", number, directory, err)
			}
		}
		all = append(all, digestOf(held, partition.Position()))
	}
	return all, nil
}

// rowsOf reads a partition.
func rowsOf(partition *store.Partition) (map[string][]byte, error) {
	each, err := partition.Iterator()
	if err != nil {
		return nil, err
	}
	defer each.Release()
	held := map[string][]byte{}
	for each.Next() {
		value, err := each.Value()
		if err != nil {
			return nil, err
		}
		held[string(each.Key())] = slices.Clone(value)
	}
	return held, each.Err()
}

// checkIndex compares a partition's index with the entries that its rows have.
func checkIndex(partition *store.Partition, rows map[string][]byte, index func(string, []byte, func([]byte)) error) error {
	left := map[string]int{}
	for key, row := range rows {
		if err := index(key, row, func(entry []byte) { left[string(entry)]++ }); err != nil {
			return err
		}
	}
	derived := 0
	for _, n := range left {
		derived += n
	}
	err := partition.Scan(nil, nil, func(entry []byte) bool {
		left[string(entry)]--
		return true
	})
	if err != nil {
		return err
	}
	missing, strange := 0, 0
	for _, n := range left {
		missing += max(n, 0)
		strange += max(-n, 0)
	}
	if missing > 0 || strange > 0 {
		return fmt.Errorf("of the %d index entries of its rows %d are missing, and %d are there that no row has: the state was not written whole", derived, missing, strange)
	}
	return nil
}

// DigestChangelog sums up the rows that the changelog of a group's table holds,
// as a reader of committed records sees it up to its end as it stands.
func DigestChangelog(ctx context.Context, connect func(...kgo.Opt) (*kgo.Client, error), prefix, group string) (all Digests, err error) {
	client, err := connect(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	topic := cmp.Or(prefix, DefaultPrefix) + group + "-table"
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
