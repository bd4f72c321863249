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
// opened. Every Get that memory could not spare goes a step of it, in the order
// of keys, as long as there is room: so a partition which is used comes to lie in
// memory, and one which is not costs nothing.
type load struct {
	next []byte // Pebble's key from which on nothing is loaded
	over bool
}

// step loads the next rows. At the end memory is whole, if it has kept them.
func (p *Partition) step() error {
	l, m := &p.load, p.memory
	if l.over || m.lost || float64(m.live) > loadUtilization*float64(p.store.room(m.bytesTaken())-m.places.bytes()) {
		return nil
	}
	rows, err := p.following(l)
	if err != nil {
		return p.store.fail("read", err)
	}
	p.change(func() {
		for _, row := range rows {
			m.add(row.key, row.value, segmentBytes(p.store.share.Load()))
		}
	})
	m.whole = m.whole || l.over
	return nil
}

// following reads the next rows, without the partition's lock.
func (p *Partition) following(l *load) (rows []overlaid, err error) {
	table, err := p.store.db.NewIter(&pebble.IterOptions{LowerBound: l.next, UpperBound: appendPrefix(nil, p.number, kindRow+1)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, table.Error(), table.Close()) }()
	more := table.First()
	for ; more && len(rows) < loadRows; more = table.Next() {
		rows = append(rows, overlaid{string(table.Key()[prefixBytes:]), copyOf(table.Value())})
	}
	if more {
		l.next = append(l.next[:0], table.Key()...)
	}
	l.over = !more && table.Error() == nil
	return rows, nil
}
