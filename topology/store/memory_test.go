package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestMemoryModel: whatever is put, frozen, written and trimmed in whatever
// order, memory has the newest version of each row or says that Pebble must be
// asked, and never that of a row that Pebble has not; what is being written
// stays as it was frozen. Few hashes, small segments and a small share make
// rows of one hash, full segments and forgotten rows the rule.
func TestMemoryModel(t *testing.T) { rapid.Check(t, checkMemory) }

func checkMemory(t *rapid.T) {
	const share, segmentBytes = slotsMin*slotBytes + 2000, 256
	m := newMemory(rapid.Bool().Draw(t, "whole"))
	m.mask = 3
	defer m.free()
	var (
		newest  = map[string][]byte{} // nil: deleted
		changed = map[string]bool{}   // since the last freeze
		frozen  map[string][]byte     // what is being written
		places  []place
		where   []*segment
		sealed  int64
	)
	keyOf := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint(rapid.IntRange(0, 19).Draw(t, "key")) })
	actions := map[string]func(*rapid.T){
		"put": func(t *rapid.T) {
			key := keyOf.Draw(t, "key")
			var value []byte
			if bytesOf := rapid.IntRange(-1, 300).Draw(t, "bytes"); bytesOf >= 0 {
				value = bytes.Repeat([]byte{byte(rapid.IntRange(0, 255).Draw(t, "byte"))}, bytesOf)
			}
			m.put(key, value, segmentBytes)
			newest[key], changed[key] = value, true
			sealed += int64(headerBytes + len(key) + len(value))
		},
		"trim": func(*rapid.T) {
			m.trim(share, sealed, segmentBytes)
			sealed = 0
		},
		"freeze": func(*rapid.T) {
			if frozen != nil {
				return
			}
			frozen = map[string][]byte{}
			for key := range changed {
				frozen[key] = newest[key]
			}
			clear(changed)
			places, where = m.freeze()
		},
		"complete": func(t *rapid.T) {
			if frozen == nil {
				return
			}
			checkFrozen(t, places, where, frozen)
			m.complete(places)
			frozen = nil
		},
		"": func(t *rapid.T) {
			for n := range 20 {
				key := fmt.Sprint(n)
				value, known := newest[key]
				_, writing := frozen[key]
				v, is := m.find(key)
				switch {
				case is && (!known || !bytes.Equal(v.row(), value) || (v.row() == nil) != (value == nil)):
					t.Fatalf("row %s is %x, want %x", key, v.row(), value)
				case is:
				case changed[key] || writing:
					t.Fatalf("row %s, which Pebble has not, is forgotten", key)
				case m.whole && value != nil:
					t.Fatalf("memory is whole without row %s", key)
				}
			}
			checkFrozen(t, places, where, frozen)
			checkCounts(t, m)
		},
	}
	t.Repeat(actions)
}

// checkFrozen: a write finds what was frozen.
func checkFrozen(t *rapid.T, places []place, where []*segment, want map[string][]byte) {
	if want == nil {
		return
	}
	same(t, "rows that are being written", len(places), len(want))
	for _, at := range places {
		v := versionAt(where, at)
		if value, is := want[string(v.key)]; !is || !bytes.Equal(v.row(), value) || (v.row() == nil) != (value == nil) {
			t.Fatalf("row %s is written as %x, want %x", v.key, v.row(), value)
		}
	}
}

// checkCounts: what memory counts is what lies there.
func checkCounts(t *rapid.T, m *memory) {
	var live, used, pending int64
	rows := 0
	for v := range m.all {
		rows++
		live += v.bytes()
		if v.epoch == m.epoch {
			pending += v.bytes()
		}
	}
	same(t, "rows", m.places.rows, rows)
	lives := int64(0)
	for _, s := range m.segments {
		if s != nil {
			used += int64(len(s.memory))
			lives += s.live
		}
	}
	same(t, "bytes that live, lie in segments, are pending", []int64{m.live, lives, m.used, m.bytes}, []int64{live, live, used, pending})
}

// TestMemoryCosts: memory takes the bytes of what lives and a sixth more,
// whatever is rewritten, and no more than its share once Pebble has the rows.
func TestMemoryCosts(t *testing.T) {
	const rows, rowBytes, segmentBytes = 5_000, 200, 16 << 10
	for name, share := range map[string]int64{"all fits": 10 << 20, "half fits": rows * rowBytes / 2} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(true)
			defer m.free()
			random := rand.New(rand.NewPCG(1, 2))
			for n := range 20 * rows {
				m.put(fmt.Sprint(random.IntN(rows)), make([]byte, rowBytes), segmentBytes)
				m.trim(share, rowBytes+headerBytes, segmentBytes)
				if n%(rows/10) == 0 {
					places, _ := m.freeze()
					m.complete(places)
				}
				if most := int64(min(float64(m.live)/utilization+float64(m.places.bytes()), float64(share))) + 4*segmentBytes; m.bytesTaken() > most {
					t.Fatalf("after %d rows %d bytes are taken, for %d that live, of a share of %d", n, m.bytesTaken(), m.live, share)
				}
			}
			same(t, "rows in memory, all of them", []bool{m.places.rows > rows/4, m.whole}, []bool{true, share > rows*rowBytes})
		})
	}
}

// TestSharesOfMemory: open partitions share RowBytes, and one that is released
// leaves its share to the others.
func TestSharesOfMemory(t *testing.T) {
	config := testConfig()
	config.RowBytes, config.Index = 1<<20, nil
	s := must(Open(withDirectory(config, t.TempDir())))
	defer func() { ok(s.Close()) }()
	a, b := must(s.Partition(0)), must(s.Partition(1))
	same(t, "share of two", s.share.Load(), config.RowBytes/2)
	position := int64(0)
	fill := func(p *Partition) int64 {
		for row := range 2 * config.RowBytes / 1000 {
			position++
			ok(p.Set(fmt.Sprint(row), make([]byte, 1000)))
			ok(p.Seal(position))
			ok(s.flush(p))
		}
		return p.memory.bytesTaken()
	}
	segment := int64(segmentBytes(config.RowBytes))
	if used := fill(a); used > config.RowBytes/2+4*segment {
		t.Errorf("one of two partitions has %d bytes in memory of %d", used, config.RowBytes)
	}
	ok(b.Release())
	same(t, "share of one", s.share.Load(), config.RowBytes)
	used := fill(a)
	same(t, "bytes in memory", s.Stats().MemoryBytes, used)
	if used < config.RowBytes/2+4*segment || used > config.RowBytes+4*segment {
		t.Errorf("the only partition has %d bytes in memory of %d", used, config.RowBytes)
	}
}

// TestSharesWhileMoreCome: partitions that are opened one after the other, each
// filled while the shares are still large, take no more than twice RowBytes.
func TestSharesWhileMoreCome(t *testing.T) {
	const partitions, rowBytes = 32, 1000
	config := testConfig()
	config.RowBytes, config.Index = 4<<20, nil
	s := must(Open(withDirectory(config, t.TempDir())))
	defer func() { ok(s.Close()) }()
	for n := range int32(partitions) {
		p := must(s.Partition(n))
		for row := range config.RowBytes / 2 / rowBytes {
			ok(p.Set(fmt.Sprint(row), make([]byte, rowBytes)))
			ok(p.Seal(row + 1))
		}
		ok(s.flush(p))
	}
	slack := 4 * int64(partitions) * int64(segmentBytes(config.RowBytes/partitions))
	if used := s.used.Load(); used > 2*config.RowBytes+slack {
		t.Errorf("%d bytes are taken, of %d", used, config.RowBytes)
	}
}

// TestDeletionsAreNotKept: what was deleted takes no room once Pebble has the
// deletion.
func TestDeletionsAreNotKept(t *testing.T) {
	const segmentBytes = 4 << 10
	m := newMemory(true)
	defer m.free()
	m.put("living", []byte("row"), segmentBytes)
	for n := range 20_000 {
		m.put(fmt.Sprint(n), []byte("row"), segmentBytes)
		m.put(fmt.Sprint(n-10), nil, segmentBytes)
		m.trim(64<<10, 100, segmentBytes)
		if n%100 == 0 {
			places, _ := m.freeze()
			m.complete(places)
		}
	}
	same(t, "few rows, whole", []bool{m.places.rows < 1000, m.whole}, []bool{true, true})
}

// TestWholeMemoryAnswersForPebble: a new partition that has forgotten nothing
// knows what there is not; one that was opened again asks.
func TestWholeMemoryAnswersForPebble(t *testing.T) {
	config := withDirectory(testConfig(), t.TempDir())
	s := must(Open(config))
	p := must(s.Partition(0))
	same(t, "whole", p.memory.whole, true)
	ok(p.Set("a", []byte("1")))
	ok(p.Seal(1))
	ok(p.Release())
	p = must(s.Partition(0))
	same(t, "whole", p.memory.whole, false)
	same(t, "row", string(must(p.Get("a"))), "1")
	ok(s.Close())
}

func withDirectory(c Config, directory string) Config {
	c.Directory = directory
	return c
}
