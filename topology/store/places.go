package store

import (
	"encoding/binary"

	"github.com/edsrzf/mmap-go"
)

// places has the place of the newest version of each row in memory, by the hash
// of its key: a table with linear probing, outside Go's heap as the rows are. A
// row is found with two looks into memory, one here and one where it lies, which
// is what most of the time goes into once there are more rows than the
// processor's caches hold.
//
// Keys are not here: who looks for one compares those of the rows with its hash.
type places struct {
	slots mmap.MMap // of slotBytes, as many as a power of two; nil: none yet
	rows  int
}

const (
	// A slot is the hash and the place, of 64 bits each, both little-endian. Place
	// 0, where no version ever is, is a slot that is free.
	slotBytes = 16
	slotsMin  = 256
	// The table doubles when three quarters of it are taken, and is halved when
	// less than a quarter is.
	fullOf4   = 3
	sparseOf4 = 1
)

func (t *places) bytes() int64 { return int64(len(t.slots)) }

func (t *places) count() int { return len(t.slots) / slotBytes }

func (t *places) at(slot int) (hash uint64, at place) {
	b := t.slots[slot*slotBytes : (slot+1)*slotBytes]
	return binary.LittleEndian.Uint64(b), place(binary.LittleEndian.Uint64(b[8:]))
}

func (t *places) set(slot int, hash uint64, at place) {
	b := t.slots[slot*slotBytes : (slot+1)*slotBytes]
	binary.LittleEndian.PutUint64(b, hash)
	binary.LittleEndian.PutUint64(b[8:], uint64(at))
}

// home is where a hash is looked for first, and after where next.
func (t *places) home(hash uint64) int { return int(hash) & (t.count() - 1) }

func (t *places) after(slot int) int { return (slot + 1) & (t.count() - 1) }

// reserve makes room for one more row. Slots are others then.
func (t *places) reserve() {
	if count := t.count(); (t.rows+1)*4 > count*fullOf4 {
		t.resize(max(slotsMin, 2*count))
	}
}

// shrink gives back what rows that were removed have left. Slots are others
// then.
func (t *places) shrink() {
	count := t.count()
	for count > slotsMin && t.rows*4 < count*sparseOf4 {
		count /= 2
	}
	if count < t.count() {
		t.resize(count)
	}
}

func (t *places) resize(count int) {
	old := *t
	t.slots = mapped(count * slotBytes)
	for slot := range old.count() {
		if hash, at := old.at(slot); at != 0 {
			to := t.home(hash)
			for _, taken := t.at(to); taken != 0; _, taken = t.at(to) {
				to = t.after(to)
			}
			t.set(to, hash, at)
		}
	}
	old.free()
}

// slot finds the slot of a version that is the newest of its row; none if it is
// not.
func (t *places) slot(hash uint64, of place) (slot int, is bool) {
	for slot = t.home(hash); ; slot = t.after(slot) {
		switch _, at := t.at(slot); at {
		case of:
			return slot, true
		case 0:
			return 0, false
		}
	}
}

// remove frees a slot, and moves up those that were put behind it since it was
// taken.
func (t *places) remove(slot int) {
	for next := t.after(slot); ; next = t.after(next) {
		hash, at := t.at(next)
		if at == 0 {
			break
		}
		mask := t.count() - 1
		if (next-t.home(hash))&mask >= (next-slot)&mask {
			t.set(slot, hash, at)
			slot = next
		}
	}
	t.set(slot, 0, 0)
	t.rows--
}

func (t *places) free() {
	if t.slots != nil {
		unmap(t.slots)
	}
}
