package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// fileGateway stands for the gateway of an SMS provider, which every provider
// has a protocol of its own for: a file with a line a message,
//
//	time · key · phone · text
//
// separated by tabs. Like a provider it knows the keys of what it has sent, and
// sends nothing again. It is for one process at a time.
type fileGateway struct {
	file *os.File
	keys map[string]bool
}

// openFileGateway reads the keys of what was sent. Half a line at the end is a
// message that a killed process never handed over.
func openFileGateway(path string) (*fileGateway, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the gateway: %w", err)
	}
	g := &fileGateway{file: file, keys: map[string]bool{}}
	if err := g.load(); err != nil {
		file.Close() // what went wrong first is told
		return nil, fmt.Errorf("open the gateway %s: %w", path, err)
	}
	return g, nil
}

func (g *fileGateway) load() error {
	if err := syscall.Flock(int(g.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another process has it: end that one first: %w", err)
	}
	all, err := io.ReadAll(g.file)
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(all, '\n') + 1
	for line := range bytes.Lines(all[:whole]) {
		if fields := bytes.Split(line, []byte("\t")); len(fields) == 4 {
			g.keys[string(fields[1])] = true
		}
	}
	return g.file.Truncate(int64(whole))
}

// send writes a message, once a key.
func (g *fileGateway) send(key, phone, text string) error {
	if g.keys[key] {
		return nil
	}
	line := fmt.Sprintf("%s\t%s\t%s\t%s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), key, phone, text)
	if _, err := g.file.WriteString(line); err != nil {
		return fmt.Errorf("hand a message to the gateway: %w", err)
	}
	g.keys[key] = true
	return nil
}

func (g *fileGateway) close() error { return g.file.Close() }
