package store

import (
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	identityFile   = "IDENTITY"
	identityFormat = "vouch store 1"
	// identityBytesMax: what is longer was not written by a store.
	identityBytesMax = 4 << 10
)

// claim locks a directory and makes sure that it is the owner's, or writes that
// it is from now on.
func claim(disk vfs.FS, directory, owner string) (*pebble.Lock, error) {
	if err := disk.MkdirAll(directory, 0o755); err != nil {
		return nil, accessError(directory, err)
	}
	lock, err := pebble.LockDirectory(directory, disk)
	if err != nil {
		// Without a path it is not the file that could not be made but the lock
		// that could not be had.
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			return nil, accessError(directory, err)
		}
		return nil, fmt.Errorf("store: open %s: another process has it: stop that process, or give this one a directory of its own", directory)
	}
	if err := identify(disk, directory, owner); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func identify(disk vfs.FS, directory, owner string) error {
	found, err := readIdentity(disk, disk.PathJoin(directory, identityFile))
	if oserror.IsNotExist(err) {
		return writeIdentity(disk, directory, fmt.Sprintf("%s\nowner %q\n", identityFormat, owner))
	}
	if err != nil {
		return accessError(directory, err)
	}
	format, rest, _ := strings.Cut(found, "\n")
	if format != identityFormat {
		return fmt.Errorf("store: open %s: its format is %q, and this program knows %q: stop, remove the directory, and start again: it is rebuilt from the changelog", directory, format, identityFormat)
	}
	other := ""
	if _, err := fmt.Sscanf(rest, "owner %q\n", &other); err != nil {
		return describe("open", directory, damaged(errors.Wrapf(err, "read %s", errors.Safe(identityFile))))
	}
	if other != owner {
		return fmt.Errorf("store: open %s: it belongs to %q, and this is %q: give each a directory of its own, or remove this one: it is rebuilt from the changelog", directory, other, owner)
	}
	return nil
}

func readIdentity(disk vfs.FS, path string) (string, error) {
	file, err := disk.Open(path)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(file, identityBytesMax))
	return string(text), errors.Join(err, file.Close())
}

// writeIdentity begins a store, in a directory in which there is nothing else:
// Pebble removes files that it takes for its own.
func writeIdentity(disk vfs.FS, directory, text string) error {
	names, err := disk.List(directory)
	if err != nil {
		return accessError(directory, err)
	}
	const unfinished = identityFile + ".tmp" // left by a kill in here
	for _, name := range names {
		if name != "LOCK" && name != unfinished {
			return fmt.Errorf("store: open %s: it holds other files and no store: give an empty or a new directory", directory)
		}
	}
	path := disk.PathJoin(directory, unfinished)
	file, err := disk.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return accessError(directory, err)
	}
	_, err = file.Write([]byte(text))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return accessError(directory, err)
	}
	if err := disk.Rename(path, disk.PathJoin(directory, identityFile)); err != nil {
		return accessError(directory, err)
	}
	parent, err := disk.OpenDir(directory)
	if err != nil {
		return accessError(directory, err)
	}
	if err := errors.Join(parent.Sync(), parent.Close()); err != nil {
		return accessError(directory, err)
	}
	return nil
}
