package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// idBytes is the length of an event id, 32 hex digits.
const idBytes = 32

// rememberedMax bounds the memory; beyond it the oldest ids are forgotten. It
// must reach back as far as offsets may be read again: two loads of a million.
const rememberedMax = 2_000_000

// memory is the set of the events that were sent, in a file that grows by a line
// an event: the id and a newline. A line is written before its record is
// committed, and lost at most together with the commit.
type memory struct {
	file *os.File
	max  int
	ids  map[string]bool
	line []string // of the ids, oldest first
}

func openMemory(path string) (*memory, error) { return openMemoryOf(path, rememberedMax) }

// openMemoryOf reads what a memory holds. The last line of one that was killed
// may be half of one: its event was never remembered, so that is cut off.
func openMemoryOf(path string, limit int) (*memory, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the memory: %w", err)
	}
	m := &memory{file: file, max: limit, ids: map[string]bool{}}
	from, line := bufio.NewReader(file), make([]byte, idBytes+1)
	for {
		_, err := io.ReadFull(from, line)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err == nil && line[idBytes] != '\n' {
			err = errors.New("it has a line that is no event id: is it another program's file?")
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("read the memory %s: %w", path, err), file.Close())
		}
		m.hold(string(line[:idBytes]))
	}
	if err := m.rewrite(); err != nil {
		return nil, errors.Join(fmt.Errorf("tidy the memory %s: %w", path, err), file.Close())
	}
	return m, nil
}

// rewrite brings the file to what is held: without half a line, and without what
// was forgotten. The new file has its name only once it is whole.
func (m *memory) rewrite() error {
	info, err := m.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() == int64(len(m.line))*(idBytes+1) {
		return nil
	}
	path := m.file.Name()
	fresh, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	to := bufio.NewWriter(fresh)
	for _, id := range m.line {
		to.WriteString(id + "\n") // a failure is in Flush
	}
	if err := errors.Join(to.Flush(), fresh.Sync(), os.Rename(path+".new", path), m.file.Close()); err != nil {
		return errors.Join(err, fresh.Close())
	}
	m.file = fresh
	return nil
}

func (m *memory) hold(id string) {
	if m.ids[id] {
		return
	}
	m.ids[id] = true
	m.line = append(m.line, id)
	if len(m.line) > m.max {
		delete(m.ids, m.line[0])
		m.line = m.line[1:]
	}
}

func (m *memory) has(id string) bool { return m.ids[id] }

// add remembers an event. It survives the end of the process at once, that of
// the machine after sync.
func (m *memory) add(id string) error {
	if _, err := m.file.WriteString(id + "\n"); err != nil {
		return fmt.Errorf("remember an event: %w", err)
	}
	m.hold(id)
	return nil
}

// sync brings the memory to the disk; only then its records may be committed.
func (m *memory) sync() error {
	if err := m.file.Sync(); err != nil {
		return fmt.Errorf("bring the memory to the disk: %w", err)
	}
	return nil
}

func (m *memory) close() error { return m.file.Close() }
