package pieces

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestCopiesStayApart: what was copied stays as it is until Reset, whatever comes
// after it and whatever its owner appends to it; then its memory is used again.
func TestCopiesStayApart(t *testing.T) {
	p := New[byte](64)
	var first *byte
	for round := range 3 {
		var copies [][]byte
		for n := range 200 {
			copies = append(copies, Copy(&p, strings.Repeat(fmt.Sprint(n%10), n%20)))
		}
		if at := &copies[1][0]; first != nil && at != first {
			t.Errorf("round %d takes other memory", round)
		} else {
			first = at
		}
		_ = append(copies[1], "more"...)
		for n, c := range copies {
			if want := bytes.Repeat([]byte(fmt.Sprint(n%10)), n%20); !bytes.Equal(c, want) || c == nil {
				t.Fatalf("copy %d is %q, want %q", n, c, want)
			}
		}
		p.Reset()
	}
	if len(p.all) > piecesMax {
		t.Errorf("%d pieces are kept", len(p.all))
	}
}

// TestOneIsZero: an element that was used before is as new.
func TestOneIsZero(t *testing.T) {
	p := New[int](4)
	for range 3 {
		for n := range 10 {
			one := p.One()
			if *one != 0 {
				t.Fatalf("element %d is %d", n, *one)
			}
			*one = n + 1
		}
		p.Reset()
	}
}
