package store

import (
	"bytes"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/lovoo/goka/storage"
)

// overlayBytesMax of pending rows are copied for an iterator; more are written
// first.
const overlayBytesMax = 1 << 20

// Iterator goes over all rows, staged ones included, as they are now, in the
// order of their keys. It must be released before the store is closed.
func (p *Partition) Iterator() (storage.Iterator, error) { return p.IteratorWithRange(nil, nil) }

// IteratorWithRange goes over the rows in [start, limit); nil is no bound.
func (p *Partition) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	if err := p.store.failure(); err != nil {
		return nil, err
	}
	if p.pendingBytes() > overlayBytesMax {
		if err := p.store.flush(p); err != nil {
			return nil, err
		}
	}
	// Memory first: what is written to Pebble meanwhile is seen twice, and
	// the same. The other way round it could be missed.
	over := p.overlay(start, limit)
	lower, upper := append(appendPrefix(nil, p.number, kindRow), start...), appendPrefix(nil, p.number, kindRow+1)
	if limit != nil {
		upper = append(appendPrefix(nil, p.number, kindRow), limit...)
	}
	if bytes.Compare(upper, lower) < 0 {
		upper = lower // an empty range: Pebble takes no bounds the wrong way round
	}
	table, err := p.store.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, p.store.fail("read", err)
	}
	table.First()
	return &iterator{store: p.store, overlay: over, table: table, prefix: appendPrefix(nil, p.number, kindRow)}, nil
}

func (p *Partition) pendingBytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.memory.bytes
}

type overlaid struct {
	key   string
	value []byte // nil: deleted
}

// overlay gives the rows that Pebble may not have in [start, limit), sorted.
func (p *Partition) overlay(start, limit []byte) (rows []overlaid) {
	within := func(key string) bool { return key >= string(start) && (limit == nil || key < string(limit)) }
	for key, value := range p.staged {
		if within(key) {
			if value != nil {
				value = copyOf(value) // Seal lets its memory be used again
			}
			rows = append(rows, overlaid{key, value})
		}
	}
	written := p.written()
	for v := range p.memory.all {
		key := string(v.key)
		if _, restaged := p.staged[key]; v.epoch > written && !restaged && within(key) {
			row := overlaid{key: key}
			if !v.deleted {
				row.value = copyOf(v.value)
			}
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b overlaid) int { return strings.Compare(a.key, b.key) })
	return rows
}

// iterator merges the two: the row above Pebble counts where both have one.
type iterator struct {
	store   *Store
	overlay []overlaid
	at      int              // the first of overlay that was not given
	table   *pebble.Iterator // at the first of Pebble's rows that was not given
	prefix  []byte           // of Pebble's keys

	key, value []byte
}

// settle leaves out what is deleted above Pebble. It says whether there is a
// next row, and whether it is the one of Pebble.
func (i *iterator) settle() (is, onTable bool) {
	for ; i.at < len(i.overlay); i.at++ {
		order := -1 // of the next row above Pebble compared with Pebble's next
		if i.table.Valid() {
			order = strings.Compare(i.overlay[i.at].key, string(i.table.Key()[prefixBytes:]))
		}
		if order > 0 {
			return true, true
		}
		if order == 0 {
			i.table.Next()
		}
		if i.overlay[i.at].value != nil {
			return true, false
		}
	}
	return i.table.Valid(), true
}

// Next goes to the next row.
func (i *iterator) Next() bool {
	is, onTable := i.settle()
	switch {
	case !is:
		return false
	case onTable:
		i.key = append(i.key[:0], i.table.Key()[prefixBytes:]...)
		i.value = copyOf(i.table.Value())
		i.table.Next()
	default:
		row := i.overlay[i.at]
		i.key, i.value = append(i.key[:0], row.key...), row.value
		i.at++
	}
	return true
}

// Seek goes before the first row at or after key, and says whether there is
// one; Next goes to it.
func (i *iterator) Seek(key []byte) bool {
	i.table.SeekGE(append(slices.Clip(i.prefix), key...))
	i.at, _ = slices.BinarySearchFunc(i.overlay, string(key), func(row overlaid, key string) int {
		return strings.Compare(row.key, key)
	})
	is, _ := i.settle()
	return is
}

// Err gives the error that ended the iteration, if one did.
func (i *iterator) Err() error {
	if err := i.table.Error(); err != nil {
		return i.store.fail("read", err)
	}
	return i.store.failure()
}

// Key of the current row, until the next call.
func (i *iterator) Key() []byte { return i.key }

// Value of the current row.
func (i *iterator) Value() ([]byte, error) { return i.value, nil }

// Release ends the iterator.
func (i *iterator) Release() {
	if err := i.table.Close(); err != nil {
		i.store.fail("read", err)
	}
}
