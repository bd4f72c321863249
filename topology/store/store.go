// Package store keeps the partitions of Goka tables in one Pebble per process
// and directory. It knows no citizen: rows are bytes.
//
// A store never runs ahead of the log. Writes are staged, and seen by the
// partition's own reads, but are the store's only when Seal says that the log
// holds them; Drop forgets them. The changelog in Kafka is the durable copy, so
// nothing here waits for a disk: the store may be behind the log, and then a
// restore reads the rest.
//
// # A row's way
//
// Set puts a row into a map of its partition, the staged rows. Seal appends them
// to the partition's memory, where the newest version of each counts; it is
// pending there. When all pending rows together reach half of Config.RowBytes, or
// a GiB, or a minute has passed, they are written to Pebble in the background,
// partition by partition, while others become pending; if twice as much is pending
// or being written, Seal waits. Written rows stay in memory as long as there is
// room for them. A read looks at staged rows, then at memory, then in Pebble; each
// Get that had to ask Pebble pays for loading some more of the partition's rows, if
// it was opened with any.
//
// # The index
//
// Config.Index derives entries from rows, and nothing else writes them: the
// index is at every position what the rows of that position give. Who scans it
// scans on and on, as a clock does, so two things cost nothing:
//
//   - Rows that are pending and have no entry in the range stay pending. Each is
//     read once, by the scan after its Seal; what Pebble still has of its last
//     version is left out.
//   - Entries before the range. A scan seeks, and neither they nor what Pebble
//     keeps of deleted ones is gone over. They leave the index only when their
//     row is rewritten or deleted; those of a row that rests take their bytes on
//     the disk for as long as the row does.
//
// # After a kill
//
// Whatever is killed, each partition is found in an older whole state: its rows
// and index are those of the changelog up to its position. For
//
//  1. every write is of whole partitions: a batch, or a table, holds for each of
//     its partitions all rows and index entries that changed, and the position
//     after them, taken while nothing could be sealed;
//  2. there is no write-ahead log, and a batch goes as a whole into one memtable.
//     Memtables are flushed in the order in which they were filled, each with its
//     tables synced before one synced edit of the manifest names them;
//  3. a table is synced before such an edit names it, and comes after every
//     memtable that has something of its partitions;
//
// so what a directory holds of a partition is always its first n writes. After an
// error of the disk nothing more is written at all: the directory stays as a kill
// would have left it.
//
// # Memory
//
// RowBytes of rows, and of the tables of 21 to 43 bytes a row that find them, which
// lie outside of Go's heap (see memory and places); but what is pending or being
// written is in memory whatever a partition's share, so that they may be up to
// twice as much where one partition gets everything. Beside them two segments a
// partition, of a MiB or a 16th of its share, which are being filled or between
// two uses; where the rows of one write lie, of 64 bytes each; CacheBytes of
// blocks, filters and indexes of tables, and memtables of 4 MiB; what the open
// transactions have staged. An index adds the entries of the rows of one write, and
// the keys of 4,096 rows a partition.
//
// # Format, version 1
//
// The file IDENTITY has two lines, "vouch store 1" and "owner " with the owner
// as a quoted Go string. Everything else in the directory is Pebble's. Numbers
// are big-endian. A key is
//
//	partition (4 bytes)  kind (1 byte)  rest
//
//	kind 0  position: no rest. The value is the changelog offset (8 bytes) up to
//	        which, exclusive, the rows of the partition are complete.
//	kind 1  row: the rest is the row's key, the value the row.
//	kind 2  index entry: the rest is the entry with each 0x00 written as
//	        0x00 0xFF, then 0x00 0x01, then the row's key; there is no value. So
//	        entries are in byte order, whatever they contain, and those of two
//	        rows are two.
package store

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vouch-engine/vouch/topology/pieces"
)

// Config says where a store is and how much memory it may use. Directory and
// Owner are needed, the zero value of everything else is ready.
type Config struct {
	// Directory is created if it does not exist. One process has it at a time.
	Directory string
	// Owner names whose rows these are, "vouch.certifier": a directory of
	// another owner is refused.
	Owner string
	// RowBytes bounds the committed rows in memory [64 MiB], of which every open
	// partition has an equal share; see Memory. A row that is in memory when it is
	// wanted costs a tenth of one that is read, and one that soon changes again
	// need not be written: what a minute has brought, or RowBytes of newest
	// versions, has to be read from the changelog after a kill.
	RowBytes int64
	// CacheBytes bounds Pebble's block cache [64 MiB].
	CacheBytes int64
	// Index, if set, calls add for every entry that a row has in the derived
	// index, which Scan reads. It depends on nothing but its arguments, and is
	// called by several goroutines; entries may be reused after add returns. Its
	// error is that of a row which this version of the program cannot read, and
	// ends the store; its text is shown, so it holds neither the key nor anything
	// of the row. When what Index gives changes, Owner must change with it.
	Index func(key string, row []byte, add func(entry []byte)) error
	// Logger is told what is odd but no error [slog.Default()].
	Logger *slog.Logger
}

const (
	// rowDefault and cacheDefault: see Config.
	rowDefault   = 64 << 20
	cacheDefault = 64 << 20
	// halfMax bounds what a kill lets be read again from the changelog.
	halfMax = 1 << 30
	// waitMax is how long rows may be pending while others are sealed: in calm,
	// when they never fill their share, a kill then leaves little to read again.
	waitMax = time.Minute
	// memTableBytes is Pebble's memtable. It holds writes of little, as of a scan
	// or a release; see tableBytesMin. It is small since C's allocator keeps what
	// it was given back, for each thread: of 16 MiB it had 130 in the end.
	memTableBytes = 4 << 20
	// flushBytes are written at most before the memtable is flushed and waited for.
	flushBytes = memTableBytes / 2
	// openTablesMax is below the 1,024 files that a process may usually open.
	openTablesMax = 500
	// sublevelsMax of Pebble's level 0, each of which a read looks through;
	// then writes wait for a compaction.
	sublevelsMax = 12
	// never is a limit of Pebble at which it would wait without an end if the
	// disk is full. The store does its own waiting, and stops with an error.
	never = 1 << 20
)

// Store is one directory. Its methods may be called by several goroutines.
type Store struct {
	config    Config
	db        *pebble.DB
	lock      io.Closer
	log       *slog.Logger
	half      int64         // of RowBytes, or halfMax: so much is pending when a write begins
	share     atomic.Int64  // of RowBytes, for each open partition
	used      atomic.Int64  // memory of rows of all partitions
	most      atomic.Int64  // what it should be at most
	wait      time.Duration // waitMax
	frozen    atomic.Int64  // when the last write began, nanoseconds since 1970
	failed    atomic.Pointer[failure]
	broken    chan struct{} // closed when failed is set
	pending   atomic.Int64  // bytes of pending rows
	writing   atomic.Int64  // bytes of rows that are being written
	writer    chan struct{} // holds one token while rows are frozen and written
	relieving sync.Mutex    // held by the Seal that begins the next write
	order     order         // used by who has writer
	unflushed int           // bytes of batches since the last flush; likewise

	fs        vfs.FS                // of the directory
	tables    sstable.WriterOptions // of those that the store writes itself
	tableFrom int64                 // tableBytesMin

	mu         sync.Mutex
	partitions map[int32]*Partition // those that are open

	ending sync.Mutex // held by Close, guards closed
	closed bool
	// asking is held for reading while Pebble is asked for its metrics, which it
	// must not be after its end.
	asking sync.RWMutex

	// After an error in its manifest Pebble stands still for good, some of its
	// locks held: whoever waits for it waits for stuck as well. See logger.
	opened    atomic.Bool
	standing  sync.Once
	stuck     chan struct{}
	stillness error // why; set before stuck is closed
}

// Open opens the store in a directory, or begins one. The error says what to
// do: if the directory is in use, another owner's, of another format, damaged,
// not writable, or its disk is full.
func Open(config Config) (*Store, error) { return open(config, vfs.Default) }

func open(config Config, fs vfs.FS) (*Store, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		config: config, log: config.Logger, half: min(config.RowBytes/2, halfMax), wait: waitMax, tableFrom: tableBytesMin,
		broken: make(chan struct{}), stuck: make(chan struct{}), writer: make(chan struct{}, 1),
		partitions: map[int32]*Partition{},
	}
	s.order.index = config.Index
	s.frozen.Store(time.Now().UnixNano())
	lock, err := claim(fs, config.Directory, config.Owner)
	if err != nil {
		return nil, err
	}
	s.lock = lock
	if err := fs.Remove(fs.PathJoin(config.Directory, tableFile)); err != nil && !oserror.IsNotExist(err) {
		return nil, errors.Join(accessError(config.Directory, err), lock.Close())
	}
	options := s.options(fs)
	options.Lock = lock
	s.db, err = pebble.Open(config.Directory, options)
	options.Cache.Unref() // Pebble has its own reference, or does not need one
	if err != nil {
		return nil, errors.Join(openError(config.Directory, err), lock.Close())
	}
	s.fs, s.tables = options.FS, options.MakeWriterOptions(tableLevel, s.db.TableFormat())
	s.opened.Store(true)
	return s, nil
}

func (c Config) withDefaults() (Config, error) {
	if c.RowBytes == 0 {
		c.RowBytes = rowDefault
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = cacheDefault
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	var all []error
	if c.Directory == "" {
		all = append(all, errors.New("store: configuration: Directory is empty"))
	}
	if c.Owner == "" {
		all = append(all, errors.New("store: configuration: Owner is empty"))
	}
	if c.RowBytes < 0 {
		all = append(all, errors.New("store: configuration: RowBytes is negative"))
	}
	if c.CacheBytes < 0 {
		all = append(all, errors.New("store: configuration: CacheBytes is negative"))
	}
	return c, errors.Join(all...)
}

func (s *Store) options(fs vfs.FS) *pebble.Options {
	o := &pebble.Options{
		FS:                          s.untilFailure(fs),
		DisableWAL:                  true,
		FormatMajorVersion:          pebble.FormatNewest,
		MaxOpenFiles:                openTablesMax,
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: never,
		L0StopWritesThreshold:       never,
		Logger:                      logger{s},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { s.fail("write", err) },
			DataCorruption:  func(d pebble.DataCorruptionInfo) { s.fail("read", damaged(d.Details)) },
			LowDiskSpace: func(d pebble.LowDiskSpaceInfo) {
				s.log.Warn("store: the disk is nearly full: free space", "directory", s.config.Directory, "availableBytes", d.AvailBytes, "totalBytes", d.TotalBytes)
			},
		},
	}
	// Pebble takes its memtables, of which one is filled and one is flushed, out of
	// the cache.
	o.Cache = pebble.NewCache(s.config.CacheBytes + 2*memTableBytes)
	for i := range o.Levels {
		// A filter at each level: half of the questions of a young table are for
		// rows that do not exist.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		// Level 0 is read once more within the minute, by a compaction: packing it
		// would cost a fifth of the write. Below, Snappy halves rows of Avro.
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	o.Levels[0].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	o.EnsureDefaults()
	return o
}

// Partition opens partition p at the position that Pebble knows. A partition is
// open once at a time; Release gives it back.
func (s *Store) Partition(p int32) (*Partition, error) {
	if p < 0 {
		panic(fmt.Sprintf("store: partition %d is no partition", p))
	}
	if err := s.failure(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.partitions[p] != nil {
		return nil, fmt.Errorf("store: partition %d of %s is open already; release it first", p, s.config.Directory)
	}
	partition := &Partition{store: s, number: p, staged: map[string][]byte{}, room: pieces.New[byte](roomBytes)}
	partition.key = appendPrefix(partition.key, p, kindRow)
	value, closer, err := s.db.Get(appendPrefix(nil, p, kindPosition))
	if err == nil {
		if len(value) == positionBytes {
			partition.position = int64(binary.BigEndian.Uint64(value))
		} else {
			err = damaged(errors.Newf("the position of partition %d has %d bytes", errors.Safe(p), errors.Safe(len(value))))
		}
		err = errors.Join(err, closer.Close())
	}
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return nil, s.fail("read", err)
	}
	isNew := err != nil // no position, no rows
	partition.memory, partition.load = newMemory(isNew), load{next: appendPrefix(nil, p, kindRow), over: isNew}
	s.partitions[p] = partition
	s.divide()
	return partition, nil
}

// divide gives every open partition an equal share of RowBytes.
func (s *Store) divide() {
	partitions := int64(max(1, len(s.partitions)))
	share := s.config.RowBytes / partitions
	s.share.Store(share)
	s.most.Store(s.config.RowBytes + partitions*slackSegments*int64(segmentBytes(share)))
}

// room is what a partition may take which has some memory: its share, or less if
// others have not given back yet what they had when they were fewer.
func (s *Store) room(has int64) int64 {
	share := s.share.Load()
	return min(share, max(has-s.over(), share/4))
}

// over is what all partitions have more than they should; less than nothing is
// free.
func (s *Store) over() int64 { return s.used.Load() - s.most.Load() }

// segmentBytes is the size of a segment of a share, in whole pages.
func segmentBytes(share int64) int {
	const page = 4 << 10
	return int(min(max(share/segmentsOfShare, segmentBytesMin), segmentBytesMax)) / page * page
}

// Close writes and flushes everything pending, so that the next start need not
// read the changelog. Staged rows are dropped. No partition may be in a call;
// from now on each gives an error. The store is gone whatever Close returns;
// after some errors of the disk the directory is free only when the process
// has ended.
func (s *Store) Close() error {
	s.ending.Lock()
	defer s.ending.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.apart(func() {
		s.write(s.open()...)
		if s.failure() == nil {
			s.flushMemTable()
		}
	})
	select {
	case s.writer <- struct{}{}: // for good; a write that runs on after an error is over
		for _, p := range s.open() {
			p.free()
		}
	case <-s.stuck:
	}
	s.fail("", errClosed) // from now on, if nothing was wrong before
	if end := s.end(); err == nil {
		err = end
	}
	return err
}

// end ends Pebble, unless it stands still.
func (s *Store) end() error {
	ended := make(chan error, 1)
	go func() {
		s.asking.Lock()
		defer s.asking.Unlock()
		ended <- errors.Join(s.db.Close(), s.lock.Close())
	}()
	var err error
	select {
	case err = <-ended:
	case <-s.stuck:
		err = s.stillness
	}
	if err != nil {
		return describe("close", s.config.Directory, err)
	}
	return nil
}

// open gives the partitions that are open.
func (s *Store) open() (all []*Partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.partitions {
		all = append(all, p)
	}
	return all
}

// Stats are the store in numbers.
type Stats struct {
	DiskBytes    int64 // files of the directory
	MemoryBytes  int64 // memory that rows take beside Go's heap
	PendingBytes int64 // committed rows that Pebble does not have yet
	CacheBytes   int64 // blocks in the block cache
	CacheHits    int64 // blocks that were found there, since Open
	CacheMisses  int64 // and those read from the disk
}

// Stats of now; zero after Close or a failure.
func (s *Store) Stats() Stats {
	asked := make(chan Stats, 1)
	go func() {
		s.asking.RLock()
		defer s.asking.RUnlock()
		if s.failure() != nil {
			asked <- Stats{}
			return
		}
		m := s.db.Metrics()
		asked <- Stats{
			DiskBytes:    int64(m.DiskSpaceUsage()),
			MemoryBytes:  s.used.Load(),
			PendingBytes: s.pending.Load() + s.writing.Load(),
			CacheBytes:   m.BlockCache.Size, CacheHits: m.BlockCache.Hits, CacheMisses: m.BlockCache.Misses,
		}
	}()
	select {
	case stats := <-asked:
		return stats
	case <-s.stuck:
		return Stats{}
	}
}
