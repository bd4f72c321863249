package store

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/errors"
	"github.com/cockroachdb/pebble/v2"
	"github.com/lovoo/goka/storage"
)

const (
	// stagedKept is how many rows the map of staged rows may have had and always
	// be used again. Emptying a map costs as much as it has ever held: a larger
	// one is given up when a transaction has used less than a stagedUsed-th.
	stagedKept = 8192
	stagedUsed = 8
)

// Partition is one partition of the table. It is Goka's storage, and what the
// runtime of transactions calls a table.
//
// One goroutine calls it at a time. Values that it gives or is given are shared
// with it: neither side changes them, except those of Restore.
type Partition struct {
	store  *Store
	number int32

	staged   map[string][]byte // nil: deleted
	peak     int               // most rows that staged has held
	position int64
	released bool
	key      []byte // scratch, begins with the prefix of rows
	outlook  outlook

	// mu guards position and the pending layer: Seal fills it, and another
	// partition's Seal may freeze it.
	mu sync.Mutex
	// layers are read without a lock. They may be exchanged during a read, by
	// others that hold the same rows.
	layers atomic.Pointer[layers]
}

var _ storage.Storage = (*Partition)(nil)

// layers are the committed rows above Pebble.
type layers struct {
	pending *layer
	frozen  *layer // nil, or what is being written or was written last
}

type layer struct {
	rows  map[string][]byte // the newest version; nil: deleted
	bytes int64
	moved bool // the position has moved since the layer was new
}

func newLayer(rows int) *layer { return &layer{rows: make(map[string][]byte, rows)} }

func (l *layer) put(key string, value []byte) {
	if old, is := l.rows[key]; is {
		l.bytes += int64(len(value) - len(old))
	} else {
		l.bytes += int64(len(key) + len(value) + rowOverheadBytes)
	}
	l.rows[key] = value
}

// recent looks for a row above Pebble; a nil value is a deleted row.
func (p *Partition) recent(key string) (value []byte, is bool) {
	if value, is = p.staged[key]; is {
		return value, true
	}
	l := p.layers.Load()
	if value, is = l.pending.rows[key]; is || l.frozen == nil {
		return value, is
	}
	value, is = l.frozen.rows[key]
	return value, is
}

// Get gives the row of a key, nil if there is none.
func (p *Partition) Get(key string) ([]byte, error) {
	if value, is := p.recent(key); is {
		return value, p.store.failure()
	}
	var value []byte
	err := p.look(key, func(found []byte) { value = copyOf(found) })
	return value, err
}

// Has says whether there is a row of that key.
func (p *Partition) Has(key string) (bool, error) {
	if value, is := p.recent(key); is {
		return value != nil, p.store.failure()
	}
	has := false
	err := p.look(key, func([]byte) { has = true })
	return has, err
}

// look calls found with the row that Pebble has of the key, if there is one.
func (p *Partition) look(key string, found func(value []byte)) error {
	if err := p.store.failure(); err != nil {
		return err
	}
	p.key = append(p.key[:prefixBytes], key...)
	value, closer, err := p.store.db.Get(p.key)
	if errors.Is(err, pebble.ErrNotFound) {
		return p.store.failure()
	}
	if err != nil {
		return p.store.fail("read", err)
	}
	found(value)
	if err := closer.Close(); err != nil {
		return p.store.fail("read", err)
	}
	return p.store.failure()
}

// GetMany gives the rows of keys, each in its key's place, nil if there is none.
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

// Set stages a row. The value is the store's from now on; nil deletes the row,
// as it does in the changelog.
func (p *Partition) Set(key string, value []byte) error {
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
// nil value means deleted.
func (p *Partition) Staged(f func(key string, value []byte) error) error {
	for key, value := range p.staged {
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// Drop forgets the staged rows.
func (p *Partition) Drop() {
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
	err := p.commit(next, func(pending *layer) {
		for key, value := range p.staged {
			p.put(pending, key, value)
		}
	})
	p.Drop()
	return err
}

// Restore takes committed rows of the changelog, the last of a key counts, and
// a nil value deletes it; next is the position after them. The rows are the
// caller's again when it returns, or when the next one is asked for.
func (p *Partition) Restore(rows iter.Seq2[[]byte, []byte], next int64) error {
	return p.commit(next, func(pending *layer) {
		for key, value := range rows {
			if value != nil {
				value = copyOf(value)
			}
			p.put(pending, string(key), value)
		}
	})
}

// commit lets fill put rows into the pending layer and moves the position, as
// one, and relieves the store if it has become full.
func (p *Partition) commit(next int64, fill func(pending *layer)) error {
	if p.released {
		panic(fmt.Sprintf("store: partition %d is written after its release", p.number))
	}
	if err := p.store.failure(); err != nil {
		return err
	}
	full := p.fill(next, fill)
	if full {
		return p.store.relieve()
	}
	return nil
}

// fill does it, and says whether the store is full. The lock is given back even
// if the caller's rows panic, or Close would wait for it without an end.
func (p *Partition) fill(next int64, rows func(pending *layer)) (full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pending := p.layers.Load().pending
	before := pending.bytes
	rows(pending)
	pending.moved = true
	p.position = next
	p.store.pending.Add(pending.bytes - before)
	return p.store.full()
}

// put commits a row.
func (p *Partition) put(pending *layer, key string, value []byte) {
	pending.put(key, value)
	if p.store.config.Index != nil {
		p.outlook.add(key)
	}
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

// holds says whether there is a row above Pebble. It seldom looks at more than
// one, since most are not deletions.
func (p *Partition) holds() bool {
	l := p.layers.Load()
	above := []map[string][]byte{p.staged, l.pending.rows}
	if l.frozen != nil {
		above = append(above, l.frozen.rows)
	}
	for _, rows := range above {
		for key := range rows {
			if value, _ := p.recent(key); value != nil {
				return true
			}
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
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	delete(p.store.partitions, p.number)
	return err
}

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
