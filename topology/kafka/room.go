package kafka

import "github.com/twmb/franz-go/pkg/kgo"

const (
	// roomRecords and roomBytes are the size of a piece of memory.
	roomRecords = 128
	roomBytes   = 64 << 10
	// roomShareMax is the largest copy that shares a piece: a larger one would
	// leave too much of the last piece unused.
	roomShareMax = roomBytes / 8
)

// room is memory for what one goroutine produces. It is made in pieces for many
// records, since that costs less than an allocation for each; a piece is free
// when everything in it was delivered.
type room struct {
	records []kgo.Record
	bytes   []byte
}

func (r *room) record() *kgo.Record {
	if len(r.records) == 0 {
		r.records = make([]kgo.Record, roomRecords)
	}
	record := &r.records[0]
	r.records = r.records[1:]
	return record
}

// copyIn copies into the room; what is empty remains not nil.
func copyIn[T string | []byte](r *room, from T) []byte {
	if len(from) > roomShareMax {
		return append([]byte{}, from...)
	}
	if cap(r.bytes)-len(r.bytes) < len(from) || r.bytes == nil {
		r.bytes = make([]byte, 0, roomBytes)
	}
	begin := len(r.bytes)
	r.bytes = append(r.bytes, from...)
	return r.bytes[begin:len(r.bytes):len(r.bytes)]
}
