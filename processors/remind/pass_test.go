package remind

import (
	"strings"
	"testing"
)

// TestBegin: what a partition's row says of its catalogue, and what is to be
// done before the first input by a program that has another.
func TestBegin(t *testing.T) {
	one, next, back := catalogues(t)
	for _, c := range []struct {
		name    string
		row     Partition
		pass    bool
		behind  string
		refused string
	}{
		{name: "nothing is known", row: *NewPartition(), pass: true},
		{name: "the same catalogue", row: Partition{CatalogueVersion: 2, CatalogueHash: next.Hash()}},
		{name: "the one before", row: Partition{CatalogueVersion: 1, CatalogueHash: one.Hash()}, pass: true},
		{name: "another of the same version", row: Partition{CatalogueVersion: 2, CatalogueHash: one.Hash()}, pass: true},
		{name: "a pass was broken off", row: Partition{CatalogueVersion: 2, CatalogueHash: next.Hash(), Pass: true, PassCursor: "b"}, pass: true, behind: "b"},
		{name: "a pass of the one before was broken off", row: Partition{CatalogueVersion: 1, CatalogueHash: one.Hash(), Pass: true, PassCursor: "b"}, pass: true},
		{name: "the middle of a tick", row: Partition{CatalogueVersion: 1, CatalogueHash: one.Hash(), Cursor: "entry"}},
		{name: "a later catalogue", row: Partition{CatalogueVersion: 3, CatalogueHash: back.Hash()},
			refused: "version 3 of the catalogue, and this instance has version 2: give it the later one"},
	} {
		p := c.row
		err := New(next).Begin(&p)
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) || p != c.row {
				t.Errorf("%s: %v, and %+v of the row", c.name, err, p)
			}
			continue
		}
		if err != nil || p.PassDue() != c.pass || p.PassCursor != c.behind {
			t.Errorf("%s: a pass is due: %t, behind %q (%v), want %t, behind %q", c.name, p.PassDue(), p.PassCursor, err, c.pass, c.behind)
		}
		if p.CatalogueVersion != 2 || p.CatalogueHash != next.Hash() || p.Clock != c.row.Clock || p.Cursor != c.row.Cursor {
			t.Errorf("%s: it becomes %+v", c.name, p)
		}
	}
}

// TestOverKeepsTheCatalogue: the end of a tick forgets its cursor and nothing
// else, and a pass that waited for it is due.
func TestOverKeepsTheCatalogue(t *testing.T) {
	p := Partition{Clock: 5, Cursor: "entry", CatalogueVersion: 2, CatalogueHash: "h", Pass: true, PassCursor: "b"}
	if p.PassDue() {
		t.Error("a pass is due in the middle of a tick")
	}
	p.Over(Interval{after: 5, to: 7})
	if want := (Partition{Clock: 7, CatalogueVersion: 2, CatalogueHash: "h", Pass: true, PassCursor: "b"}); p != want {
		t.Errorf("after a tick %+v, want %+v", p, want)
	}
	if !p.PassDue() {
		t.Error("no pass is due after the tick that it waited for")
	}
	p.Passed("c")
	p.EndPass()
	if want := (Partition{Clock: 7, CatalogueVersion: 2, CatalogueHash: "h"}); p != want {
		t.Errorf("after a pass %+v, want %+v", p, want)
	}
}
