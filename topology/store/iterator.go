package store

import (
	"bytes"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/lovoo/goka/storage"
)

// Iterator goes over all rows, staged ones included, as they are now, in the
// order of their keys. It must be released before the store is closed.
func (p *Partition) Iterator() (storage.Iterator, error) { return p.IteratorWithRange(nil, nil) }

// IteratorWithRange goes over the rows in [start, limit); nil is no bound.
func (p *Partition) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	if err := p.store.failure(); err != nil {
		return nil, err
	}
	// The layers first: what is written to Pebble meanwhile is seen twice, and
	// the same. The other way round it could be missed.
	over := p.overlay(start, limit)
	upper := appendPrefix(nil, p.number, kindRow+1)
	if limit != nil {
		upper = append(appendPrefix(nil, p.number, kindRow), limit...)
	}
	table, err := p.store.db.NewIter(&pebble.IterOptions{LowerBound: append(appendPrefix(nil, p.number, kindRow), start...), UpperBound: upper})
	if err != nil {
		return nil, p.store.fail("read", err)
	}
	table.First()
	return &iterator{store: p.store, overlay: over, table: table, prefix: appendPrefix(nil, p.number, kindRow)}, nil
}

type overlaid struct {
	key   string
	value []byte // nil: deleted
}

// overlay gives the rows above Pebble in [start, limit), sorted.
func (p *Partition) overlay(start, limit []byte) []overlaid {
	all := map[string][]byte{}
	l := p.layers.Load()
	if l.frozen != nil {
		maps.Copy(all, l.frozen.rows)
	}
	maps.Copy(all, l.pending.rows)
	maps.Copy(all, p.staged)
	var rows []overlaid
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if key >= string(start) && (limit == nil || key < string(limit)) {
			rows = append(rows, overlaid{key, all[key]})
		}
	}
	return rows
}

type iterator struct {
	store   *Store
	overlay []overlaid // from here on
	at      int
	table   *pebble.Iterator // at the first row that was not given
	prefix  []byte

	key, value []byte
}

// Next goes to the next row.
func (i *iterator) Next() bool {
	for {
		onTable := i.table.Valid()
		if i.at == len(i.overlay) && !onTable {
			return false
		}
		order := -1 // of the next row above Pebble, compared with the next one in it
		if i.at == len(i.overlay) {
			order = 1
		} else if onTable {
			order = bytes.Compare([]byte(i.overlay[i.at].key), i.table.Key()[prefixBytes:])
		}
		if order > 0 {
			i.key = append(i.key[:0], i.table.Key()[prefixBytes:]...)
			i.value = append(make([]byte, 0, len(i.table.Value())), i.table.Value()...)
			i.table.Next()
			return true
		}
		if order == 0 {
			i.table.Next()
		}
		row := i.overlay[i.at]
		i.at++
		if row.value != nil {
			i.key, i.value = append(i.key[:0], row.key...), row.value
			return true
		}
	}
}

// Seek goes before the first row at or after key, and says whether there is one.
func (i *iterator) Seek(key []byte) bool {
	i.table.SeekGE(append(slices.Clip(i.prefix), key...))
	i.at, _ = slices.BinarySearchFunc(i.overlay, string(key), func(row overlaid, key string) int {
		return bytes.Compare([]byte(row.key), []byte(key))
	})
	// A deleted row above Pebble is none; look, and go back.
	if !i.Next() {
		return false
	}
	found := bytes.Clone(i.key)
	i.table.SeekGE(append(slices.Clip(i.prefix), found...))
	i.at, _ = slices.BinarySearchFunc(i.overlay, string(found), func(row overlaid, key string) int {
		return bytes.Compare([]byte(row.key), []byte(key))
	})
	return true
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
