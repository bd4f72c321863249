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
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/benchmarks/city"
	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology"
)

// The limits of a demo.
const (
	demoPartitions = 4
	demoStill      = 30 * time.Second      // the certifier has decided nothing for so long: the demo fails
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
// written to its topics, the certifier decides them, what consumers see is
// compared, record by record, with what the same facts lead to offline, and
// then it tells what happened. It fails if the two differ.
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
		DemoOptions: o, city: people, brokers: broker.Addresses(), metrics: topology.NewMetrics(),
		got: records{}, events: map[string][]any{}, topics: map[string]int{},
	}
	defer o.Progress("")
	d.count()
	if err := d.produce(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := d.decide(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	stop := d.certify(state)
	if err = d.show(ctx, stop.ended); err == nil && o.Serve {
		err = d.serve(ctx, stop.ended)
	}
	if stopped := stop.stop(); err == nil {
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

	oracle *oracle
	got    records
	events map[string][]any // what was written about each citizen, in the order of time
	topics map[string]int   // how many records
}

// records is how many input records the facts are on the broker.
func (d *demo) records() int { return d.facts + d.ticks*(demoPartitions-1) }

func (d *demo) connect(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(more, kgo.SeedBrokers(d.brokers...))...)
}

// count counts the facts, by making them up once.
func (d *demo) count() {
	var f city.Fact
	for stream := d.city.Facts(); stream.Next(&f); d.facts++ {
		if _, tick := f.Record.(*schemas.ClockTick); tick {
			d.ticks++
		}
	}
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
	if err := d.oracle.decide(math.MaxInt64); ctx.Err() == nil {
		return err
	}
	return ctx.Err()
}

// running is a certifier at work.
type running struct {
	ended <-chan error
	stop  func() error // ends it and gives its error, if nobody has read that
}

// certify starts the certifier.
func (d *demo) certify(state string) running {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- topology.RunCertifier(ctx, topology.RunOptions{
			Brokers: d.brokers, State: state, Catalogue: d.city.Catalogue(), Listen: d.Listen, Metrics: d.metrics, Logger: d.Logger,
		})
		close(ended)
	}()
	return running{ended, func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(demoStop):
			return fmt.Errorf("the certifier did not end within %v", demoStop)
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

// await waits until the certifier has decided every record.
func (d *demo) await(ctx context.Context, ended <-chan error) error {
	for read, moved := 0, time.Now(); ; {
		now := d.metrics.Totals().Read
		if now >= d.records() {
			return nil
		}
		if now > read {
			read, moved = now, time.Now()
			d.Progress(fmt.Sprintf("%s of %s records are decided", thousands(read), thousands(d.records())))
		}
		if time.Since(moved) > demoStill {
			return fmt.Errorf("the certifier has decided %d of %d records, and no more for %v", read, d.records(), demoStill)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return fmt.Errorf("the certifier ended before all was decided: %w", err)
		case <-time.After(demoLook):
		}
	}
}

// read takes in what consumers of committed records see.
func (d *demo) read(ctx context.Context) error {
	var text bytes.Buffer
	options := topology.TailOptions{Prefix: topology.DefaultPrefix, Topics: certifierOutputs, UntilEnd: true}
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

// instant is when an event was decided.
func instant(event any) schemas.Instant {
	switch e := event.(type) {
	case *schemas.CertificationCompleted:
		return e.DecidedAt
	case *schemas.CertificationRevoked:
		return e.DecidedAt
	default:
		return e.(*schemas.Alert).At
	}
}

// note keeps a record for the story.
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
	var record any
	switch written.Topic {
	case topology.CertificationCompleted:
		record = new(schemas.CertificationCompleted)
	case topology.CertificationRevoked:
		record = new(schemas.CertificationRevoked)
	case topology.Alert:
		record = new(schemas.Alert)
	default:
		return nil
	}
	if err := json.Unmarshal(written.Value, record); err != nil {
		return err
	}
	d.events[*written.Key] = append(d.events[*written.Key], record)
	return nil
}

// check compares records and totals with those of the offline decision. An id
// in the difference is nobody's: the city is made up.
func (d *demo) check() error {
	if found := compare(d.oracle.records, d.got); !found.equal() {
		return fmt.Errorf("the certifier did not write what the offline decision gives: %v; the first of them: %s", found, found.lines[0])
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
		return fmt.Errorf("the certifier ended: %w", err)
	}
}
