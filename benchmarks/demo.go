package benchmarks

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/vouch-engine/vouch/benchmarks/city"
	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/facts"
	"github.com/vouch-engine/vouch/topology"
)

// The limits of a demo.
const (
	demoPartitions = 4
	demoStill      = 30 * time.Second      // a group has taken no record for so long: the demo fails
	demoLook       = 50 * time.Millisecond // between two looks at how far it is
	demoStop       = 15 * time.Second      // for a clean end; it promises 10 s
)

// DemoOptions say which city is shown, and to whom. Out is needed.
type DemoOptions struct {
	Citizens int    // 0: 2,000
	Seed     uint64 // of the city
	Serve    bool   // stay up after the story, with everything as it is
	Listen   string // address of the certifier's metrics; empty: none
	Out      io.Writer
	Progress func(text string) // what is being done; nil: nobody looks
	Logger   *slog.Logger      // nil: nothing is logged
}

// Demo shows a year of a city on a broker inside this process: the facts are
// written to its topics, the certifier decides them, the timer says who is due,
// what consumers see is compared, record by record, with what the same facts
// lead to offline, and then it tells what happened. It fails if the two differ.
//
// The facts are in the log before the certifier starts: the order of a
// partition's inputs is that of their timestamps for what is there when the
// partition is taken over.
func Demo(ctx context.Context, o DemoOptions) (err error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	people, err := city.New(city.Config{Seed: o.Seed, Citizens: o.Citizens})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	broker, err := topology.StartEmbeddedBroker()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer broker.Close()
	state, err := os.MkdirTemp("", "vouch-demo-")
	if err != nil {
		return fmt.Errorf("demo: make a directory for the local state: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	d := &demo{
		DemoOptions: o, city: people, brokers: broker.Addresses(), metrics: topology.NewMetrics(topology.CertifierGroup),
		got: newRecords(), events: map[string][]any{}, topics: map[string]int{}, years: years{}, wanted: years{},
	}
	defer o.Progress("")
	d.count()
	if err := d.produce(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := d.decide(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	engine := d.run(state)
	if err = d.show(ctx, engine.ended); err == nil && o.Serve {
		err = d.serve(ctx, engine.ended)
	}
	if stopped := engine.stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

// demo is one run.
type demo struct {
	DemoOptions
	city    *city.City
	brokers []string
	metrics *topology.Metrics
	facts   int // of the city
	ticks   int // of them; each is a record on every partition

	enrolled int // people who drew a benefit

	oracle *oracle
	got    records
	events map[string][]any // what was written about each citizen, in the order of time
	topics map[string]int   // how many records
	years  years            // by what was written
	wanted years            // by the offline decision
}

// records is how many input records the facts are on the broker.
func (d *demo) records() int { return d.facts + d.ticks*(demoPartitions-1) }

func (d *demo) connect(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(more, kgo.SeedBrokers(d.brokers...))...)
}

// count counts the facts, by making them up once.
func (d *demo) count() {
	var f city.Fact
	enrolled := map[string]bool{}
	for stream := d.city.Facts(); stream.Next(&f); d.facts++ {
		switch record := f.Record.(type) {
		case *schemas.ClockTick:
			d.ticks++
		case *schemas.RosterEntry:
			if record.Op == schemas.Enrol {
				enrolled[record.CitizenID] = true
			}
		}
	}
	d.enrolled = len(enrolled)
}

// lines is the city as a facts file. Whoever has read enough closes it.
func (d *demo) lines() io.ReadCloser {
	from, to := io.Pipe()
	go func() {
		_, err := d.city.Facts().WriteFacts(to, math.MaxInt)
		to.CloseWithError(err)
	}()
	return from
}

// produce makes the topics and writes the facts to them.
func (d *demo) produce(ctx context.Context) error {
	client, err := d.connect(topology.ProduceOptions()...)
	if err != nil {
		return fmt.Errorf("connect to the embedded broker: %w", err)
	}
	defer client.Close()
	if _, _, err := topology.CreateTopics(ctx, client, topology.DefaultPrefix, demoPartitions, 0); err != nil {
		return err
	}
	encoders, err := topology.NewEncoders(ctx, avro.New(nil), topology.DefaultPrefix)
	if err != nil {
		return err
	}
	from := d.lines()
	defer from.Close()
	_, err = topology.Produce(ctx, client, topology.DefaultPrefix, encoders, from, func(lines int) {
		d.Progress(fmt.Sprintf("%s of %s facts are written to the log", thousands(lines), thousands(d.facts)))
	})
	return err
}

// decide folds the same facts offline.
func (d *demo) decide(ctx context.Context) error {
	d.Progress("the same facts are decided offline")
	from := d.lines()
	defer from.Close()
	defer context.AfterFunc(ctx, func() { from.Close() })()
	d.oracle = newOracle(d.city.Catalogue(), from, demoPartitions)
	d.oracle.each = func(output facts.Output) {
		if output.Key != nil {
			d.wanted.take(output.Topic, *output.Key, output.Value)
		}
	}
	if err := d.oracle.decide(math.MaxInt64); ctx.Err() == nil {
		return err
	}
	return ctx.Err()
}

// running is the engine at work.
type running struct {
	ended <-chan error
	stop  func() error // ends it and gives its error, if nobody has read that
}

// run starts certifier and timer. If one ends, so does the other.
func (d *demo) run(state string) running {
	ctx, cancel := context.WithCancel(context.Background())
	together, ctx := errgroup.WithContext(ctx)
	options := topology.RunOptions{Brokers: d.brokers, Catalogue: d.city.Catalogue(), Logger: d.Logger}
	together.Go(func() error {
		certifier := options
		certifier.State, certifier.Listen, certifier.Metrics = filepath.Join(state, topology.CertifierGroup), d.Listen, d.metrics
		return topology.RunCertifier(ctx, certifier)
	})
	together.Go(func() error {
		timer := options
		timer.State = filepath.Join(state, topology.TimerGroup)
		return topology.RunTimer(ctx, timer)
	})
	ended := make(chan error, 1)
	go func() {
		ended <- together.Wait()
		close(ended)
	}()
	return running{ended, func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(demoStop):
			return fmt.Errorf("certifier and timer did not end within %v", demoStop)
		}
	}}
}

// show waits until everything is decided, checks it and tells of it.
func (d *demo) show(ctx context.Context, ended <-chan error) error {
	if err := d.await(ctx, ended); err != nil {
		return err
	}
	d.Progress("what came out is read and checked")
	if err := d.read(ctx); err != nil {
		return err
	}
	if err := d.check(); err != nil {
		return err
	}
	d.Progress("")
	return d.tell()
}

// await waits until the certifier has decided every record, and the timer has
// taken all that it was told.
func (d *demo) await(ctx context.Context, ended <-chan error) error {
	client, err := d.connect()
	if err != nil {
		return fmt.Errorf("connect to the embedded broker: %w", err)
	}
	defer client.Close()
	err = d.awaitNone(ctx, ended, topology.CertifierGroup, func() (int64, error) {
		return int64(d.records() - d.metrics.Totals().Read), nil
	})
	if err != nil {
		return err
	}
	return d.awaitNone(ctx, ended, topology.TimerGroup, func() (lag int64, err error) {
		status, err := topology.ReadStatus(ctx, client, topology.DefaultPrefix)
		for _, group := range status.Groups {
			if group.Name != topology.DefaultPrefix+topology.TimerGroup {
				continue
			}
			for _, topic := range group.Topics {
				lag += topic.Lag
			}
		}
		return lag, err
	})
}

// awaitNone waits until a group has no more records before it.
func (d *demo) awaitNone(ctx context.Context, ended <-chan error, group string, count func() (int64, error)) error {
	for least, moved := int64(-1), time.Now(); ; {
		left, err := count()
		if err != nil || left <= 0 {
			return err
		}
		if least < 0 || left < least {
			least, moved = left, time.Now()
			d.Progress(fmt.Sprintf("the %s has %s records before it", group, thousands(int(left))))
		}
		if time.Since(moved) > demoStill {
			return fmt.Errorf("the %s has %d records before it, and has taken none for %v", group, left, demoStill)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return fmt.Errorf("the engine ended before all was decided: %w", err)
		case <-time.After(demoLook):
		}
	}
}

// read takes in what consumers of committed records see.
func (d *demo) read(ctx context.Context) error {
	var text bytes.Buffer
	options := topology.TailOptions{Prefix: topology.DefaultPrefix, UntilEnd: true}
	if err := topology.Tail(ctx, d.connect, avro.New(nil), options, &text); err != nil {
		return err
	}
	for lines := bufio.NewReader(&text); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read what came out: %w", err)
		}
		if err := d.got.add(line); err != nil {
			return err
		}
		if err := d.note(line); err != nil {
			return fmt.Errorf("read what came out: %w", err)
		}
	}
	for _, events := range d.events {
		slices.SortStableFunc(events, func(a, b any) int { return cmp.Compare(instant(a), instant(b)) })
	}
	return nil
}

// instant is when an event was decided, or fired.
func instant(event any) schemas.Instant {
	switch e := event.(type) {
	case *schemas.CertificationCompleted:
		return e.DecidedAt
	case *schemas.CertificationRevoked:
		return e.DecidedAt
	case *schemas.ExpiryReminder:
		return e.FiresAt
	case *schemas.VisitRequested:
		return e.FiresAt
	case *schemas.Standing:
		return e.At
	default:
		return e.(*schemas.Alert).At
	}
}

// note keeps a record for the story. Of the Standings, which follow everything
// else, only those are told of by which somebody has lapsed.
func (d *demo) note(line []byte) error {
	var written struct {
		Topic string          `json:"topic"`
		Key   *string         `json:"key"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(line, &written); err != nil {
		return err
	}
	d.topics[written.Topic]++
	record := blank(written.Topic)
	if record == nil || written.Key == nil {
		return nil
	}
	if string(written.Value) == "null" {
		record = nil // a tombstone
	} else if err := json.Unmarshal(written.Value, record); err != nil {
		return err
	}
	lapses := d.years.take(written.Topic, *written.Key, record)
	if _, is := record.(*schemas.Standing); record != nil && (!is || lapses) {
		d.events[*written.Key] = append(d.events[*written.Key], record)
	}
	return nil
}

// blank is an empty record of a topic whose records are about somebody.
func blank(topic string) any {
	switch topic {
	case topology.CertificationCompleted:
		return new(schemas.CertificationCompleted)
	case topology.CertificationRevoked:
		return new(schemas.CertificationRevoked)
	case topology.ExpiryReminder:
		return new(schemas.ExpiryReminder)
	case topology.VisitRequested:
		return new(schemas.VisitRequested)
	case topology.Standing:
		return new(schemas.Standing)
	case topology.Alert:
		return new(schemas.Alert)
	}
	return nil
}

// check compares records and totals with those of the offline decision. An id
// in the difference is nobody's: the city is made up.
func (d *demo) check() error {
	if found := compare(d.oracle.records, d.got); !found.equal() {
		return fmt.Errorf("the engine did not write what the offline decision gives: %v; the first of them: %s", found, found.lines[0])
	}
	here, there := d.metrics.Totals(), d.oracle.fold.Totals()
	sum := 0
	for _, count := range certify.Counts {
		want := there.Counts[count]
		if count == certify.Applied {
			want += d.records() - d.facts // a tick is applied on every partition
		}
		if here.Counts[count] != want {
			return fmt.Errorf("the certifier counted %d records %s, the offline decision %d", here.Counts[count], count, want)
		}
		sum += want
	}
	for _, reason := range certify.Refusals {
		if here.Quarantined[reason] != there.Quarantined[reason] {
			return fmt.Errorf("the certifier put %d records in quarantine as %s, the offline decision %d", here.Quarantined[reason], reason, there.Quarantined[reason])
		}
		sum += here.Quarantined[reason]
	}
	if here.Read != sum || sum != d.records() {
		return fmt.Errorf("%d records were written, %d read and %d counted: some are lost", d.records(), here.Read, sum)
	}
	return d.checkYears()
}

// checkYears compares how the year went with the offline decision, and counts
// everybody who drew a benefit once.
func (d *demo) checkYears() error {
	here, there := d.years.endings(), d.wanted.endings()
	if here != there {
		return fmt.Errorf("by what was written the year ended as %v, by the offline decision as %v", here, there)
	}
	if all := here.all(); all != d.enrolled {
		return fmt.Errorf("%d people drew a benefit, and the endings of %d are counted", d.enrolled, all)
	}
	return nil
}

// serve stays up until ctx ends.
func (d *demo) serve(ctx context.Context, ended <-chan error) error {
	fmt.Fprintf(d.Out, "\nIt stays up until Ctrl-C. Kafka is at %s:\n  vouch status --brokers %[1]s\n  vouch tail --brokers %[1]s\n", strings.Join(d.brokers, ","))
	if d.Listen != "" {
		fmt.Fprintf(d.Out, "The certifier's metrics are at http://%s/metrics.\n", d.Listen)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return fmt.Errorf("the engine ended: %w", err)
	}
}
