package certify

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// small gives the smallest catalogue of a version; of one version with
// different payee limits there are several.
func small(t testing.TB, version, payeeLimit int) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Load("small.yaml", fmt.Appendf(nil, `
version: %d
payee_limit: %d
departments: [{code: D, name: {zh: 部, en: D}}]
benefits: [{code: B, name: {zh: 津贴, en: B}, department: D}]
evidence_kinds: [{code: K, name: {zh: 证, en: K}, source: D, strength: strong, assurance: A}]
`, version, payeeLimit))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What a partition's row says and what this program has decide whether there
// is a pass, and from where.
func TestBegin(t *testing.T) {
	first, next, again := small(t, 1, 3), small(t, 2, 3), small(t, 2, 4)
	held := func(c *catalogue.Catalogue, pass bool, cursor string) Partition {
		return Partition{Clock: 7, CatalogueVersion: c.Version, CatalogueHash: c.Hash(), Pass: pass, Cursor: cursor}
	}
	for name, c := range map[string]struct {
		held, want Partition
		now        *catalogue.Catalogue
		resend     bool
	}{
		"nothing is written down":             {Partition{Clock: 7}, held(first, true, ""), first, false},
		"a clock of before there were hashes": {Partition{Clock: 7, CatalogueVersion: 1}, held(first, true, ""), first, false},
		"the same catalogue":                  {held(next, false, ""), held(next, false, ""), next, false},
		"a later one":                         {held(first, false, ""), held(next, true, ""), next, false},
		"another of the same version":         {held(next, false, ""), held(again, true, ""), again, false},
		"everything is to be sent again":      {held(next, false, ""), held(next, true, ""), next, true},
		"a pass under way":                    {held(next, true, "c7"), held(next, true, "c7"), next, false},
		"one under way, to be sent again":     {held(next, true, "c7"), held(next, true, ""), next, true},
		"one under way under another":         {held(next, true, "c7"), held(again, true, ""), again, false},
	} {
		p := c.held
		pass, err := p.Begin(c.now, c.resend)
		if err != nil || pass != c.want.Pass || p != c.want {
			t.Errorf("%s: pass %t, %+v, %v, want %+v", name, pass, p, err, c.want)
		}
	}
	p := held(next, true, "c7")
	p.Reach("c8")
	if p.End(); p != held(next, false, "") {
		t.Errorf("a pass has ended as %+v", p)
	}
	for _, pass := range []bool{false, true} {
		p := held(next, pass, "")
		began, err := p.Begin(first, true)
		if began || err == nil || !strings.Contains(err.Error(), "version 2") || !strings.Contains(err.Error(), "--catalogue") || p != held(next, pass, "") {
			t.Errorf("under an earlier version: pass %t, %v, %+v", began, err, p)
		}
	}
}

// A pass that does not go forward, or is none, is a mistake of the program, and
// is told without the id.
func TestReachGoesForward(t *testing.T) {
	for name, p := range map[string]Partition{
		"backwards": {Pass: true, Cursor: "c2"}, "the same": {Pass: true, Cursor: "c1"}, "no pass": {},
	} {
		func() {
			defer func() {
				if said := fmt.Sprint(recover()); !strings.Contains(said, "order of their ids") || strings.Contains(said, "c1") {
					t.Errorf("%s: %s", name, said)
				}
			}()
			p.Reach("c1")
		}()
	}
}

// passing is a partition whose program is killed again and again.
type passing struct {
	citizens []string // in the order of bytes
	row      []byte   // the partition's own, as committed
	log      []string // "begun" and the citizens decided since, as committed
}

// start runs the program once, until it is killed or nothing is left to do. It
// tells whether it was refused.
func (w *passing) start(t *rapid.T, c *catalogue.Catalogue, resend, killable bool) (refused bool) {
	p := Partition{Clock: NoTick}
	if w.row != nil {
		row, err := DecodeRow(w.row)
		if err != nil {
			t.Fatal(err)
		}
		p = *row.Partition
	}
	before := p
	pass, err := p.Begin(c, resend)
	if err != nil {
		return true
	}
	log := slices.Clone(w.log)
	if pass && (!before.Pass || before.CatalogueHash != p.CatalogueHash || resend) {
		log = append(log, "begun")
	}
	next, _ := slices.BinarySearch(w.citizens, p.Cursor+"\x00")
	for p.Pass {
		batch := min(rapid.IntRange(1, 4).Draw(t, "batch"), len(w.citizens)-next)
		for range batch {
			log = append(log, w.citizens[next])
			p.Reach(w.citizens[next])
			next++
		}
		if next == len(w.citizens) {
			p.End()
		}
		if killable && rapid.IntRange(0, 3).Draw(t, "killed") == 0 {
			return false // before the commit: all that was staged is lost
		}
		w.log, w.row = slices.Clone(log), AppendRow(nil, &Row{Partition: &p})
	}
	return false
}

// TestLawPassIsExactlyOnce: however often the program is killed, and started
// under which catalogues, when nothing is left to do each citizen has been
// decided exactly once since the last pass began, in order, under the last
// catalogue that was not refused.
func TestLawPassIsExactlyOnce(t *testing.T) {
	all := []*catalogue.Catalogue{small(t, 1, 3), small(t, 2, 3), small(t, 2, 4), small(t, 3, 3)}
	rapid.Check(t, func(t *rapid.T) {
		w := &passing{}
		for i := range rapid.IntRange(0, 9).Draw(t, "citizens") {
			w.citizens = append(w.citizens, fmt.Sprint("c", i))
		}
		for range rapid.IntRange(0, 8).Draw(t, "starts") {
			w.start(t, rapid.SampledFrom(all).Draw(t, "catalogue"), rapid.Bool().Draw(t, "resend"), true)
		}
		last := rapid.SampledFrom(all).Draw(t, "last catalogue")
		held := int64(0)
		if w.row != nil {
			row, _ := DecodeRow(w.row)
			held = row.Partition.CatalogueVersion
		}
		if refused := w.start(t, last, false, false); refused != (held > last.Version) {
			t.Fatalf("version %d over version %d is refused: %t", last.Version, held, refused)
		} else if refused {
			return
		}
		row, err := DecodeRow(w.row)
		if err != nil || *row.Partition != (Partition{Clock: NoTick, CatalogueVersion: last.Version, CatalogueHash: last.Hash()}) {
			t.Fatalf("in the end the partition says %+v, %v", row.Partition, err)
		}
		begun := len(w.log) - 1
		for begun >= 0 && w.log[begun] != "begun" {
			begun--
		}
		if begun < 0 || !slices.Equal(w.log[begun+1:], w.citizens) {
			t.Fatalf("of %v were decided %v", w.citizens, w.log)
		}
	})
}
