package topology

import (
	"fmt"
	"iter"
	"path/filepath"
	"testing"

	"github.com/vouch-engine/vouch/topology/store"
)

// stateOf writes rows into two partitions of a fresh state directory, those of
// even numbers into the first, in the order given.
func stateOf(t *testing.T, rows []int, value func(int) string) string {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "state")
	s, err := store.Open(store.Config{Directory: directory, Owner: DefaultPrefix + CertifierGroup})
	if err != nil {
		t.Fatal(err)
	}
	for number := range int32(2) {
		partition, err := s.Partition(number)
		if err != nil {
			t.Fatal(err)
		}
		mine := iter.Seq2[[]byte, []byte](func(yield func([]byte, []byte) bool) {
			for _, row := range rows {
				if int32(row%2) == number && !yield(fmt.Appendf(nil, "c%d", row), []byte(value(row))) {
					return
				}
			}
		})
		if err := partition.Restore(mine, int64(len(rows))); err != nil {
			t.Fatal(err)
		}
		if err := partition.Release(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return directory
}

// A digest is that of the rows, whatever their order of arrival, and another
// for one byte, one row more, or a row of another key.
func TestDigestIsOfTheRows(t *testing.T) {
	plain := func(row int) string { return fmt.Sprint("row ", row) }
	digest := func(directory string) Digests {
		t.Helper()
		all, err := DigestState(directory, "", 2)
		if err != nil || len(all) != 2 {
			t.Fatalf("%v, %v", all, err)
		}
		return all
	}
	one := digest(stateOf(t, []int{1, 2, 3, 4}, plain))
	if one[0].Rows != 2 || one[0].Position != 4 {
		t.Errorf("%+v", one[0])
	}
	for name, c := range map[string]struct {
		rows  []int
		value func(int) string
		same  bool
	}{
		"in another order": {[]int{4, 3, 2, 1}, plain, true},
		"one byte":         {[]int{1, 2, 3, 4}, func(row int) string { return plain(row % 4) }, false},
		"one more":         {[]int{1, 2, 3, 4, 6}, plain, false},
		"another key":      {[]int{1, 2, 3, 6}, func(row int) string { return plain(min(row, 4)) }, false},
	} {
		other := digest(stateOf(t, c.rows, c.value))
		if one[0].Same(other[0]) != c.same || !one[1].Same(other[1]) || (one.String() == other.String()) != c.same {
			t.Errorf("%s: %v and %v", name, one, other)
		}
	}
	if _, err := DigestState(stateOf(t, nil, plain), "other.", 2); err == nil {
		t.Error("a state directory of another group was summed up")
	}
}
