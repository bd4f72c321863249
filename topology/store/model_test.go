package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// testConfig has so little memory that a few rows fill it, and an index over
// each word of a row, so that rows share entries, keep some and lose some.
func testConfig() Config {
	return Config{
		Directory: "store", Owner: "test", RowBytes: 4 << 10, CacheBytes: 1 << 20,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Index: func(_ string, row []byte, add func([]byte)) error {
			for word := range bytes.SplitSeq(row, []byte(" ")) {
				add(word)
			}
			return nil
		},
	}
}

type rows map[string]string

// put writes what a changelog row says.
func (r rows) put(key string, value []byte) {
	if value == nil {
		delete(r, key)
		return
	}
	r[key] = string(value)
}

// entries are those of the derived index in [from, to).
func (r rows) entries(from, to []byte) (all []string) {
	for _, row := range r {
		words := strings.Split(row, " ")
		slices.Sort(words)
		for _, word := range slices.Compact(words) {
			if word >= string(from) && (to == nil || word < string(to)) {
				all = append(all, word)
			}
		}
	}
	slices.Sort(all)
	return all
}

// model is a partition as the simplest thing that could be right.
type model struct {
	committed rows
	staged    map[string][]byte
	position  int64
}

func newModel() *model { return &model{committed: rows{}, staged: map[string][]byte{}} }

func (m *model) visible() rows {
	all := maps.Clone(m.committed)
	for key, value := range m.staged {
		all.put(key, value)
	}
	return all
}

func (m *model) seal(next int64) {
	m.committed, m.staged, m.position = m.visible(), map[string][]byte{}, next
}

var (
	// keys and words meet: prefixes of one another, empty, longer than 64
	// bytes, and with the bytes that the format uses itself.
	keyOf   = rapid.SampledFrom([]string{"", "a", "ab", "b", "7", "\x00", "\x00\x01", "a\x00", "a\x00\x01b", "\xff", "\xff\xff", strings.Repeat("k", 300)})
	wordOf  = rapid.SampledFrom([]string{"", "a", "ab", "a\x00", "a\x00\xff", "\x00", "\x00\x01", "z", "\xff", strings.Repeat("w", 200)})
	valueOf = rapid.Custom(func(t *rapid.T) []byte {
		if rapid.IntRange(0, 4).Draw(t, "deleted") == 0 {
			return nil
		}
		return []byte(strings.Join(rapid.SliceOfN(wordOf, 1, 4).Draw(t, "words"), " "))
	})
	changeOf = rapid.Custom(func(t *rapid.T) changed {
		return changed{keyOf.Draw(t, "key"), valueOf.Draw(t, "value")}
	})
	boundOf = rapid.Custom(func(t *rapid.T) []byte {
		if rapid.Bool().Draw(t, "unbounded") {
			return nil
		}
		return []byte(wordOf.Draw(t, "bound"))
	})
)

// TestModel: whatever is done to it in whatever order, a store answers like a
// map.
func TestModel(t *testing.T) { rapid.Check(t, checkModel) }

func checkModel(t *rapid.T) {
	disk := vfs.NewMem()
	const partitions = 3
	var (
		s      *Store
		opened [partitions]*Partition
		models [partitions]*model
	)
	tableFrom := rapid.SampledFrom([]int64{0, 1000, tableBytesMin}).Draw(t, "table from")
	reopen := func() {
		s = must(open(testConfig(), disk))
		s.tableFrom = tableFrom
		for n := range opened {
			opened[n] = must(s.Partition(int32(n)))
		}
	}
	for n := range models {
		models[n] = newModel()
	}
	reopen()
	defer func() { ok(s.Close()) }()
	pick := func(t *rapid.T) (*Partition, *model) {
		n := rapid.IntRange(0, partitions-1).Draw(t, "partition")
		return opened[n], models[n]
	}
	actions := actionsOn(pick)
	actions["release"] = func(t *rapid.T) {
		n := rapid.IntRange(0, partitions-1).Draw(t, "partition")
		ok(opened[n].Release())
		models[n].staged = map[string][]byte{}
		opened[n] = must(s.Partition(int32(n)))
	}
	actions["reopen"] = func(t *rapid.T) {
		ok(s.Close())
		reopen()
		for _, m := range models {
			m.staged = map[string][]byte{}
		}
	}
	actions[""] = func(t *rapid.T) {
		for n := range opened {
			checkPartition(t, opened[n], models[n])
		}
	}
	t.Repeat(actions)
}

// actionsOn are those on an open partition, whichever pick gives.
func actionsOn(pick func(*rapid.T) (*Partition, *model)) map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"set": func(t *rapid.T) {
			p, m := pick(t)
			key, value := keyOf.Draw(t, "key"), valueOf.Draw(t, "value")
			m.staged[key] = bytes.Clone(value)
			ok(p.Set(key, value))
		},
		"delete": func(t *rapid.T) {
			p, m := pick(t)
			key := keyOf.Draw(t, "key")
			m.staged[key] = nil
			ok(p.Delete(key))
		},
		"seal": func(t *rapid.T) {
			p, m := pick(t)
			m.seal(m.position + int64(rapid.IntRange(1, 9).Draw(t, "moved")))
			ok(p.Seal(m.position))
		},
		"drop": func(t *rapid.T) {
			p, m := pick(t)
			m.staged = map[string][]byte{}
			p.Drop()
		},
		"restore": func(t *rapid.T) {
			p, m := pick(t)
			m.position += int64(rapid.IntRange(0, 9).Draw(t, "moved"))
			changes := rapid.SliceOfN(changeOf, 0, 8).Draw(t, "rows")
			for _, c := range changes {
				m.committed.put(c.key, c.value)
			}
			ok(p.Restore(inOneBuffer(changes), m.position))
		},
		"scan": func(t *rapid.T) {
			p, m := pick(t)
			from, to := boundOf.Draw(t, "from"), boundOf.Draw(t, "to")
			checkScan(t, p, m, from, to)
		},
		"range": func(t *rapid.T) {
			p, m := pick(t)
			checkRange(t, p, m, boundOf.Draw(t, "start"), boundOf.Draw(t, "limit"), boundOf.Draw(t, "seek"))
		},
	}
}

// checkScan: no entry of a staged row is missed without a word, and nothing but
// a staged row is a reason for that word.
func checkScan(t *rapid.T, p *Partition, m *model, from, to []byte) {
	staged := rows{}
	for key, value := range m.staged {
		staged.put(key, value)
	}
	due := len(staged.entries(from, to)) > 0
	entries, err := scanned(p, from, to)
	switch {
	case errors.Is(err, ErrStaged):
		if len(m.staged) == 0 {
			t.Fatalf("nothing is staged, and the scan says %v", err)
		}
		same(t, "entries beside the word", entries, []string(nil))
	case err != nil:
		t.Fatal(err)
	case due:
		t.Fatalf("a staged row has an entry in the range, and the scan says nothing")
	default:
		same(t, "entries", entries, m.committed.entries(from, to))
	}
}

// changed is a row of a changelog.
type changed struct {
	key   string
	value []byte
}

// inOneBuffer gives rows as a reader of fetches may: the next one where the
// last one was.
func inOneBuffer(list []changed) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		key, value := []byte{}, []byte{}
		for _, c := range list {
			key, value = append(key[:0], c.key...), append(value[:0], c.value...)
			given := value
			if c.value == nil {
				given = nil
			}
			if !yield(key, given) {
				return
			}
		}
	}
}

func checkPartition(t *rapid.T, p *Partition, m *model) {
	same(t, "position", p.Position(), m.position)
	same(t, "empty", must(p.Empty()), len(m.visible()) == 0)
	staged := map[string][]byte{}
	ok(p.Staged(func(key string, value []byte) error {
		staged[key] = value
		return nil
	}))
	same(t, "staged", staged, m.staged)
	key := keyOf.Draw(t, "read")
	want, is := m.visible()[key]
	got := must(p.Get(key))
	same(t, "row", string(got), want)
	same(t, "presence", got != nil, is)
	same(t, "has", must(p.Has(key)), is)
	keys := rapid.SliceOfN(keyOf, 0, 6).Draw(t, "read at once")
	for n, got := range must(p.GetMany(keys)) {
		want, is := m.visible()[keys[n]]
		same(t, "row of many", string(got), want)
		same(t, "presence of one of many", got != nil, is)
	}
}

// checkRange compares an iterator, from its begin and from a place in it.
func checkRange(t *rapid.T, p *Partition, m *model, start, limit, seek []byte) {
	var want, after []string
	for _, key := range slices.Sorted(maps.Keys(m.visible())) {
		if key >= string(start) && (limit == nil || key < string(limit)) {
			want = append(want, key+"="+m.visible()[key])
			if key >= string(seek) {
				after = append(after, want[len(want)-1])
			}
		}
	}
	all := must(p.IteratorWithRange(start, limit))
	defer all.Release()
	rest := func() (list []string) {
		for all.Next() {
			list = append(list, string(all.Key())+"="+string(must(all.Value())))
		}
		ok(all.Err())
		return list
	}
	same(t, "rows", rest(), want)
	same(t, "is there a row after the place", all.Seek(seek), len(after) > 0)
	same(t, "rows after it", rest(), after)
}

func entriesOf(p *Partition, from, to []byte) []string { return must(scanned(p, from, to)) }

func scanned(p *Partition, from, to []byte) (all []string, err error) {
	err = p.Scan(from, to, func(entry []byte) bool {
		all = append(all, string(entry))
		return true
	})
	return all, err
}

func rowsOf(p *Partition) rows {
	all := must(p.Iterator())
	defer all.Release()
	list := rows{}
	for all.Next() {
		list[string(all.Key())] = string(must(all.Value()))
	}
	ok(all.Err())
	return list
}

func same(t interface{ Fatalf(string, ...any) }, what string, got, want any) {
	// %q tells texts apart, and %v numbers, of which %q makes characters.
	if g, w := fmt.Sprintf("%q %[1]v", got), fmt.Sprintf("%q %[1]v", want); g != w {
		t.Fatalf("%s: got %s, want %s", what, g, w)
	}
}

func must[T any](value T, err error) T {
	ok(err)
	return value
}

func ok(err error) {
	if err != nil {
		panic(err)
	}
}

// TestStagedUnseenByOthers: what a transaction of one partition has staged, no
// other partition sees, and a scan says that it does not.
func TestStagedUnseenByOthers(t *testing.T) {
	s := must(open(testConfig(), vfs.NewMem()))
	defer func() { ok(s.Close()) }()
	one, two := must(s.Partition(1)), must(s.Partition(2))
	ok(one.Set("1", []byte("word")))
	same(t, "entries behind it", entriesOf(one, []byte("x"), nil), []string(nil))
	if _, err := scanned(one, nil, nil); !errors.Is(err, ErrStaged) {
		t.Errorf("a scan over a staged row's entry says %v", err)
	}
	same(t, "the other's row", must(two.Get("1")), []byte(nil))
	same(t, "the own row", must(one.Get("1")), []byte("word"))
}
