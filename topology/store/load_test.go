package store

import (
	"fmt"
	"testing"
)

// TestLoad: reads of a partition that was opened again bring all of it into
// memory, step by step, as long as there is room; what was changed meanwhile
// stays as it is.
func TestLoad(t *testing.T) {
	const rows, rowBytes = 10 * loadRows, 200
	for name, rowsRoom := range map[string]int64{"room for all": 4 * rows, "room for a few": rows / 4} {
		t.Run(name, func(t *testing.T) {
			config := withDirectory(testConfig(), t.TempDir())
			config.Index = nil
			key := func(n int) string { return fmt.Sprintf("%04d", n) }
			s := must(Open(config))
			p := must(s.Partition(0))
			for n := range rows {
				ok(p.Set(key(n), fmt.Appendf(make([]byte, rowBytes), "%d", n)))
			}
			ok(p.Seal(1))
			ok(s.Close())

			config.RowBytes = rowsRoom * rowBytes
			s = must(Open(config))
			defer func() { ok(s.Close()) }()
			p = must(s.Partition(0))
			ok(p.Set(key(rows-1), []byte("new")))
			ok(p.Delete(key(rows - 2)))
			ok(p.Seal(2))
			reads := 0
			for ; reads < rows-2 && !p.memory.whole; reads++ {
				row := must(p.Get(key(rows - 3 - reads)))
				same(t, "row", row != nil, true)
			}
			if rowsRoom < rows {
				same(t, "whole", p.memory.whole, false)
				if live := p.memory.live; live < config.RowBytes/2 || live > config.RowBytes {
					t.Errorf("%d bytes were loaded, of a share of %d", live, config.RowBytes)
				}
			} else if reads > 2*rows/loadRows {
				t.Errorf("%d reads loaded %d rows, %d at each", reads, rows, loadRows)
			}
			for n := range rows - 2 {
				same(t, "row", string(must(p.Get(key(n)))[rowBytes:]), fmt.Sprint(n))
			}
			same(t, "changed row", string(must(p.Get(key(rows-1)))), "new")
			same(t, "deleted row", must(p.Get(key(rows-2))) == nil, true)
			same(t, "no row", must(p.Get("none")) == nil, true)
		})
	}
}

// TestLoadStops: a partition that has forgotten a row it had loaded does not go
// on as if it had it, though there is room again.
func TestLoadStops(t *testing.T) {
	const rows, rowBytes = 4 * loadRows, 200
	config := withDirectory(testConfig(), t.TempDir())
	config.RowBytes, config.Index = 2*rows*rowBytes, nil
	s := must(Open(config))
	p, position := must(s.Partition(0)), int64(0)
	seal := func() {
		position++
		ok(p.Seal(position))
		ok(s.flush(p))
	}
	for n := range rows {
		ok(p.Set(fmt.Sprintf("%04d", n), make([]byte, rowBytes)))
	}
	seal()
	ok(s.Close())
	s = must(Open(config))
	defer func() { ok(s.Close()) }()
	p = must(s.Partition(0))
	must(p.Get("none"))
	same(t, "loaded", p.memory.live > 0, true)
	passing := 0
	for ; !p.memory.lost; passing++ {
		ok(p.Set(fmt.Sprint("passing", passing), make([]byte, rowBytes)))
		seal()
	}
	for n := range passing {
		ok(p.Delete(fmt.Sprint("passing", n)))
	}
	seal()
	same(t, "room to load", float64(p.memory.live) < loadUtilization*float64(config.RowBytes), true)
	for n := range rows {
		same(t, "row", len(must(p.Get(fmt.Sprintf("%04d", n)))), rowBytes)
	}
	same(t, "whole", p.memory.whole, false)
}
