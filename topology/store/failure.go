package store

import (
	"fmt"
	"syscall"
	"time"

	"github.com/cockroachdb/errors" // whose texts tell what is safe to show
	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/cockroachdb/redact"
)

// failedPause slows Pebble down, which tries a flush again and again.
const failedPause = 20 * time.Millisecond

var errClosed = errors.New("closed")

// failure is the first error of a store, after which it does nothing more. Its
// text holds no key, which is somebody's id; Unwrap gives Pebble's error.
type failure struct {
	text  string
	cause error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// indexError is that of Config.Index, for a row of a partition.
type indexError struct {
	partition int32
	cause     error
}

func (e *indexError) Error() string { return e.cause.Error() }
func (e *indexError) Unwrap() error { return e.cause }

// failure gives the error that has ended the store, if one has.
func (s *Store) failure() error {
	if f := s.failed.Load(); f != nil {
		return f
	}
	return nil
}

// fail ends the store, unless it has already ended, and gives the reason. It
// takes no lock, since Pebble calls it with its own held.
func (s *Store) fail(doing string, err error) error {
	if s.failed.CompareAndSwap(nil, describe(doing, s.config.Directory, err)) {
		close(s.broken)
	}
	return s.failure()
}

func describe(doing, directory string, err error) *failure {
	f, row := &failure{cause: err}, (*indexError)(nil)
	switch {
	case errors.As(err, &row):
		f.text = fmt.Sprintf("store: index a row of partition %d of %s: %s: start a version of this program that reads it; nothing is lost, the changelog has it", row.partition, directory, row.cause)
	case errors.Is(err, errClosed):
		f.text = fmt.Sprintf("store: %s is closed", directory)
	case vfs.IsNoSpaceError(err):
		f.text = fmt.Sprintf("store: %s %s: no space left on the disk: free space and start again; nothing is lost, the changelog has it", doing, directory)
	case pebble.IsCorruptionError(err):
		f.text = fmt.Sprintf("store: %s %s: it is damaged (%s): stop, remove the directory, and start again: it is rebuilt from the changelog", doing, directory, withoutKeys(err))
	default:
		f.text = fmt.Sprintf("store: %s %s: %s: mend the disk or give another directory, and start again; nothing is lost, the changelog has it", doing, directory, withoutKeys(err))
	}
	return f
}

// withoutKeys is the text of an error of Pebble without what Pebble does not
// declare safe: keys are not.
func withoutKeys(err error) string {
	return redact.Sprint(err).Redact().StripMarkers()
}

// damaged says of an error that it comes from damage.
func damaged(err error) error { return errors.Mark(err, pebble.ErrCorruption) }

// accessError says why a directory cannot be used at all.
func accessError(directory string, err error) error {
	if oserror.IsPermission(err) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("store: open %s: %w: let this user write there, or give another directory", directory, err)
	}
	return describe("open", directory, err)
}

// openError tells damage from what the system refuses: the latter has a number,
// except that a file which the manifest names and which is not there is damage.
func openError(directory string, err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) && errno != syscall.ENOENT {
		return accessError(directory, err)
	}
	return describe("open", directory, damaged(err))
}

// untilFailure is a file system that nothing can be written to once the store
// has failed. Pebble tries again what went wrong. A manifest whose sync failed
// and then succeeds would name tables that were thrown away in between; a
// directory to which nothing is written stays whole.
func (s *Store) untilFailure(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		f := s.failed.Load()
		if f == nil || f.cause == errClosed || op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		if op.Kind == errorfs.OpCreate {
			time.Sleep(failedPause)
		}
		return f
	}))
}

// logger is where Pebble speaks. Its news are the store's own business.
type logger struct{ store *Store }

func (l logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) {
	l.store.log.Warn("store: Pebble complains", "directory", l.store.config.Directory, "text", redact.Sprintf(format, args...).Redact().StripMarkers())
}

// Fatalf is called where Pebble expects that the process ends at once. The
// process needs its last second to say why, so Pebble alone ends: an edit of the
// manifest that failed has left it with a state half old, half new, and if its
// goroutine went on, the next compaction would panic, with keys in the text. So
// it stays here, with Pebble's own lock, and nothing of Pebble moves, a read that
// just then lets go of an old version included. Not while Pebble opens: then it
// is the caller's goroutine, and an error is returned.
//
// What comes without an error is a mistake in Pebble.
func (l logger) Fatalf(format string, args ...any) {
	for _, arg := range args {
		if err, is := arg.(error); is {
			l.store.fail("write", err)
			if l.store.opened.Load() {
				l.store.standStill(err)
			}
			return
		}
	}
	panic("store: Pebble: " + redact.Sprintf(format, args...).Redact().StripMarkers())
}

func (s *Store) standStill(err error) {
	s.standing.Do(func() {
		s.stillness = err
		close(s.stuck)
	})
	select {}
}
