package benchmarks

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/schemas/facts"
	"github.com/vouch-engine/vouch/topology"
)

// certifierOutputs are the topics that are compared: what the certifier says
// to those outside.
var certifierOutputs = []string{topology.CertificationCompleted, topology.CertificationRevoked, topology.Alert, topology.Quarantine}

// records counts output records, each in one form however it was written: a
// JSON object with its keys sorted.
type records map[string]int

// add counts one line of output: of decide's, or of tail's, which says where
// in the log it stands and shows what cannot be decoded as bytes.
func (r records) add(line []byte) error {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return fmt.Errorf("an output line is not JSON: %w", err)
	}
	delete(fields, "partition")
	delete(fields, "offset")
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	r[string(text)]++
	return nil
}

// read counts all lines.
func (r records) read(from io.Reader) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if err := r.add(line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// count is the number of records.
func (r records) count() (all int) {
	for _, n := range r {
		all += n
	}
	return all
}

// differences between what should be and what is.
type differences struct {
	missing, repeated, unexpected int
	lines                         []string
}

func compare(want, got records) (d differences) {
	note := func(what string, line string, wanted, found int) {
		d.lines = append(d.lines, fmt.Sprintf("{%q:{\"wanted\":%d,\"found\":%d},\"record\":%s}", what, wanted, found, line))
	}
	for line, wanted := range want {
		switch found := got[line]; {
		case found < wanted:
			d.missing += wanted - found
			note("missing", line, wanted, found)
		case found > wanted:
			d.repeated += found - wanted
			note("repeated", line, wanted, found)
		}
	}
	for line, found := range got {
		if want[line] == 0 {
			d.unexpected += found
			note("unexpected", line, 0, found)
		}
	}
	slices.Sort(d.lines)
	return d
}

func (d differences) equal() bool { return len(d.lines) == 0 }

func (d differences) String() string {
	return fmt.Sprintf("%d records are missing, %d are there again, %d are of nobody's deciding", d.missing, d.repeated, d.unexpected)
}

// write lists them in a file.
func (d differences) write(path string) error {
	var text bytes.Buffer
	for _, line := range d.lines {
		text.WriteString(line + "\n")
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}

// oracle decides facts offline, and counts the certifier's records as a broker
// with several partitions shows them.
type oracle struct {
	fold    *topology.Fold
	from    io.Reader
	read    int64    // bytes
	keys    []string // of a tick, by partition
	facts   int
	records records
}

func newOracle(c *catalogue.Catalogue, from io.Reader, partitions int) *oracle {
	return &oracle{fold: topology.NewFold(c), from: from, keys: topology.TickKeys(partitions), records: records{}}
}

// decide goes on until so many bytes of the facts are read.
func (o *oracle) decide(until int64) error {
	lines := facts.NewReader(io.LimitReader(o.from, until-o.read))
	o.read = until
	for {
		line, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("decide the facts offline: %w", err)
		}
		o.facts++
		for _, output := range o.fold.Step(line) {
			if err := o.expect(line, output); err != nil {
				return fmt.Errorf("decide the facts offline: %w", err)
			}
		}
	}
}

// expect counts a record that a line leads to.
func (o *oracle) expect(line facts.Line, output facts.Output) error {
	if !slices.Contains(certifierOutputs, output.Topic) {
		return nil
	}
	if output.Topic != topology.Quarantine {
		var text bytes.Buffer
		if err := facts.Write(&text, output); err != nil {
			return err
		}
		return o.records.add(text.Bytes())
	}
	fields := map[string]any{"topic": output.Topic, "reason": output.Reason, "key": output.Key, "value": nil}
	if line.Value != nil {
		if value, err := topology.DecodeFact(line); err == nil {
			fields["value"] = value
		} else {
			delete(fields, "value")
			fields["bytes"] = []byte(line.Value)
		}
	}
	if line.Topic != topology.Clock {
		return o.quarantined(fields)
	}
	for _, key := range o.keys { // a tick is one record a partition
		fields["key"] = key
		if err := o.quarantined(fields); err != nil {
			return err
		}
	}
	return nil
}

func (o *oracle) quarantined(fields map[string]any) error {
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return o.records.add(text)
}

// pieces gives the line numbers, from 0, between which the pieces of the facts
// lie: the first half in equal slices, then the second half.
func pieces(lines, slices int) (borders []int) {
	for i := range slices + 1 {
		borders = append(borders, lines/2*i/slices)
	}
	return append(borders, lines)
}

// cut gives the bytes at which the lines of the given numbers begin. The
// numbers rise; that of the end is the number of lines.
func cut(from io.Reader, numbers []int) (borders []int64, err error) {
	reader := bufio.NewReaderSize(from, 1<<20)
	var at int64
	for line := 0; ; {
		for len(borders) < len(numbers) && numbers[len(borders)] == line {
			borders = append(borders, at)
		}
		if len(borders) == len(numbers) {
			return borders, nil
		}
		text, err := reader.ReadSlice('\n')
		at += int64(len(text))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(text) > 0:
			line++
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", line+1, err)
		default:
			line++
		}
	}
}
