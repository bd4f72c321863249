package store

import (
	"fmt"
	"unsafe"

	"github.com/edsrzf/mmap-go"
)

// hugePageBytes is a page that the processor finds without walking through a
// table of small ones, which costs as much as the row that lies in it.
const hugePageBytes = 2 << 20

// segment is a piece of memory outside Go's heap which versions of rows fill
// from the front.
type segment struct {
	memory []byte
	mapped mmap.MMap // what memory is a part of
	number int       // of memory.segments
	age    uint64    // segments that were begun before it, of those that are
	end    int       // of what was appended
	live   int64     // bytes of the versions in it that are the newest of their row

	newest, second uint32 // the two last epochs of its versions
}

// newSegment panics if the machine has no memory, as Go does. Memory of whole
// huge pages begins at one; what is mapped before and behind it is never
// touched, and so takes nothing.
func newSegment(number int, age uint64, bytes int) *segment {
	spare := 0
	if bytes%hugePageBytes == 0 {
		spare = hugePageBytes
	}
	mapped, err := mmap.MapRegion(nil, bytes+spare, mmap.COPY, mmap.ANON, 0) // COPY: this process's own
	if err != nil {
		panic(fmt.Sprintf("store: get %d bytes of memory for rows: %v", bytes, err))
	}
	memory := []byte(mapped)
	if spare > 0 {
		from := -uintptr(unsafe.Pointer(unsafe.SliceData(memory))) % hugePageBytes
		memory = memory[from:]
	}
	s := &segment{memory: memory[:bytes:bytes], mapped: mapped, number: number, age: age}
	if spare > 0 {
		useHugePages(s.memory)
	}
	return s
}

// again is the same memory as a new segment.
func (s *segment) again(number int, age uint64) *segment {
	return &segment{memory: s.memory, mapped: s.mapped, number: number, age: age}
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

func (s *segment) free() {
	if err := s.mapped.Unmap(); err != nil {
		panic(fmt.Sprintf("store: give back %d bytes of memory for rows: %v", len(s.memory), err))
	}
}
