// Package pieces is memory for what is made in one transaction and not needed
// after it. The next transaction uses it again: records and rows come by the ten
// thousand, and would be most of the garbage.
package pieces

const (
	// piecesMax are kept: what a large transaction needed more is given back.
	piecesMax = 32
	// shareMax is the part of a piece that may be taken at once: more would leave
	// too much of the last one unused, and gets memory of its own.
	shareMax = 8
)

// Of is memory for elements, in pieces of one capacity that are filled one after
// the other. It is for one goroutine at a time.
type Of[T any] struct {
	capacity int
	all      [][]T
	used     int // of all, that in hand not counted
}

// New takes memory for so many elements at once.
func New[T any](capacity int) Of[T] { return Of[T]{capacity: capacity} }

// One gives the place of a zero element.
func (p *Of[T]) One() *T {
	var zero T
	piece := p.next(1)
	*piece = append(*piece, zero)
	return &(*piece)[len(*piece)-1]
}

// next gives the piece in hand if it has room for so many, or another one.
func (p *Of[T]) next(many int) *[]T {
	if p.used < len(p.all) && cap(p.all[p.used])-len(p.all[p.used]) < many {
		p.used++
	}
	if p.used == len(p.all) {
		p.all = append(p.all, make([]T, 0, p.capacity))
	}
	return &p.all[p.used]
}

// Reset makes everything free: nobody reads it any more.
func (p *Of[T]) Reset() {
	if len(p.all) > piecesMax {
		clear(p.all[piecesMax:])
		p.all = p.all[:piecesMax]
	}
	for i := range p.all {
		p.all[i] = p.all[i][:0]
	}
	p.used = 0
}

// Copy copies a text into memory; the copy of an empty one is empty, and not nil.
func Copy[T string | []byte](p *Of[byte], from T) []byte {
	if len(from) > p.capacity/shareMax {
		return append(make([]byte, 0, len(from)), from...)
	}
	piece := p.next(len(from))
	begin := len(*piece)
	*piece = append(*piece, from...)
	return (*piece)[begin:len(*piece):len(*piece)]
}
