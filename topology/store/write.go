package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// sublevelsPause is the wait between two looks at level 0.
	sublevelsPause = 10 * time.Millisecond
	// gatheredBytes of rows are what partitions are gathered up to for one write.
	gatheredBytes = 16 << 20
	// tableBytesMin of rows are written as a table of their own, which is handed to
	// Pebble when it is whole: they need not be in memory twice for that, nor, if
	// they are the first of their partition, go through level 0. Fewer go into
	// Pebble's memtable, and to the disk with what comes later: a table costs some
	// syncs.
	tableBytesMin = 4 << 20
	// syncBytes of a table are written before the disk is asked to begin with them.
	syncBytes = 512 << 10
	// tableFile is the name of such a table until Pebble has it under its own.
	tableFile = "WRITING"
	// tableLevel is the level that a table is packed for, wherever Pebble puts it.
	// It is not the lowest, 6, whose writer marks deletions as of no use.
	tableLevel = 5
)

// frozen is what one partition has in a write.
type frozen struct {
	partition *Partition
	versions  []place
	segments  []*segment // in which they are
	bytes     int64      // of them
	position  int64
}

// full says whether pending rows are to be written: there are too many, by
// themselves or with those that are being written, or they have waited for long.
func (s *Store) full() bool {
	pending := s.pending.Load()
	return pending >= s.half || s.overfull() || pending > 0 && time.Since(time.Unix(0, s.frozen.Load())) >= s.wait
}

// overfull says whether there is no room for what comes while rows are written.
func (s *Store) overfull() bool { return s.pending.Load()+s.writing.Load() >= 2*s.half }

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
		if !s.overfull() {
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
// its turn comes, so that its memory is bound for as short as can be. Its error is
// the store's.
func (s *Store) write(partitions ...*Partition) {
	slices.SortFunc(partitions, func(a, b *Partition) int { return int(a.number) - int(b.number) })
	var list []frozen
	bytes := int64(0)
	for n, p := range partitions {
		if s.failure() != nil {
			return
		}
		if f, is := s.freeze(p); is {
			list, bytes = append(list, f), bytes+f.bytes
		}
		if len(list) > 0 && (n == len(partitions)-1 || bytes >= gatheredBytes) {
			s.writeFrozen(list, bytes)
			list, bytes = nil, 0
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

func (s *Store) writeFrozen(list []frozen, bytes int64) {
	apply := s.writeBatch
	if bytes >= s.tableFrom {
		apply = s.writeTable
	}
	err := apply(list)
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

// writeBatch puts frozen rows into Pebble's memtable.
func (s *Store) writeBatch(list []frozen) (err error) {
	batch := s.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	if err := s.order.add(s.db, batchKeys{batch}, list); err != nil {
		return err
	}
	s.unflushed += batch.Len()
	return s.db.Apply(batch, pebble.NoSync)
}

// writeTable writes frozen rows as a table and gives it to Pebble. What a kill
// leaves of it the next start removes.
func (s *Store) writeTable(list []frozen) error {
	path := s.fs.PathJoin(s.config.Directory, tableFile)
	file, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	file = vfs.NewSyncingFile(file, vfs.SyncingFileOptions{BytesPerSync: syncBytes})
	table := sstable.NewWriter(objstorageprovider.NewFileWritable(file), s.tables)
	err = s.order.add(s.db, table, list)
	if err := errors.Join(err, table.Close()); err != nil { // which syncs it
		return err
	}
	return s.db.Ingest(context.Background(), []string{path})
}

// keys is what takes keys in ascending order, each once: a table or a batch.
type keys interface {
	Set(key, value []byte) error
	Delete(key []byte) error
}

// batchKeys is a batch as that.
type batchKeys struct{ batch *pebble.Batch }

func (b batchKeys) Set(key, value []byte) error { return b.batch.Set(key, value, nil) }
func (b batchKeys) Delete(key []byte) error     { return b.batch.Delete(key, nil) }

// order brings frozen rows, and the index entries that change with them, into
// the order of Pebble's keys.
type order struct {
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

// add adds the keys of partitions, which come by their numbers.
func (o *order) add(db *pebble.DB, to keys, list []frozen) error {
	for _, f := range list {
		if err := o.addPartition(db, to, f); err != nil {
			return err
		}
	}
	return nil
}

func (o *order) addPartition(db *pebble.DB, to keys, f frozen) (err error) {
	number := f.partition.number
	position := binary.BigEndian.AppendUint64(nil, uint64(f.position))
	if err := to.Set(appendPrefix(nil, number, kindPosition), position); err != nil {
		return err
	}
	o.rows = o.rows[:0]
	for _, at := range f.versions {
		o.rows = append(o.rows, versionAt(f.segments, at))
	}
	slices.SortFunc(o.rows, func(x, y version) int { return bytes.Compare(x.key, y.key) })
	o.row = appendPrefix(o.row[:0], number, kindRow)
	for i := range o.rows {
		v := &o.rows[i]
		o.row = append(o.row[:prefixBytes], v.key...)
		if v.deleted {
			err = to.Delete(o.row)
		} else {
			err = to.Set(o.row, v.value)
		}
		if err != nil {
			return err
		}
	}
	if o.index != nil {
		err = o.addIndex(db, to, number)
	}
	clear(o.rows) // they point to memory that is given back
	return err
}

// addIndex compares the entries of the rows with those of the versions that
// Pebble has, and adds what changes.
func (o *order) addIndex(db *pebble.DB, to keys, number int32) (err error) {
	old, err := db.NewIter(&pebble.IterOptions{LowerBound: appendPrefix(nil, number, kindRow), UpperBound: appendPrefix(nil, number, kindRow+1)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	o.entries, o.changes = o.entries[:0], o.changes[:0]
	for _, v := range o.rows {
		key := string(v.key)
		o.row = append(appendPrefix(o.row[:0], number, kindRow), key...)
		if old.SeekPrefixGE(o.row) { // the whole key is the prefix, so filters spare reads
			err = o.derive(number, key, old.Value(), false)
		}
		if err := errors.Join(err, old.Error()); err != nil {
			return err
		}
		if !v.deleted {
			if err := o.derive(number, key, v.value, true); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(o.changes, func(x, y change) int {
		return bytes.Compare(o.entries[x.from:x.to], o.entries[y.from:y.to])
	})
	for rest := o.changes; len(rest) > 0; {
		key := o.entries[rest[0].from:rest[0].to]
		isOld, isNew := false, false
		for len(rest) > 0 && bytes.Equal(o.entries[rest[0].from:rest[0].to], key) {
			isOld, isNew = isOld || !rest[0].isNew, isNew || rest[0].isNew
			rest = rest[1:]
		}
		switch {
		case isNew && !isOld:
			err = to.Set(key, nil)
		case isOld && !isNew:
			err = to.Delete(key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *order) derive(partition int32, key string, row []byte, isNew bool) error {
	err := o.index(key, row, func(entry []byte) {
		from := len(o.entries)
		o.entries = appendIndexKey(o.entries, partition, entry, key)
		o.changes = append(o.changes, change{from, len(o.entries), isNew})
	})
	if err != nil {
		return &indexError{partition, err}
	}
	return nil
}
