package store

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/errors"
	"github.com/cockroachdb/pebble/v2"
	"github.com/lovoo/goka/storage"

	"github.com/vouch-engine/vouch/topology/pieces"
)

const (
	// stagedKept is how many rows the map of staged rows may have had and always
	// be used again. Emptying a map costs as much as it has ever held: a larger
	// one is given up when a transaction has used less than a stagedUsed-th.
	stagedKept = 8192
	stagedUsed = 8
	// crowdingPart of a share may be pending in one partition while all together
	// have more than they should, by such a part of RowBytes: less is what trimming
	// swings by.
	crowdingPart = 8
	// roomBytes are taken at once for values of staged rows.
	roomBytes = 64 << 10
)

// Partition is one partition of the table. It is Goka's storage, and what the
// runtime of transactions calls a table.
//
// One goroutine calls it at a time. Values that it is given it copies; those that
// it gives are not changed by who has them.
type Partition struct {
	store  *Store
	number int32

	staged   map[string][]byte // nil: deleted
	room     pieces.Of[byte]   // has the values of staged
	peak     int               // most rows that staged has held
	position int64
	released bool
	key      []byte // scratch, begins with the prefix of rows
	outlook  outlook
	load     load

	// mu guards position, and what is changed of memory: Seal fills it, the
	// writer freezes and completes it.
	mu     sync.Mutex
	memory *memory
}

var _ storage.Storage = (*Partition)(nil)

// recent looks for a row without asking Pebble; a nil value is a row that there
// is not.
func (p *Partition) recent(key string) (value []byte, is bool) {
	if value, is = p.staged[key]; is {
		return value, true
	}
	if v, is := p.memory.find(key); is {
		return v.row(), true
	}
	return nil, p.memory.whole
}

// Get gives the row of a key, nil if there is none. It is valid until the next
// Seal, Restore, Release or Close of the store.
func (p *Partition) Get(key string) ([]byte, error) {
	if err := p.store.failure(); err != nil {
		return nil, err
	}
	if value, is := p.recent(key); is {
		return value, nil
	}
	var value []byte
	err := p.look(key, func(found []byte) { value = copyOf(found) })
	return value, err
}

// Has says whether there is a row of that key.
func (p *Partition) Has(key string) (bool, error) {
	if err := p.store.failure(); err != nil {
		return false, err
	}
	if value, is := p.recent(key); is {
		return value != nil, nil
	}
	has := false
	err := p.look(key, func([]byte) { has = true })
	return has, err
}

// look calls found with the row that Pebble has of the key, if there is one.
func (p *Partition) look(key string, found func(value []byte)) error {
	p.key = append(p.key[:prefixBytes], key...)
	value, closer, err := p.store.db.Get(p.key)
	if errors.Is(err, pebble.ErrNotFound) {
		return p.step()
	}
	if err != nil {
		return p.store.fail("read", err)
	}
	found(value)
	if err := closer.Close(); err != nil {
		return p.store.fail("read", err)
	}
	return p.step()
}

// GetMany gives the rows of keys, each in its key's place, nil if there is none,
// and valid as one of Get is.
// For a thousand keys and more it costs about half of what as many Gets do,
// since it asks Pebble in the order of keys, with one iterator.
func (p *Partition) GetMany(keys []string) (rows [][]byte, err error) {
	if err := p.store.failure(); err != nil {
		return nil, err
	}
	rows = make([][]byte, len(keys))
	below := make([]int, 0, len(keys)) // places of the keys that Pebble is asked for
	for n, key := range keys {
		value, is := p.recent(key)
		if !is {
			below = append(below, n)
		}
		rows[n] = value
	}
	slices.SortFunc(below, func(a, b int) int { return strings.Compare(keys[a], keys[b]) })
	table, err := p.store.db.NewIter(&pebble.IterOptions{LowerBound: appendPrefix(nil, p.number, kindRow), UpperBound: appendPrefix(nil, p.number, kindRow+1)})
	if err != nil {
		return nil, p.store.fail("read", err)
	}
	for _, n := range below {
		p.key = append(p.key[:prefixBytes], keys[n]...)
		if table.SeekPrefixGE(p.key) { // the whole key is the prefix
			rows[n] = copyOf(table.Value())
		}
		if err = table.Error(); err != nil {
			break
		}
	}
	if err := errors.Join(err, table.Close()); err != nil {
		return nil, p.store.fail("read", err)
	}
	return rows, p.store.failure()
}

// copyOf is never nil, which would mean deleted.
func copyOf(value []byte) []byte { return append(make([]byte, 0, len(value)), value...) }

// Set stages a copy of a row; nil deletes the row, as it does in the changelog.
func (p *Partition) Set(key string, value []byte) error {
	if value != nil {
		value = pieces.Copy(&p.room, value)
	}
	p.staged[key] = value
	if p.store.config.Index != nil {
		p.outlook.stage(key)
	}
	return nil
}

// Delete stages the deletion of a row.
func (p *Partition) Delete(key string) error {
	p.staged[key] = nil
	return nil
}

// Staged calls f for every row that was written since the last Seal or Drop,
// the newest version only, until it returns an error, which Staged returns; a
// nil value means deleted. Values are valid until Seal, and for ever after Drop.
func (p *Partition) Staged(f func(key string, value []byte) error) error {
	for key, value := range p.staged {
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// Drop forgets the staged rows. Who was given their values may still have them:
// a client that is being closed sends what it has.
func (p *Partition) Drop() {
	p.room = pieces.New[byte](roomBytes)
	p.unstage()
}

func (p *Partition) unstage() {
	p.outlook.settled()
	p.peak = max(p.peak, len(p.staged))
	if p.peak > stagedKept && len(p.staged) < p.peak/stagedUsed {
		p.peak = 0
		p.staged = map[string][]byte{}
		return
	}
	clear(p.staged)
}

// Seal says that the log holds the staged rows; next is the changelog position
// after them. It waits while too much is pending. An error is that of an
// earlier write: the store is behind the log then, and does nothing more.
func (p *Partition) Seal(next int64) error {
	err := p.commit(next, func(put func(key string, value []byte)) {
		for key, value := range p.staged {
			put(key, value)
		}
	})
	p.unstage()
	p.room.Reset()
	return err
}

// Restore takes committed rows of the changelog, the last of a key counts, and
// a nil value deletes it; next is the position after them. The rows are the
// caller's again when it returns, or when the next one is asked for.
func (p *Partition) Restore(rows iter.Seq2[[]byte, []byte], next int64) error {
	return p.commit(next, func(put func(key string, value []byte)) {
		for key, value := range rows {
			put(string(key), value)
		}
	})
}

// commit lets fill put rows into memory and moves the position, as one, and
// relieves the store if it has become full.
func (p *Partition) commit(next int64, fill func(put func(key string, value []byte))) error {
	if p.released {
		panic(fmt.Sprintf("store: partition %d is written after its release", p.number))
	}
	if err := p.store.failure(); err != nil {
		return err
	}
	full, crowding := false, false
	p.change(func() {
		m, share := p.memory, p.store.share.Load()
		segmentBytes := segmentBytes(share)
		before, sealed := m.bytes, int64(0)
		fill(func(key string, value []byte) {
			m.put(key, value, segmentBytes)
			sealed += int64(headerBytes + len(key) + len(value))
			if p.store.config.Index != nil {
				p.outlook.add(key)
			}
		})
		m.trim(p.store.room(m.bytesTaken()), sealed, segmentBytes)
		m.moved = true
		p.position = next
		p.store.pending.Add(m.bytes - before)
		full, crowding = p.store.full(), m.bytes > share/crowdingPart && p.store.over() > p.store.config.RowBytes/crowdingPart
	})
	switch {
	case crowding:
		return p.makeRoom()
	case full:
		return p.store.relieve()
	}
	return nil
}

// makeRoom writes what is pending, so that it can be forgotten, and forgets what
// is too much. A partition that rests hereafter would keep it.
func (p *Partition) makeRoom() error {
	if err := p.store.flush(p); err != nil {
		return err
	}
	p.change(func() {
		m, share := p.memory, p.store.share.Load()
		m.trim(p.store.room(m.bytesTaken()), m.used, segmentBytes(share))
	})
	return nil
}

// change lets do change memory. The lock is given back even if it panics, or
// Close would wait for it without an end.
func (p *Partition) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.memory.bytesTaken()
	defer func() { p.store.used.Add(p.memory.bytesTaken() - before) }()
	do()
}

// Position is the changelog offset up to which, exclusive, the partition holds
// everything that was committed; 0 for one that holds nothing.
func (p *Partition) Position() int64 { return p.position }

// Empty says whether there is no row at all, staged ones included.
func (p *Partition) Empty() (bool, error) {
	if p.holds() {
		return false, p.store.failure()
	}
	rows, err := p.Iterator()
	if err != nil {
		return false, err
	}
	defer rows.Release()
	return !rows.Next(), rows.Err()
}

// holds says whether a row is staged or in memory. It seldom looks at more than
// one, since most are not deletions.
func (p *Partition) holds() bool {
	for _, value := range p.staged {
		if value != nil {
			return true
		}
	}
	for v := range p.memory.all {
		if _, restaged := p.staged[string(v.key)]; !v.deleted && !restaged {
			return true
		}
	}
	return false
}

// Release gives the partition back: what is pending is written, what is staged
// is dropped. It can be opened again afterwards, even after an error; a second
// call does nothing.
func (p *Partition) Release() error {
	if p.released {
		return nil
	}
	p.Drop()
	p.released = true
	err := p.store.flush(p)
	if err == nil { // else a write that Pebble stands still in may read it for good
		p.free()
	}
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	delete(p.store.partitions, p.number)
	p.store.divide()
	return err
}

func (p *Partition) free() { p.change(p.memory.free) }

// Open does nothing: Goka opens and closes its storage in each generation, and
// the partition's life is longer.
func (p *Partition) Open() error { return nil }

// Close does nothing, like Open.
func (p *Partition) Close() error { return nil }

// GetOffset gives the position; the default does not matter.
func (p *Partition) GetOffset(int64) (int64, error) { return p.position, nil }

// SetOffset does nothing: only what is committed moves the position.
func (p *Partition) SetOffset(int64) error { return nil }

// MarkRecovered does nothing.
func (p *Partition) MarkRecovered() error { return nil }
