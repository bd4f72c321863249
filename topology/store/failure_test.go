package store

import (
	"bytes"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error is %q, and does not say %q", err, word)
		}
	}
}

// TestInUse: the second to open a directory is told so, be it of this process
// or of another.
func TestInUse(t *testing.T) {
	const variable = "VOUCH_STORE_TEST_DIRECTORY"
	config := testConfig()
	config.Directory = os.Getenv(variable)
	if config.Directory != "" { // this is the other process
		_, err := Open(config)
		fmt.Println(err)
		return
	}
	config.Directory = filepath.Join(t.TempDir(), "deep", "store")
	s := must(Open(config))
	_, err := Open(config)
	wantError(t, err, config.Directory, "another process has it", "a directory of its own")
	other := exec.Command(os.Args[0], "-test.run=^TestInUse$")
	other.Env = append(os.Environ(), variable+"="+config.Directory)
	wantError(t, errors.New(string(must(other.CombinedOutput()))), config.Directory, "another process has it")
	ok(s.Close())
	ok(must(Open(config)).Close())
}

// TestRefused: a directory that is not this store's is left as it is, with a
// sentence that says what to do.
func TestRefused(t *testing.T) {
	disk := vfs.NewMem()
	config := testConfig()
	ok(must(open(config, disk)).Close())

	other := config
	other.Owner = "other"
	_, err := open(other, disk)
	wantError(t, err, `belongs to "test"`, `this is "other"`, "remove this one: it is rebuilt from the changelog")

	put(disk, "store/IDENTITY", "vouch store 2\nowner \"test\"\n")
	_, err = open(config, disk)
	wantError(t, err, `"vouch store 2"`, "remove the directory", "rebuilt from the changelog")

	put(disk, "store/IDENTITY", "vouch store 1\nowner")
	_, err = open(config, disk)
	wantError(t, err, "damaged", "remove the directory", "rebuilt from the changelog")

	ok(disk.MkdirAll("home", 0o755))
	put(disk, "home/letter", "dear")
	config.Directory = "home"
	_, err = open(config, disk)
	wantError(t, err, "home", "other files", "new directory")

	_, err = open(Config{RowBytes: -1}, disk)
	wantError(t, err, "Directory", "Owner", "RowBytes")
}

func put(disk vfs.FS, path, text string) {
	file := must(disk.Create(path, vfs.WriteCategoryUnspecified))
	must(file.Write([]byte(text)))
	ok(file.Close())
}

// TestUnfinishedIdentity: a kill while a store begins does not end it.
func TestUnfinishedIdentity(t *testing.T) {
	disk := vfs.NewMem()
	ok(disk.MkdirAll("store", 0o755))
	put(disk, "store/IDENTITY.tmp", "vouch st")
	ok(must(open(testConfig(), disk)).Close())
}

// TestLeftOver: a table that a kill has left half written is gone after a start.
func TestLeftOver(t *testing.T) {
	disk := vfs.NewMem()
	ok(must(open(testConfig(), disk)).Close())
	put(disk, "store/"+tableFile, "half a table")
	ok(must(open(testConfig(), disk)).Close())
	if _, err := disk.Stat("store/" + tableFile); !oserror.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

// TestNotWritable: whichever file cannot be written, the error says where.
func TestNotWritable(t *testing.T) {
	for _, file := range []string{"LOCK", "IDENTITY", "MANIFEST"} {
		disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.Contains(op.Path, file) {
				return &iofs.PathError{Op: "open", Path: op.Path, Err: syscall.EACCES}
			}
			return nil
		}))
		_, err := open(testConfig(), disk)
		wantError(t, err, "store: open store", "permission denied", "let this user write there")
	}
}

// TestOpenedTwice: a partition is open once at a time.
func TestOpenedTwice(t *testing.T) {
	s := must(open(testConfig(), vfs.NewMem()))
	p := must(s.Partition(3))
	_, err := s.Partition(3)
	wantError(t, err, "partition 3", "open already")
	ok(p.Release())
	must(s.Partition(3))
	ok(s.Close())
	ok(s.Close())
	_, err = s.Partition(4)
	wantError(t, err, "closed")
	_, err = p.Get("")
	wantError(t, err, "closed")
	same(t, "stats", s.Stats(), Stats{})
}

// full is a disk on which files of one kind cannot be written once it is on.
func full(disk vfs.FS, kind string, on *atomic.Bool) vfs.FS {
	return errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if on.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.Contains(op.Path, kind) {
			return &iofs.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
		}
		return nil
	}))
}

// TestDiskFull: whatever cannot be written, a Seal says so and what to do, no
// call waits for ever, and with space again the store is a prefix of the
// changelog.
func TestDiskFull(t *testing.T) {
	for _, way := range []struct {
		kind      string
		tableFrom int64
	}{{".sst", tableBytesMin}, {"MANIFEST", tableBytesMin}, {"", tableBytesMin}, {tableFile, 0}, {"MANIFEST", 0}, {"", 0}} {
		kind := way.kind
		t.Run(fmt.Sprint(kind, way.tableFrom), func(t *testing.T) {
			const sentence = "store: write store: no space left on the disk: free space and start again; nothing is lost, the changelog has it"
			memory, on := vfs.NewCrashableMem(), new(atomic.Bool)
			config := testConfig()
			config.RowBytes = 1 << 20
			s := must(open(config, full(memory, kind, on)))
			s.tableFrom = way.tableFrom
			p := must(s.Partition(0))
			random, logs := rand.New(rand.NewPCG(1, 1)), make([]changelog, 1)
			var err error
			for n := 0; err == nil && n < 5000; n++ {
				if n == 1000 {
					ok(s.flush(p))
					s.flushMemTable()
					on.Store(true)
				}
				err = transact(p, &logs[0], random)
			}
			wantError(t, err, sentence)
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%v is no ENOSPC", err)
			}
			_, err = p.Get("1")
			wantError(t, err, sentence)
			_, err = p.GetMany([]string{"1"})
			wantError(t, err, sentence)
			wantError(t, p.Scan(nil, nil, nil), sentence)
			wantError(t, p.Release(), sentence)
			wantError(t, s.Close(), sentence)
			same(t, "stats", s.Stats(), Stats{})
			if found := checkWreck(t, config, memory.CrashClone(vfs.CrashCloneCfg{}), logs); found == 0 {
				t.Error("nothing was on the disk, so nothing was tested")
			}
			if kind == ".sst" || kind == tableFile {
				return // a new directory needs none
			}
			_, err = open(Config{Directory: "new", Owner: "test"}, full(memory, kind, on))
			wantError(t, err, "new", "no space left on the disk", "free space and start again")
		})
	}
}

// TestFailureStays: once a write has failed, nothing more is written, even if
// the disk is well again: Pebble would try again, and a manifest could name
// tables that it threw away in between.
func TestFailureStays(t *testing.T) {
	t.Run("memtable", func(t *testing.T) { checkFailureStays(t, ".sst", tableBytesMin) })
	t.Run("table", func(t *testing.T) { checkFailureStays(t, tableFile, 0) })
}

func checkFailureStays(t *testing.T, kind string, tableFrom int64) {
	memory, on := vfs.NewMem(), new(atomic.Bool)
	s := must(open(testConfig(), full(memory, kind, on)))
	s.tableFrom = tableFrom
	p := must(s.Partition(0))
	ok(p.Set("1", []byte("row")))
	ok(p.Seal(1))
	on.Store(true)
	if err := s.flush(p); err == nil { // it is in a memtable
		s.flushMemTable()
	}
	wantError(t, p.Seal(2), "no space left")
	same(t, "position", p.Position(), int64(1))
	before := memory.String()
	on.Store(false)
	time.Sleep(5 * failedPause)
	if after := memory.String(); after != before {
		t.Errorf("the directory went from\n%s\nto\n%s", before, after)
	}
	wantError(t, s.Close(), "no space left")
	_, err := open(testConfig(), memory)
	ok(err)
}

// TestDamage: damage is found, and the remedy is in the error, but no key is.
func TestDamage(t *testing.T) {
	const secret = "citizen-4711"
	for _, kind := range []string{".sst", "marker.manifest", "missing"} {
		t.Run(kind, func(t *testing.T) {
			config, said := testConfig(), new(bytes.Buffer)
			config.Directory, config.Logger = t.TempDir(), slog.New(slog.NewTextHandler(said, nil))
			s := must(Open(config))
			p := must(s.Partition(0))
			for n := range 2000 {
				ok(p.Set(fmt.Sprintf("%s-%d", secret, n), bytes.Repeat([]byte{byte(n), byte(n >> 3)}, 300)))
			}
			ok(p.Seal(1))
			ok(s.Close())
			damage(config.Directory, kind)
			for _, many := range []bool{false, true} {
				err := readAll(config, secret, many)
				wantError(t, err, config.Directory, "damaged", "remove the directory, and start again: it is rebuilt from the changelog")
				if strings.Contains(err.Error()+said.String(), secret) {
					t.Errorf("a key is in %q or in %q", err, said)
				}
			}
		})
	}
}

// TestKeysStayOut: of what Pebble says, in an error or to the log, only what it
// declares safe is repeated.
func TestKeysStayOut(t *testing.T) {
	const secret = "citizen-4711"
	config, said := testConfig(), new(bytes.Buffer)
	config.Logger = slog.New(slog.NewTextHandler(said, nil))
	s := must(open(config, vfs.NewMem()))
	logger{s}.Infof("row %s", secret)
	same(t, "log", said.String(), "")
	logger{s}.Errorf("row %s is odd", secret)
	go logger{s}.Fatalf("%s", errors.Newf("row %s is wrong", secret)) // stays there
	<-s.stuck
	err := s.Close()
	wantError(t, err, "store: write store: row × is wrong", "nothing is lost")
	func() {
		defer func() { same(t, "panic", recover(), "store: Pebble: row × is impossible") }()
		logger{s}.Fatalf("row %s is impossible", secret)
	}()
	wantError(t, describe("read", "store", damaged(errors.Newf("row %s is lost", secret))), "it is damaged (row × is lost)")
	wantError(t, errors.New(said.String()), "row × is odd")
	if strings.Contains(said.String()+err.Error(), secret) {
		t.Errorf("a key is in %q or in %q", said, err)
	}
}

// damage spoils each file of a kind in its middle, or removes the tables.
func damage(directory, kind string) {
	pattern := kind
	if kind == "missing" {
		pattern = ".sst"
	}
	for _, path := range must(filepath.Glob(filepath.Join(directory, "*"+pattern+"*"))) {
		if kind == "missing" {
			ok(os.Remove(path))
			continue
		}
		if kind == "marker.manifest" {
			ok(os.Rename(path, path+"9"))
			continue
		}
		text := must(os.ReadFile(path))
		for n := len(text) / 4; n < len(text)*3/4; n += 100 {
			text[n] ^= 0x55
		}
		ok(os.WriteFile(path, text, 0o644))
	}
}

func readAll(config Config, prefix string, many bool) error {
	s, err := Open(config)
	if err != nil {
		return err
	}
	defer s.Close()
	p, err := s.Partition(0)
	var keys []string
	for n := range 2000 {
		keys = append(keys, fmt.Sprintf("%s-%d", prefix, n))
	}
	if err == nil && many {
		_, err = p.GetMany(keys)
	}
	for n := 0; err == nil && !many && n < len(keys); n++ {
		_, err = p.Get(keys[n])
	}
	return err
}

// TestSealWaits: what is pending is bounded by waiting for the disk, and what
// waits goes on with the disk.
func TestSealWaits(t *testing.T) {
	var blocked, waiting atomic.Bool
	gate := make(chan struct{})
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if blocked.Load() && op.Kind == errorfs.OpCreate {
			waiting.Store(true) // what is written is counted as that
			<-gate
		}
		return nil
	}))
	config := testConfig()
	config.RowBytes, config.Index = 16<<20, nil
	s := must(open(config, disk))
	p := must(s.Partition(0))
	blocked.Store(true)
	const rowBytes = 1 << 20
	done := make(chan int64)
	var sealed atomic.Int64
	go func() {
		for n := range int64(2 * config.RowBytes / rowBytes) {
			ok(p.Set(fmt.Sprint(n), make([]byte, rowBytes)))
			ok(p.Seal(n + 1))
			sealed.Store(n + 1)
		}
		close(done)
	}()
	for last := int64(-1); last != sealed.Load() || !waiting.Load(); time.Sleep(100 * time.Millisecond) {
		last = sealed.Load()
	}
	if pending := s.Stats().PendingBytes; pending > config.RowBytes+2*rowBytes {
		t.Errorf("%d bytes are pending, more than %d", pending, config.RowBytes)
	}
	select {
	case <-done:
		t.Error("no Seal waited for the disk")
	default:
	}
	close(gate)
	<-done
	ok(s.Close())
	same(t, "pending at the end", s.pending.Load()+s.writing.Load(), int64(0))
}

// TestRelievedOnce: of several Seals that find the store full, one begins a
// write; the others do not write the little that has come since.
func TestRelievedOnce(t *testing.T) {
	s := must(open(testConfig(), vfs.NewMem()))
	defer func() { ok(s.Close()) }()
	p := must(s.Partition(0))
	ok(p.Set("", nil))
	ok(p.Seal(1))
	ok(s.relieve())
	same(t, "freezes", p.memory.epoch-1, uint32(0))
}

// TestRowsWaitNoLonger: what has waited for long is written by the next Seal,
// however little it is.
func TestRowsWaitNoLonger(t *testing.T) {
	s := must(open(testConfig(), vfs.NewMem()))
	defer func() { ok(s.Close()) }()
	p := must(s.Partition(0))
	for position, wait := range []time.Duration{time.Hour, time.Nanosecond} {
		s.wait = wait
		ok(p.Set("a", []byte("row")))
		ok(p.Seal(int64(position + 1)))
		ok(s.flush()) // waits for the write, and writes nothing
		same(t, "frozen", p.memory.epoch > 1, wait < time.Hour)
	}
}

// TestStagedMapGivenUp: after one large transaction, small ones do not empty a
// large map each time.
func TestStagedMapGivenUp(t *testing.T) {
	s := must(open(testConfig(), vfs.NewMem()))
	defer func() { ok(s.Close()) }()
	p := must(s.Partition(0))
	for row := range stagedKept * stagedUsed {
		ok(p.Set(fmt.Sprint(row), nil))
	}
	p.Drop()
	ok(p.Set("", nil))
	same(t, "the map is the large one", p.peak > stagedKept, true)
	p.Drop()
	same(t, "rows that the map has held", p.peak, 0)
}

// TestUnreadableRow: a row that Index cannot read, because another version of
// the program wrote it, ends the store with a sentence, whoever finds it. Nothing
// of its write is seen, and the error shows no key.
func TestUnreadableRow(t *testing.T) {
	const secret = "citizen-4711"
	unreadable := []byte("9")
	full := bytes.Repeat([]byte("a"), int(testConfig().RowBytes))
	for name, find := range map[string]func(*Partition) error{
		"seal": func(p *Partition) error {
			ok(p.Set(secret+"-2", unreadable))
			ok(p.Set("2", full))
			if err := p.Seal(2); err != nil { // it begins the write, the next one waits for it
				return err
			}
			ok(p.Set("3", full))
			return p.Seal(3)
		},
		"restore": func(p *Partition) error {
			if err := p.Restore(inOneBuffer([]changed{{secret + "-2", unreadable}, {"2", full}}), 2); err != nil {
				return err
			}
			return p.Restore(inOneBuffer([]changed{{"3", full}}), 3)
		},
		"scan": func(p *Partition) error {
			ok(p.Set("2", []byte("b")))
			ok(p.Set(secret+"-2", unreadable))
			ok(p.Seal(2))
			return p.Scan(nil, nil, func([]byte) bool { return true })
		},
		"old version": func(p *Partition) error {
			ok(p.Set(secret, []byte("b")))
			ok(p.Seal(2))
			return p.Scan(nil, nil, func([]byte) bool { return true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			checkUnreadable(t, secret, tableBytesMin, find)
			checkUnreadable(t, secret, 0, find)
		})
	}
}

// checkUnreadable lets find meet an unreadable row in a store that holds one
// row, which was readable when it was written.
func checkUnreadable(t *testing.T, secret string, tableFrom int64, find func(*Partition) error) {
	const sentence = "store: index a row of partition 0 of store: its format is 9: start a version of this program that reads it; nothing is lost, the changelog has it"
	disk, config := vfs.NewMem(), testConfig()
	words, unknown := config.Index, errors.New("its format is 9")
	other := config // another version of the program
	other.Index = func(key string, row []byte, add func([]byte)) error {
		ok(words(key, row, add))
		if row[0] == '9' {
			return unknown
		}
		return nil
	}
	s := must(open(config, disk))
	p := must(s.Partition(0))
	ok(p.Set(secret, []byte("9")))
	ok(p.Seal(1))
	ok(s.Close())
	s = must(open(other, disk))
	s.tableFrom = tableFrom
	err := find(must(s.Partition(0)))
	wantError(t, err, sentence)
	if !errors.Is(err, unknown) || strings.Contains(err.Error(), secret) {
		t.Errorf("%q is not the error of Index, or shows a key", err)
	}
	wantError(t, s.Close(), sentence)
	s = must(open(config, disk))
	p = must(s.Partition(0))
	same(t, "position", p.Position(), int64(1))
	same(t, "rows", rowsOf(p), rows{secret: "9"})
	same(t, "entries", entriesOf(p, nil, nil), []string{"9"})
	ok(s.Close())
}
