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

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/schemas/facts"
	"github.com/vouch-engine/vouch/topology"
)

// records are output records as a reader of committed records sees them, each
// in one form however it was written: a JSON object with its keys sorted.
type records struct {
	counts map[string]int
	// rows are the records of each partition of a topic, in their order. Those
	// without a key have no place of their own and are not among them.
	rows map[row][]string
}

// row is a partition of a topic.
type row struct{ topic, partition string }

func newRecords() records { return records{map[string]int{}, map[row][]string{}} }

// add takes in one line, which may say where in the log it stands.
func (r records) add(line []byte) error {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return fmt.Errorf("an output line is not JSON: %w", err)
	}
	topic, _ := fields["topic"].(string)
	partition, placed := fields["partition"].(json.Number)
	delete(fields, "partition")
	delete(fields, "offset")
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	one := string(text)
	if r.counts[one]++; placed && fields["key"] != nil {
		at := row{topic, partition.String()}
		r.rows[at] = append(r.rows[at], one)
	}
	return nil
}

// read takes in all lines.
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
	for _, n := range r.counts {
		all += n
	}
	return all
}

// differences between what should be and what is.
type differences struct {
	missing, repeated, unexpected, disordered int
	lines                                     []string
}

// compare compares the records as a set, and if that is the same the order of
// those of each partition of a topic.
func compare(want, got records) (d differences) {
	note := func(what string, line string, wanted, found int) {
		d.lines = append(d.lines, fmt.Sprintf("{%q:{\"wanted\":%d,\"found\":%d},\"record\":%s}", what, wanted, found, line))
	}
	for line, wanted := range want.counts {
		switch found := got.counts[line]; {
		case found < wanted:
			d.missing += wanted - found
			note("missing", line, wanted, found)
		case found > wanted:
			d.repeated += found - wanted
			note("repeated", line, wanted, found)
		}
	}
	for line, found := range got.counts {
		if want.counts[line] == 0 {
			d.unexpected += found
			note("unexpected", line, 0, found)
		}
	}
	for at, wanted := range want.rows {
		if len(d.lines) > 0 && d.disordered == 0 {
			break // what is missing puts all behind it in another place
		}
		if first := firstDifference(wanted, got.rows[at]); first >= 0 {
			d.disordered++
			note("disordered", wanted[first], first, slices.Index(got.rows[at], wanted[first]))
		}
	}
	slices.Sort(d.lines)
	return d
}

// firstDifference is the first place of wanted at which another record is
// found, -1 if there is none.
func firstDifference(wanted, found []string) int {
	for i := range wanted {
		if i >= len(found) || wanted[i] != found[i] {
			return i
		}
	}
	return -1
}

func (d differences) equal() bool { return len(d.lines) == 0 }

func (d differences) String() string {
	return fmt.Sprintf("%d records are missing, %d are there again, %d are of nobody's deciding, %d partitions are in another order", d.missing, d.repeated, d.unexpected, d.disordered)
}

// write lists them in a file.
func (d differences) write(path string) error {
	var text bytes.Buffer
	for _, line := range d.lines {
		text.WriteString(line + "\n")
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}

// oracle decides facts offline, and takes in the outputs as a broker with
// several partitions shows them.
type oracle struct {
	fold    *topology.Fold
	from    io.Reader
	read    int64    // bytes
	keys    []string // of a tick, by partition
	facts   int
	records records
	// lastTick is the last good one. The last fact came at lastAt and led to
	// lastOutputs.
	lastTick, lastAt schemas.Instant
	lastOutputs      []facts.Output
	each             func(facts.Output) // is shown every output; nil: nobody looks
}

func newOracle(c *catalogue.Catalogue, from io.Reader, partitions int) *oracle {
	return &oracle{fold: topology.NewFold(c), from: from, keys: topology.TickKeys(partitions), records: newRecords()}
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
		o.lastAt, o.lastOutputs = line.At, o.fold.Step(line)
		if record, err := topology.DecodeFact(line); err == nil && !slices.ContainsFunc(o.lastOutputs, quarantined) {
			if tick, is := record.(*schemas.ClockTick); is {
				o.lastTick = max(o.lastTick, tick.At)
			}
		}
		for _, output := range o.lastOutputs {
			if err := o.expect(line, output); err != nil {
				return fmt.Errorf("decide the facts offline: %w", err)
			}
			if o.each != nil {
				o.each(output)
			}
		}
	}
}

func quarantined(output facts.Output) bool { return output.Topic == topology.Quarantine }

// expect takes in a record that a line leads to.
func (o *oracle) expect(line facts.Line, output facts.Output) error {
	fields := map[string]any{"topic": output.Topic, "key": output.Key, "value": output.Value}
	if !quarantined(output) {
		return o.take(fields, output.Key)
	}
	fields["reason"], fields["value"] = output.Reason, nil
	if line.Value != nil {
		if value, err := topology.DecodeFact(line); err == nil {
			fields["value"] = value
		} else {
			delete(fields, "value")
			fields["bytes"] = []byte(line.Value)
		}
	}
	if line.Topic != topology.Clock {
		return o.take(fields, output.Key)
	}
	for _, key := range o.keys { // a tick is one record a partition
		fields["key"] = key
		if err := o.take(fields, &key); err != nil {
			return err
		}
	}
	return nil
}

// partition is where every client's default partitioner puts a key.
func (o *oracle) partition(key string) int {
	return kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(key)}, len(o.keys))
}

// take takes in a record, in the partition of its key.
func (o *oracle) take(fields map[string]any, key *string) error {
	if key != nil {
		fields["partition"] = o.partition(*key)
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return o.records.add(text)
}

// pieces gives the line numbers, from 0, between which the pieces of the facts
// lie: those up to a storm in so many equal slices, half of what comes behind
// it in so many, then the rest.
func pieces(lines, storm, before, after int) (borders []int) {
	for i := range before {
		borders = append(borders, storm*i/before)
	}
	for i := range after + 1 {
		borders = append(borders, storm+(lines-storm)/2*i/after)
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
