package kafka

import "github.com/twmb/franz-go/pkg/kgo"

const (
	// roomRecords and roomBytes are the size of a piece of memory.
	roomRecords = 128
	roomBytes   = 64 << 10
	// roomPiecesMax are kept of each kind: what a large transaction needed more
	// is given back.
	roomPiecesMax = 32
	// roomShareMax is the largest copy that shares a piece: a larger one would
	// leave too much of the last piece unused.
	roomShareMax = roomBytes / 8
)

// room is memory for what is produced of one partition in a transaction. When
// that is over everything was delivered, and the next one uses the memory again:
// records come by the ten thousand, and would be most of the garbage. For one
// goroutine at a time.
type room struct {
	records pieces[kgo.Record]
	bytes   pieces[byte]
}

// pieces are slices of one capacity that are filled one after the other.
type pieces[T any] struct {
	all  [][]T
	used int // of all, that in hand not counted
}

// next gives the piece in hand if it has room for so many, or another one.
func (p *pieces[T]) next(many, capacity int) *[]T {
	if p.used < len(p.all) && cap(p.all[p.used])-len(p.all[p.used]) < many {
		p.used++
	}
	if p.used == len(p.all) {
		p.all = append(p.all, make([]T, 0, capacity))
	}
	return &p.all[p.used]
}

func (p *pieces[T]) reset() {
	if len(p.all) > roomPiecesMax {
		clear(p.all[roomPiecesMax:])
		p.all = p.all[:roomPiecesMax]
	}
	for i := range p.all {
		p.all[i] = p.all[i][:0]
	}
	p.used = 0
}

// reset makes everything free.
func (r *room) reset() {
	r.records.reset()
	r.bytes.reset()
}

// record gives an empty record.
func (r *room) record() *kgo.Record {
	piece := r.records.next(1, roomRecords)
	*piece = append(*piece, kgo.Record{})
	return &(*piece)[len(*piece)-1]
}

// copyIn copies into the room; the copy of nothing is empty, and not nil.
func copyIn[T string | []byte](r *room, from T) []byte {
	if len(from) > roomShareMax {
		return append([]byte{}, from...)
	}
	piece := r.bytes.next(len(from), roomBytes)
	begin := len(*piece)
	*piece = append(*piece, from...)
	return (*piece)[begin:len(*piece):len(*piece)]
}
