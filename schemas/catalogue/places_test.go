package catalogue

import (
	"fmt"
	"strings"
	"testing"
)

// As many codes as a catalogue may have are found, though all share a slot, and
// no other is.
func TestPlacesOfCodesThatShareASlot(t *testing.T) {
	var p places
	code := func(i int) string { return fmt.Sprintf("A%03dBCDEF", i) } // sampled are A, B and F
	for i := range kindsMax {
		p.add(code(i))
	}
	if slotOf(code(1)) != slotOf(code(255)) {
		t.Fatal("the codes do not share a slot")
	}
	for i := range kindsMax {
		if place, known := p.find(code(i)); !known || place != i {
			t.Fatalf("%s has place %d (%v), want %d", code(i), place, known, i)
		}
	}
	for _, other := range []string{"", "A", code(kindsMax), strings.Repeat("X", 300)} {
		if place, known := p.find(other); known {
			t.Errorf("%q, which was not added, has place %d", other, place)
		}
	}
}
