package store

import (
	"fmt"

	"github.com/edsrzf/mmap-go"
)

// segment is a piece of memory outside Go's heap which versions of rows fill
// from the front.
type segment struct {
	memory mmap.MMap
	number int    // of memory.segments
	age    uint64 // of two segments the older has the lower one
	end    int    // of what was appended
	live   int64  // bytes of the versions in it that are the newest of their row

	newest, second uint32 // the two last epochs of its versions
}

func newSegment(number int, age uint64, bytes int) *segment {
	return &segment{memory: mapped(bytes), number: number, age: age}
}

// sealed notes the epoch of a version that was appended.
func (s *segment) sealed(epoch uint32) {
	switch {
	case epoch > s.newest:
		s.newest, s.second = epoch, s.newest
	case epoch < s.newest && epoch > s.second:
		s.second = epoch
	}
}

// has says whether there may be versions of an epoch, which is the last or the
// one before it.
func (s *segment) has(epoch uint32) bool { return s.newest == epoch || s.second == epoch }

func (s *segment) free() { unmap(s.memory) }

// mapped is memory outside Go's heap, of zeros. It panics if the machine has
// none, as Go does.
func mapped(bytes int) mmap.MMap {
	memory, err := mmap.MapRegion(nil, bytes, mmap.COPY, mmap.ANON, 0) // COPY: this process's own
	if err != nil {
		panic(fmt.Sprintf("store: get %d bytes of memory for rows: %v", bytes, err))
	}
	return memory
}

func unmap(memory mmap.MMap) {
	bytes := len(memory)
	if err := memory.Unmap(); err != nil {
		panic(fmt.Sprintf("store: give back %d bytes of memory for rows: %v", bytes, err))
	}
}
