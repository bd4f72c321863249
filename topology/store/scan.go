package store

import (
	"bytes"

	"github.com/cockroachdb/errors"
	"github.com/cockroachdb/pebble/v2"
)

// freshMax rows may be committed between two scans and be looked at by the
// second. After more of them it is cheaper to write all.
const freshMax = 4096

var errIndexEntry = errors.New("an index entry has no end")

// ErrStaged says that a row which is staged may have an entry where a scan was
// to look: it can be had once the row is committed.
var ErrStaged = errors.New("store: a staged row may have an entry in the range of the scan")

// Scan calls f for the entries of the derived index in [from, to), in byte
// order, until it returns false; a nil to is the end. It sees committed rows,
// all of them, in their newest version, and those that are staged if none of
// them has an entry there: else it gives ErrStaged and calls f for nothing. Two
// rows with the same entry give it twice, and an entry that a staged row has no
// more is given. The entry is f's until it returns, and f may read rows.
//
// A scan costs what lies in its range. What is pending is written first only if
// one of its rows may have an entry there, which whoever scans on from where the
// last scan ended finds out at the cost of reading each new row once; a scan
// that begins before the last one writes what is pending.
func (p *Partition) Scan(from, to []byte, f func(entry []byte) bool) error {
	if p.store.config.Index == nil {
		panic("store: Scan of a store without Index")
	}
	if err := p.lookAtStaged(from, to); err != nil {
		return err
	}
	if err := p.prepare(from, to); err != nil {
		return err
	}
	// This first: what is written to Pebble meanwhile has no entry here.
	written := p.written()
	table, err := p.index(from, to)
	if err != nil {
		return p.store.fail("read", err)
	}
	var entry, row []byte
	for table.First(); table.Valid(); table.Next() {
		var is bool
		if entry, row, is = appendEntry(entry[:0], table.Key()); !is {
			err = damaged(errIndexEntry)
			break
		}
		if !p.memory.changed(string(row), written) && !f(entry) {
			break
		}
	}
	if err := errors.Join(err, table.Close()); err != nil {
		return p.store.fail("read", err)
	}
	return p.store.failure()
}

// index gives Pebble's part of the index, the keys of entries in [from, to).
func (p *Partition) index(from, to []byte) (*pebble.Iterator, error) {
	lower := appendEscaped(appendPrefix(nil, p.number, kindIndex), from)
	upper := appendPrefix(nil, p.number, kindIndex+1)
	if to != nil {
		upper = appendEscaped(appendPrefix(nil, p.number, kindIndex), to)
	}
	if bytes.Compare(upper, lower) < 0 {
		upper = lower // an empty range: Pebble takes no bounds the wrong way round
	}
	return p.store.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
}

// written is the last epoch that Pebble has. Of a row that has changed since it
// may have old entries.
func (p *Partition) written() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.memory.written
}

// outlook is what Scan knows of the entries that the rows above Pebble have, so
// that most scans need not write these rows. It belongs to the partition's
// goroutine.
type outlook struct {
	fresh []string // rows that were committed since the last scan, up to freshMax+1
	from  []byte   // where the last scan began
	// The other rows above Pebble have no entry in [from, nearest), or none at
	// all from there on if it is nil.
	nearest []byte

	staged        []string // rows that were staged since the last scan, up to freshMax+1
	stagedFrom    []byte   // from, of the scans since something was staged
	stagedNearest []byte   // nearest, of the other staged rows
}

func (o *outlook) add(key string)   { o.fresh = appendFresh(o.fresh, key) }
func (o *outlook) stage(key string) { o.staged = appendFresh(o.staged, key) }

func appendFresh(keys []string, key string) []string {
	if len(keys) <= freshMax {
		keys = append(keys, key)
	}
	return keys
}

// settled says that nothing is staged any more.
func (o *outlook) settled() {
	clear(o.staged) // or it would keep the keys alive
	o.staged, o.stagedFrom, o.stagedNearest = o.staged[:0], o.stagedFrom[:0], nil
}

// lookAtStaged gives ErrStaged if a staged row may have an entry in [from, to).
func (p *Partition) lookAtStaged(from, to []byte) error {
	o := &p.outlook
	if len(o.staged) > freshMax {
		return ErrStaged
	}
	if bytes.Compare(from, o.stagedFrom) < 0 { // further back than was looked
		o.settled()
		for key := range p.staged {
			o.staged = append(o.staged, key)
		}
	}
	for _, key := range o.staged {
		if row := p.staged[key]; row != nil {
			if err := p.nearest(key, row, from, &o.stagedNearest); err != nil {
				return p.store.fail("read", err)
			}
		}
	}
	clear(o.staged)
	o.staged, o.stagedFrom = o.staged[:0], append(o.stagedFrom[:0], from...)
	if o.stagedNearest != nil && (to == nil || bytes.Compare(o.stagedNearest, to) < 0) {
		return ErrStaged
	}
	return nil
}

// nearest lets the first entry of a row at or behind from count, if it is
// before what stands there.
func (p *Partition) nearest(key string, row, from []byte, stands *[]byte) error {
	err := p.store.config.Index(key, row, func(entry []byte) {
		if bytes.Compare(entry, from) >= 0 && (*stands == nil || bytes.Compare(entry, *stands) < 0) {
			*stands = copyOf(entry)
		}
	})
	if err != nil {
		return &indexError{p.number, err}
	}
	return nil
}

// prepare makes sure that no row above Pebble has an entry in [from, to).
func (p *Partition) prepare(from, to []byte) error {
	o := &p.outlook
	known := len(o.fresh) <= freshMax && bytes.Compare(from, o.from) >= 0
	if known {
		if err := p.lookAhead(from); err != nil {
			return p.store.fail("read", err)
		}
	}
	if !known || o.nearest != nil && (to == nil || bytes.Compare(o.nearest, to) < 0) {
		if err := p.store.flush(p); err != nil {
			return err
		}
		o.nearest = nil
	}
	clear(o.fresh) // or it would keep the keys alive
	o.fresh, o.from = o.fresh[:0], append(o.from[:0], from...)
	return p.store.failure()
}

// lookAhead lets nearest count for the fresh rows too.
func (p *Partition) lookAhead(from []byte) error {
	o := &p.outlook
	for _, key := range o.fresh {
		v, is := p.memory.find(key)
		if !is || v.deleted {
			continue
		}
		if err := p.nearest(key, v.value, from, &o.nearest); err != nil {
			return err
		}
	}
	return nil
}
