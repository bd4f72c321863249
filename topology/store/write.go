package store

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/cockroachdb/pebble/v2"
)

const (
	// sublevelsPause is the wait between two looks at level 0.
	sublevelsPause = 10 * time.Millisecond
	// batchBytesMin is what partitions are gathered up to for one batch.
	batchBytesMin = memTableBytes
	// swellingSpare is added to what is expected of a batch.
	swellingSpare = 1.1
)

// frozen is what one partition has in a write.
type frozen struct {
	partition *Partition
	versions  []place
	segments  []*segment // in which they are
	bytes     int64      // of them
	position  int64
}

// full says whether pending rows are to be written: there are too many, or they
// have waited for long.
func (s *Store) full() bool {
	pending := s.pending.Load()
	return pending >= s.half || pending > 0 && time.Since(time.Unix(0, s.frozen.Load())) >= s.wait
}

// relieve begins to write everything that is pending, if it is still to be
// written. If a write is under way it is waited for only when there is no room
// for what comes meanwhile.
func (s *Store) relieve() error {
	s.relieving.Lock()
	defer s.relieving.Unlock()
	if !s.full() {
		return s.failure() // another partition's Seal has done it meanwhile
	}
	select {
	case s.writer <- struct{}{}:
	default:
		if s.pending.Load()+s.writing.Load() < 2*s.half {
			return s.failure()
		}
		select {
		case s.writer <- struct{}{}:
		case <-s.broken:
			return s.failure()
		}
		if !s.full() { // the write that was waited for has had all
			<-s.writer
			return s.failure()
		}
	}
	s.frozen.Store(time.Now().UnixNano())
	all := s.open()
	go func() {
		s.write(all...)
		<-s.writer
	}()
	return s.failure()
}

// apart does what needs the writer's token, and waits until it is done or the
// store has failed. It is done in a goroutine of its own, since Pebble may stand
// still in it.
func (s *Store) apart(do func()) error {
	select {
	case s.writer <- struct{}{}:
	case <-s.broken:
		return s.failure()
	}
	done := make(chan struct{})
	go func() {
		defer func() { <-s.writer }()
		do()
		close(done)
	}()
	select {
	case <-done:
	case <-s.broken:
	}
	return s.failure()
}

// flush writes what is pending of some partitions, and returns when Pebble has it.
func (s *Store) flush(partitions ...*Partition) error {
	return s.apart(func() { s.write(partitions...) })
}

// write puts what is pending of some partitions into Pebble. Each is frozen when
// its turn comes, and so that its memory is bound for as short as can be; so many
// are one batch that it becomes a memtable itself, and no more, since it is in
// memory twice until it is flushed. Its error is the store's.
func (s *Store) write(partitions ...*Partition) {
	slices.SortFunc(partitions, func(a, b *Partition) int { return int(a.number) - int(b.number) })
	var list []frozen
	for n, p := range partitions {
		if s.failure() != nil {
			return
		}
		if f, is := s.freeze(p); is {
			list = append(list, f)
		}
		if len(list) > 0 && (n == len(partitions)-1 || s.batchBytes(list) >= batchBytesMin) {
			s.writeBatch(list)
			list = nil
		}
	}
}

// freeze takes what is pending of a partition, if it has moved.
func (s *Store) freeze(p *Partition) (f frozen, is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.memory
	if !m.moved {
		return frozen{}, false
	}
	s.writing.Add(m.bytes)
	s.pending.Add(-m.bytes)
	f = frozen{partition: p, bytes: m.bytes, position: p.position}
	f.versions, f.segments = m.freeze()
	return f, true
}

func (s *Store) writeBatch(list []frozen) {
	err := s.apply(list)
	for _, f := range list {
		s.writing.Add(-f.bytes)
	}
	if err != nil {
		s.fail("write", err)
		return
	}
	for _, f := range list {
		f.partition.mu.Lock()
		f.partition.memory.complete(f.versions)
		f.partition.mu.Unlock()
	}
	if s.unflushed >= flushBytes {
		s.flushMemTable()
	}
	// Pebble itself would wait in the next write, without an end if the
	// compaction fails.
	for s.failure() == nil && s.db.Metrics().Levels[0].Sublevels >= sublevelsMax {
		select {
		case <-time.After(sublevelsPause):
		case <-s.broken:
		}
	}
}

// flushMemTable makes durable what was written, and waits for it or for the
// failure of the store.
func (s *Store) flushMemTable() {
	s.unflushed = 0
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		s.fail("write", err)
		return
	}
	select {
	case <-flushed:
	case <-s.broken:
	}
}

func (s *Store) apply(list []frozen) (err error) {
	expected := s.batchBytes(list)
	batch := s.db.NewBatchWithSize(expected)
	defer func() { err = errors.Join(err, batch.Close()) }()
	for _, f := range list {
		if err := s.batch.add(s.db, batch, f); err != nil {
			return err
		}
	}
	if expected > 0 {
		s.swelling = max(1, s.swelling*swellingSpare*float64(batch.Len())/float64(expected))
	}
	s.unflushed += batch.Len()
	return s.db.Apply(batch, pebble.NoSync)
}

// batchBytes is about what a batch of these rows takes: an estimate spares it
// growing, which copies everything. Index entries swell it, by as much as they
// swelled the last one and a little more.
func (s *Store) batchBytes(list []frozen) int {
	bytes := int64(0)
	for _, f := range list {
		bytes += f.bytes // the header of a row in memory is more than that in a batch
	}
	return int(float64(bytes) * s.swelling * swellingSpare)
}

// batcher turns frozen rows into a batch whose keys are sorted, so that they
// enter Pebble in order.
type batcher struct {
	index   func(key string, row []byte, add func(entry []byte)) error
	rows    []version // scratch, as are all below
	row     []byte
	entries []byte // index keys, one after the other
	changes []change
}

// change is an index key, by its place in entries, that a row of the old
// version has, or one of the new.
type change struct {
	from, to int
	isNew    bool
}

func (b *batcher) add(db *pebble.DB, batch *pebble.Batch, f frozen) (err error) {
	number := f.partition.number
	position := binary.BigEndian.AppendUint64(nil, uint64(f.position))
	if err := batch.Set(appendPrefix(nil, number, kindPosition), position, nil); err != nil {
		return err
	}
	b.rows = b.rows[:0]
	for _, at := range f.versions {
		b.rows = append(b.rows, versionAt(f.segments, at))
	}
	slices.SortFunc(b.rows, func(x, y version) int { return bytes.Compare(x.key, y.key) })
	for i := range b.rows {
		if err := b.addRow(batch, number, &b.rows[i]); err != nil {
			return err
		}
	}
	if b.index != nil {
		err = b.addIndex(db, batch, number)
	}
	clear(b.rows) // they point to memory that is given back
	return err
}

func (b *batcher) addRow(batch *pebble.Batch, partition int32, v *version) error {
	if v.deleted {
		op := batch.DeleteDeferred(prefixBytes + len(v.key))
		copy(op.Key[len(appendPrefix(op.Key[:0], partition, kindRow)):], v.key)
		return op.Finish()
	}
	op := batch.SetDeferred(prefixBytes+len(v.key), len(v.value))
	copy(op.Key[len(appendPrefix(op.Key[:0], partition, kindRow)):], v.key)
	copy(op.Value, v.value)
	return op.Finish()
}

// addIndex compares the entries of the rows with those of the versions that
// Pebble has, and adds what changes.
func (b *batcher) addIndex(db *pebble.DB, batch *pebble.Batch, number int32) (err error) {
	old, err := db.NewIter(&pebble.IterOptions{LowerBound: appendPrefix(nil, number, kindRow), UpperBound: appendPrefix(nil, number, kindRow+1)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	b.entries, b.changes = b.entries[:0], b.changes[:0]
	for _, v := range b.rows {
		key := string(v.key)
		b.row = append(appendPrefix(b.row[:0], number, kindRow), key...)
		if old.SeekPrefixGE(b.row) { // the whole key is the prefix, so filters spare reads
			err = b.derive(number, key, old.Value(), false)
		}
		if err := errors.Join(err, old.Error()); err != nil {
			return err
		}
		if !v.deleted {
			if err := b.derive(number, key, v.value, true); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(b.changes, func(x, y change) int {
		return bytes.Compare(b.entries[x.from:x.to], b.entries[y.from:y.to])
	})
	for rest := b.changes; len(rest) > 0; {
		key := b.entries[rest[0].from:rest[0].to]
		isOld, isNew := false, false
		for len(rest) > 0 && bytes.Equal(b.entries[rest[0].from:rest[0].to], key) {
			isOld, isNew = isOld || !rest[0].isNew, isNew || rest[0].isNew
			rest = rest[1:]
		}
		switch {
		case isNew && !isOld:
			err = batch.Set(key, nil, nil)
		case isOld && !isNew:
			err = batch.Delete(key, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batcher) derive(partition int32, key string, row []byte, isNew bool) error {
	err := b.index(key, row, func(entry []byte) {
		from := len(b.entries)
		b.entries = appendIndexKey(b.entries, partition, entry, key)
		b.changes = append(b.changes, change{from, len(b.entries), isNew})
	})
	if err != nil {
		return &indexError{partition, err}
	}
	return nil
}
