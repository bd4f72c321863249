package topology

import (
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vouch-engine/vouch/processors/remind"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology/store"
)

// stateOf writes rows into two partitions of a fresh state directory of a
// group, those of even numbers into the first, in the order given.
func stateOf(t *testing.T, config store.Config, rows []int, value func(int) []byte) string {
	t.Helper()
	config.Directory = filepath.Join(t.TempDir(), "state")
	s, err := store.Open(config)
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
				if int32(row%2) == number && !yield(fmt.Appendf(nil, "c%d", row), value(row)) {
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
	return config.Directory
}

// A digest is that of the rows, whatever their order of arrival, and another
// for one byte, one row more, or a row of another key.
func TestDigestIsOfTheRows(t *testing.T) {
	config := store.Config{Owner: DefaultPrefix + CertifierGroup}
	plain := func(row int) []byte { return fmt.Append(nil, "row ", row) }
	digest := func(directory string) Digests {
		t.Helper()
		all, err := DigestState(directory, "", CertifierGroup, 2)
		if err != nil || len(all) != 2 {
			t.Fatalf("%v, %v", all, err)
		}
		return all
	}
	one := digest(stateOf(t, config, []int{1, 2, 3, 4}, plain))
	if one[0].Rows != 2 || one[0].Position != 4 {
		t.Errorf("%+v", one[0])
	}
	for name, c := range map[string]struct {
		rows  []int
		value func(int) []byte
		same  bool
	}{
		"in another order": {[]int{4, 3, 2, 1}, plain, true},
		"one byte":         {[]int{1, 2, 3, 4}, func(row int) []byte { return plain(row % 4) }, false},
		"one more":         {[]int{1, 2, 3, 4, 6}, plain, false},
		"another key":      {[]int{1, 2, 3, 6}, func(row int) []byte { return plain(min(row, 4)) }, false},
	} {
		other := digest(stateOf(t, config, c.rows, c.value))
		if one[0].Same(other[0]) != c.same || !one[1].Same(other[1]) || (one.String() == other.String()) != c.same {
			t.Errorf("%s: %v and %v", name, one, other)
		}
	}
	if _, err := DigestState(stateOf(t, config, nil, plain), "other.", CertifierGroup, 2); err == nil {
		t.Error("a state directory of another group was summed up")
	}
}

// A digest of the timer's rows also looks whether its index is theirs.
func TestDigestLooksAtTheIndex(t *testing.T) {
	rules := remind.New(catalogue.Default())
	row := func(row int) []byte {
		var r remind.Row
		rules.OnEntry(&r.Citizen, &schemas.ScheduleEntry{CitizenID: fmt.Sprint("c", row), Benefits: []schemas.ScheduledBenefit{{Benefit: "URRP", DueOn: schemas.DateOf(2024, 5, 31)}}}, 0, remind.NoTick)
		return remind.AppendRow(nil, &r)
	}
	lacking := func(key string, row []byte, add func([]byte)) error {
		if key == "c2" {
			return nil
		}
		return remind.DueEntries(key, row, add)
	}
	more := func(key string, row []byte, add func([]byte)) error {
		add([]byte("of no row"))
		return remind.DueEntries(key, row, add)
	}
	for name, c := range map[string]struct {
		index func(string, []byte, func([]byte)) error
		want  string
	}{
		"":        {remind.DueEntries, ""},
		"lacking": {lacking, "of the 10 index entries of its rows 5 are missing, and 0 are there"},
		"more":    {more, "0 are missing, and 2 are there that no row has"},
	} {
		directory := stateOf(t, store.Config{Owner: DefaultPrefix + TimerGroup, Index: c.index}, []int{1, 2, 3, 4}, row)
		all, err := DigestState(directory, "", TimerGroup, 2)
		if c.want == "" && (err != nil || all[0].Rows != 2) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, %v; want %q", name, all, err, c.want)
		}
	}
}
