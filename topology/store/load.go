package store

import (
	"github.com/cockroachdb/errors"
	"github.com/cockroachdb/pebble/v2"
)

const (
	// loadRows are loaded for each read of Pebble. They cost some four times what
	// the read does, and a tenth of what they would cost one by one: after a start
	// the first reads are slow, and all others need not be made.
	loadRows = 64
	// loadUtilization of a share is loaded at most; the rest is for rows to grow.
	loadUtilization = 0.7
)

// load is the way through the rows that Pebble has of a partition when it is
// opened. Every read that memory could not spare goes a step of it, in the order
// of keys, as long as there is room: so a partition which is used comes to lie in
// memory, and one which is not costs nothing.
type load struct {
	next []byte // Pebble's key from which on nothing is loaded
	over bool
}

// step loads the next rows. At the end memory is whole, if it has kept them.
func (p *Partition) step() (err error) {
	l, m, share := &p.load, p.memory, p.store.share.Load()
	if l.over || m.lost || float64(m.live) > loadUtilization*float64(share) {
		return nil
	}
	table, err := p.store.db.NewIter(&pebble.IterOptions{LowerBound: l.next, UpperBound: appendPrefix(nil, p.number, kindRow+1)})
	if err != nil {
		return p.store.fail("read", err)
	}
	p.mu.Lock()
	more := table.First()
	for n := 0; more && n < loadRows; n++ {
		m.add(string(table.Key()[prefixBytes:]), table.Value(), segmentBytes(share))
		more = table.Next()
	}
	p.mu.Unlock()
	if more {
		l.next = append(l.next[:0], table.Key()...)
	}
	if err := errors.Join(table.Error(), table.Close()); err != nil {
		return p.store.fail("read", err)
	}
	l.over = !more
	m.whole = m.whole || l.over
	return nil
}
