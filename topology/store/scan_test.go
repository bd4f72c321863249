package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestScanStops: a scan ends when it is told to, in the order of bytes.
func TestScanStops(t *testing.T) {
	s := must(open(testConfig(), vfs.NewMem()))
	defer func() { ok(s.Close()) }()
	p := must(s.Partition(0))
	ok(p.Set("1", []byte("c a b")))
	ok(p.Seal(1))
	var seen []string
	ok(p.Scan(nil, nil, func(entry []byte) bool {
		seen = append(seen, string(entry))
		return len(seen) < 2
	}))
	same(t, "entries", seen, []string{"a", "b"})
}

// TestScanSpares: a scan writes what is pending when one of its rows may have an
// entry in the range, and leaves it where it is when none has.
func TestScanSpares(t *testing.T) {
	s := must(open(testConfig(), vfs.NewMem()))
	defer func() { ok(s.Close()) }()
	p, position := must(s.Partition(0)), int64(0)
	seal := func(key, row string) {
		position++
		ok(p.Set(key, []byte(row)))
		ok(p.Seal(position))
	}
	scan := func(from, to string, spares bool, want ...string) {
		t.Helper()
		same(t, "entries", entriesOf(p, []byte(from), []byte(to)), want)
		same(t, fmt.Sprintf("of [%s, %s): pending rows stay", from, to), p.memory.moved, spares)
	}
	seal("1", "b x")
	scan("c", "d", true)
	scan("d", "x", true)
	scan("x", "y", false, "x")
	seal("2", "p z")
	scan("y", "z", true)
	scan("y", "z\x00", false, "z")
	seal("3", "a q")
	scan("za", "zb", true)
	scan("a", "b", false, "a") // it begins before the last one
	for n := range freshMax {
		seal("3", fmt.Sprintf("a q%d", n))
	}
	scan("b", "c", true, "b")
	for n := range freshMax + 1 {
		seal("3", fmt.Sprintf("a q%d", n))
	}
	scan("c", "d", false)
}

// TestScanHidesOldEntries: what Pebble has of a row that has moved on is no
// entry any more.
func TestScanHidesOldEntries(t *testing.T) {
	s := must(open(testConfig(), vfs.NewMem()))
	defer func() { ok(s.Close()) }()
	p := must(s.Partition(0))
	scan := func(want ...string) {
		t.Helper()
		same(t, "entries", entriesOf(p, []byte("a"), []byte("c")), want)
	}
	ok(p.Set("1", []byte("a b")))
	ok(p.Set("2", []byte("a")))
	ok(p.Seal(1))
	scan("a", "a", "b")
	ok(p.Set("1", []byte("z")))
	ok(p.Seal(2))
	scan("a")
	ok(p.Delete("2"))
	ok(p.Seal(3))
	scan()
	s.freeze(p)
	scan()
	same(t, "rows that Pebble has not", p.memory.changed("1", p.written()) && p.memory.changed("2", p.written()), true)
}

// TestScanOfWhatIsBeingWritten: a scan waits for a write that may bring entries
// of its range.
func TestScanOfWhatIsBeingWritten(t *testing.T) {
	s := must(open(testConfig(), vfs.NewMem()))
	defer func() { ok(s.Close()) }()
	p := must(s.Partition(0))
	ok(p.Set("1", []byte("a")))
	ok(p.Seal(1))
	s.writer <- struct{}{}
	f, _ := s.freeze(p)
	go func() {
		time.Sleep(20 * time.Millisecond)
		s.writeFrozen([]frozen{f}, f.bytes)
		<-s.writer
	}()
	same(t, "entries", entriesOf(p, []byte("a"), nil), []string{"a"})
}
