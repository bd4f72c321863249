package store

import (
	"encoding/binary"
	"hash/maphash"
	"math"
)

// memory is what a partition has of its committed rows without asking Pebble:
// all that are pending or being written, and of the others those that were
// written or loaded last, as far as its share reaches.
//
// It is a log. A row that changes is appended, and a table has the place of its
// newest version; the older one is dead. A segment of which much is dead is
// given back once its living rows are appended again, so that memory costs the
// bytes of the living and a sixth more; if the living are too many, those of the
// oldest segment that Pebble has are forgotten. It lies outside Go's heap, which
// would go over all of it in each collection and keep as much again free. The
// idea is that of Rumble, Kejriwal and Ousterhout, "Log-structured memory for
// DRAM-based storage", FAST 2014.
//
// The partition's goroutine reads it without a lock. Whoever changes it, or
// freezes it, holds Partition.mu.
type memory struct {
	seed   maphash.Seed
	mask   uint64 // of hashes; a test leaves few
	places places // of the newest version of each row

	segments []*segment // by number; nil: that number is free, as 0 is always
	head     *segment   // takes what is appended; nil: none yet
	empty    *segment   // was given back, for when the next one is needed; or nil
	used     int64      // bytes of segments
	live     int64      // bytes of newest versions
	whole    bool       // there is no row but those in memory
	lost     bool       // a row was forgotten

	epoch   uint32  // counts freezes; rows of this one are pending
	pending []place // the newest version of each row that has changed in this epoch
	bytes   int64   // of those
	moved   bool    // the position has moved in this epoch
	written uint32  // the last epoch that Pebble has
	writing int64   // bytes of the one before this, until Pebble has it
	spare   []place // room for pending, of the last epoch that was written
}

// place is where a version begins: the segment's number and the offset there.
type place uint64

const (
	// A version is its header, of four numbers of 32 bits, its key and its value.
	atKeyBytes   = 0 // deletedFlag is set in a deletion
	atValueBytes = 4
	atEpoch      = 8  // in which it was sealed
	atPending    = 12 // its place in the list of pending ones of its epoch
	headerBytes  = 16

	deletedFlag = 1 << 31

	// utilization is how much of a memory lives: more of it would cost copying
	// rows more often.
	utilization = 0.85
	// crowded is a segment that is not worth copying.
	crowded = 0.95
	// A share of memory has segmentsOfShare segments, if they are neither larger
	// nor smaller than these.
	segmentsOfShare = 16
	segmentBytesMin = 4 << 10
	segmentBytesMax = 1 << 20
	// slackSegments are not trimmed: one that is being filled, and one of which
	// little is dead.
	slackSegments = 2
	// trimBytes are gone over for each byte that was sealed, at most: enough to
	// make room, and a bound where nothing is to be gained.
	trimBytes = 8
)

func newMemory(whole bool) *memory {
	return &memory{seed: maphash.MakeSeed(), mask: math.MaxUint64, segments: make([]*segment, 1), whole: whole, epoch: 1}
}

// version is one that lies in memory. Its bytes are valid until the memory is
// trimmed, and those of a version that is being written until it is.
type version struct {
	key, value []byte
	deleted    bool
	epoch      uint32
	pending    int
}

func (v *version) bytes() int64 { return int64(headerBytes + len(v.key) + len(v.value)) }

// row is the value as Partition has it: nil if it is deleted.
func (v *version) row() []byte {
	if v.deleted {
		return nil
	}
	return v.value
}

// versionAt reads a version out of a list of segments.
func versionAt(segments []*segment, at place) version {
	return segments[at>>32].version(uint32(at))
}

func (s *segment) version(at uint32) version {
	b := s.memory[at:]
	flags, valueBytes := binary.LittleEndian.Uint32(b[atKeyBytes:]), binary.LittleEndian.Uint32(b[atValueBytes:])
	from := uint32(headerBytes)
	to := from + flags&^deletedFlag
	return version{
		key: b[from:to:to], value: b[to : to+valueBytes : to+valueBytes], deleted: flags&deletedFlag != 0,
		epoch: binary.LittleEndian.Uint32(b[atEpoch:]), pending: int(binary.LittleEndian.Uint32(b[atPending:])),
	}
}

func (m *memory) hash(key string) uint64 { return maphash.String(m.seed, key) & m.mask }

// bytesTaken is the memory that it takes outside Go's heap.
func (m *memory) bytesTaken() int64 { return m.used + m.places.bytes() }

// find gives the newest version of a row.
func (m *memory) find(key string) (v version, is bool) {
	if m.places.rows == 0 {
		return version{}, false
	}
	_, at := m.look(m.hash(key), key)
	if at == 0 {
		return version{}, false
	}
	return versionAt(m.segments, at), true
}

// look gives the slot of a row and the place of its newest version; if it is not
// in memory, a free slot for it and 0.
func (m *memory) look(hash uint64, key string) (slot int, at place) {
	for slot = m.places.home(hash); ; slot = m.places.after(slot) {
		has, at := m.places.at(slot)
		if at == 0 || has == hash && m.isOf(at, key) {
			return slot, at
		}
	}
}

// isOf says whether a version is one of a row.
func (m *memory) isOf(at place, key string) bool {
	v := versionAt(m.segments, at)
	return string(v.key) == key
}

// all gives the newest version of every row, to a range statement.
func (m *memory) all(yield func(version) bool) {
	for slot := range m.places.count() {
		if _, at := m.places.at(slot); at != 0 && !yield(versionAt(m.segments, at)) {
			return
		}
	}
}

// changed says whether a row has changed after an epoch.
func (m *memory) changed(key string, after uint32) bool {
	v, is := m.find(key)
	return is && v.epoch > after
}

// put makes value, or a deletion if it is nil, the newest version of a row,
// which is pending then. A segment that is needed for it has segmentBytes.
func (m *memory) put(key string, value []byte, segmentBytes int) {
	pending, hash := len(m.pending), m.hash(key)
	m.places.reserve()
	slot, old := m.look(hash, key)
	if old == 0 {
		m.places.rows++
	} else {
		v := versionAt(m.segments, old)
		m.bury(old, v.bytes())
		if v.epoch == m.epoch {
			pending = v.pending
			m.bytes -= v.bytes()
		}
	}
	at, bytes := m.write(key, value, m.epoch, pending, segmentBytes)
	m.bytes += bytes
	if pending == len(m.pending) {
		m.pending = append(m.pending, at)
	} else {
		m.pending[pending] = at
	}
	m.places.set(slot, hash, at)
}

// add takes a row that Pebble has, unless memory has it.
func (m *memory) add(key string, value []byte, segmentBytes int) {
	hash := m.hash(key)
	m.places.reserve()
	if slot, old := m.look(hash, key); old == 0 {
		at, _ := m.write(key, value, 0, 0, segmentBytes)
		m.places.rows++
		m.places.set(slot, hash, at)
	}
}

// write appends a version.
func (m *memory) write(key string, value []byte, epoch uint32, pending, segmentBytes int) (place, int64) {
	at, room := m.room(headerBytes+len(key)+len(value), epoch, segmentBytes)
	flags := uint32(len(key))
	if value == nil {
		flags |= deletedFlag
	}
	binary.LittleEndian.PutUint32(room[atKeyBytes:], flags)
	binary.LittleEndian.PutUint32(room[atValueBytes:], uint32(len(value)))
	binary.LittleEndian.PutUint32(room[atEpoch:], epoch)
	binary.LittleEndian.PutUint32(room[atPending:], uint32(pending))
	copy(room[headerBytes:], key)
	copy(room[headerBytes+len(key):], value)
	return at, int64(len(room))
}

// bury counts a version as dead.
func (m *memory) bury(at place, bytes int64) {
	m.live -= bytes
	m.segments[at>>32].live -= bytes
}

// room gives the place behind all versions, and counts what comes there as
// living.
func (m *memory) room(bytes int, epoch uint32, segmentBytes int) (at place, room []byte) {
	if m.head == nil || len(m.head.memory)-m.head.end < bytes {
		m.extend(max(segmentBytes, bytes))
	}
	s := m.head
	at, room = place(s.number)<<32|place(s.end), s.memory[s.end:s.end+bytes]
	s.end += bytes
	s.live += int64(bytes)
	s.sealed(epoch)
	m.live += int64(bytes)
	return at, room
}

// extend begins a segment, in memory that was used before if there is some: the
// machine clears what is new.
func (m *memory) extend(bytes int) {
	number := 1 // no version is at place 0
	for number < len(m.segments) && m.segments[number] != nil {
		number++
	}
	if number == len(m.segments) {
		m.segments = append(m.segments, nil)
	}
	age := uint64(1)
	if m.head != nil {
		age = m.head.age + 1
	}
	if m.empty != nil && len(m.empty.memory) >= bytes {
		m.head, m.empty = &segment{memory: m.empty.memory, number: number, age: age}, nil
	} else {
		m.head = newSegment(number, age, bytes)
	}
	m.segments[number] = m.head
	m.used += int64(len(m.head.memory))
}

// trim gives back what is dead, and what is too much for a share, having gone
// over some of it: in proportion to what was sealed since the last trim.
func (m *memory) trim(share, sealed int64, segmentBytes int) {
	for budget := trimBytes * sealed; budget > 0; {
		live, room := float64(m.live), float64(share-m.places.bytes())
		bound := min(float64(m.bytes+m.writing), live) // cannot be forgotten
		tight := live > utilization*room && bound < utilization*live
		most := live / utilization
		if tight {
			most = room
		}
		if float64(m.used) <= most+slackSegments*float64(segmentBytes) {
			return
		}
		victim := m.victim(tight)
		if victim == nil || !tight && float64(victim.live) > crowded*float64(victim.end) {
			return // the dead lie where the writer reads
		}
		budget -= int64(victim.end)
		m.giveBack(victim, tight, segmentBytes)
		m.places.shrink()
	}
}

// victim chooses the segment to be given back: the oldest, or the one with the
// fewest living rows. It is not one that the writer reads.
func (m *memory) victim(oldest bool) (best *segment) {
	for _, s := range m.segments {
		switch {
		case s == nil || s == m.head || s.has(m.epoch-1) && m.written < m.epoch-1:
		case best == nil, oldest && s.age < best.age, !oldest && s.live < best.live:
			best = s
		}
	}
	return best
}

// giveBack empties a segment. Its living rows are appended again, or, if they
// are to be forgotten, only those that Pebble has not. Of deletions Pebble need
// not be reminded.
func (m *memory) giveBack(s *segment, forget bool, segmentBytes int) {
	for at := 0; at < s.end && s.live > 0; {
		v, here := s.version(uint32(at)), place(s.number)<<32|place(at)
		bytes := s.memory[at : at+int(v.bytes())]
		at += len(bytes)
		hash := maphash.Bytes(m.seed, v.key) & m.mask
		slot, newest := m.places.slot(hash, here)
		if !newest {
			continue // dead
		}
		m.bury(here, v.bytes())
		if (forget || v.deleted) && v.epoch <= m.written {
			m.lost, m.whole = m.lost || !v.deleted, m.whole && v.deleted
			m.places.remove(slot)
			continue
		}
		moved, room := m.room(len(bytes), v.epoch, segmentBytes)
		copy(room, bytes)
		m.places.set(slot, hash, moved)
		if v.epoch == m.epoch {
			m.pending[v.pending] = moved
		}
	}
	m.segments[s.number] = nil
	m.used -= int64(len(s.memory))
	if len(s.memory) == segmentBytes {
		s, m.empty = m.empty, s // one of another size is of no use any more
	}
	if s != nil {
		s.free()
	}
}

// freeze begins an epoch. It gives the versions of the last one, and the
// segments in which they stay until complete.
func (m *memory) freeze() (versions []place, segments []*segment) {
	versions = m.pending
	m.pending, m.spare = m.spare[:0], nil
	m.writing, m.bytes, m.moved = m.bytes, 0, false
	m.epoch++
	return versions, m.segments
}

// complete says that Pebble has what freeze gave.
func (m *memory) complete(versions []place) {
	m.written, m.writing, m.spare = m.epoch-1, 0, versions
}

// free gives everything back.
func (m *memory) free() {
	for _, s := range append(m.segments, m.empty) {
		if s != nil {
			s.free()
		}
	}
	m.places.free()
	*m = *newMemory(false)
}
