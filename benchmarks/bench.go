package benchmarks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology"
)

// Options say what Run measures and where.
type Options struct {
	Names   []string // of measures; none: all
	Brokers []string
	Program string  // the vouch binary under test
	Scale   float64 // 1 is 100,000 citizens and 1.2 million records of evidence
	Runs    int     // of each measure, for medians
	Out     io.Writer
	Say     func(format string, args ...any) // progress
}

// Result is one run of one measure: a line of NDJSON. What has no meaning for
// a measure is null.
type Result struct {
	Name       string         `json:"name"`
	System     string         `json:"system"`
	Scale      float64        `json:"scale"`
	Records    int            `json:"records"`
	Seconds    *float64       `json:"seconds"`
	CPUSeconds *float64       `json:"cpu_seconds"`
	RSSPeak    *int64         `json:"rss_peak_bytes"`
	Disk       *int64         `json:"disk_bytes"`
	P50        *float64       `json:"p50_ms"`
	P99        *float64       `json:"p99_ms"`
	P999       *float64       `json:"p999_ms"`
	Valid      bool           `json:"valid"` // the outputs were checked, and were right
	Settings   map[string]any `json:"settings"`
	Versions   map[string]any `json:"versions"`
	Commit     string         `json:"commit"`
}

// Measure is something that can be measured.
type Measure struct {
	Name  string
	About string // its question, in a sentence
	run   func(ctx context.Context, b *bench) error
}

// Measures lists all, in the order in which they run.
func Measures() []Measure {
	return []Measure{
		{"drain", "How fast, and with how much CPU and memory, are records decided that lie there already?", drain},
		{"latency", "How long after it was due to be sent does a record's certification reach a reader of committed records?", latency},
	}
}

// bench is one Run.
type bench struct {
	Options
	catalogue *catalogue.Catalogue
	client    *kgo.Client
	admin     *kadm.Client
	directory string // of this run, removed at its end
	serial    int
}

// Run measures, and writes a line for every run. A run whose outputs are wrong
// is written as not valid, and fails.
func Run(ctx context.Context, o Options) (err error) {
	b := &bench{Options: o, catalogue: catalogue.Default()}
	if b.directory, err = os.MkdirTemp("", "vouch-bench-"); err != nil {
		return fmt.Errorf("bench: make a directory for the run: %w", err)
	}
	defer os.RemoveAll(b.directory)
	if b.client, err = kgo.NewClient(append(topology.ProduceOptions(), kgo.SeedBrokers(o.Brokers...), kgo.MaxBufferedRecords(100_000))...); err != nil {
		return fmt.Errorf("bench: connect to %v: %w", o.Brokers, err)
	}
	defer b.client.Close()
	b.admin = kadm.NewClient(b.client)
	for _, m := range Measures() {
		if len(o.Names) > 0 && !slices.Contains(o.Names, m.Name) {
			continue
		}
		for range max(o.Runs, 1) {
			if err := m.run(ctx, b); err != nil {
				return fmt.Errorf("bench: %s: %w", m.Name, err)
			}
		}
	}
	return nil
}

// partitionsOf every topic that a measure makes.
const benchPartitions = 12

// stage makes fresh topics for one run, and removes them afterwards.
func (b *bench) stage(ctx context.Context, name string) (prefix string, strike func(), err error) {
	b.serial++
	prefix = fmt.Sprintf("bench-%s-%d-%d.", name, time.Now().Unix(), b.serial)
	if _, _, err := topology.CreateTopics(ctx, b.client, prefix, benchPartitions, 0); err != nil {
		return "", nil, err
	}
	return prefix, func() {
		topics, err := b.admin.ListTopics(context.WithoutCancel(ctx))
		if err != nil {
			return // the next run has a prefix of its own
		}
		mine := slices.DeleteFunc(topics.Names(), func(name string) bool { return !strings.HasPrefix(name, prefix) })
		_, _ = b.admin.DeleteTopics(context.WithoutCancel(ctx), mine...)
	}, nil
}

// produce writes inputs, a tick to every partition. It returns how many
// records lie in the topics then.
func (b *bench) produce(ctx context.Context, prefix string, inputs func(func(input) bool)) (records int, err error) {
	encoder, keys := newEncoder(), topology.TickKeys(benchPartitions)
	var failed error
	done := func(_ *kgo.Record, err error) {
		if err != nil && failed == nil {
			failed = err // promises are called one after the other
		}
	}
	inputs(func(in input) bool {
		to := []string{in.key}
		if in.topic == topology.Clock {
			to = keys
		}
		value := encoder.value(in.record)
		for _, key := range to {
			records++
			b.client.Produce(ctx, &kgo.Record{Topic: prefix + in.topic, Key: []byte(key), Value: value, Timestamp: time.UnixMilli(int64(in.at))}, done)
		}
		return ctx.Err() == nil
	})
	if err := b.client.Flush(ctx); err != nil {
		return records, err
	}
	return records, failed
}

// certifier starts the system under test.
func (b *bench) certifier(prefix string) (*subject, string, error) {
	b.serial++
	state := filepath.Join(b.directory, fmt.Sprint("state-", b.serial))
	s, err := startSubject(filepath.Join(b.directory, fmt.Sprint("log-", b.serial)), b.Program,
		"run", "certifier", "--brokers="+strings.Join(b.Brokers, ","), "--prefix="+prefix, "--state="+state, "--instance=bench")
	return s, state, err
}

// lag is how many records of the inputs the group has not committed; all of
// them as long as it has committed nothing.
func (b *bench) lag(ctx context.Context, prefix string, total int) (int, error) {
	committed, err := b.admin.FetchOffsets(ctx, prefix+topology.CertifierGroup)
	if errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.NotCoordinator) {
		return total, nil // a broker that is new makes the topic of offsets when it is first asked
	}
	if err != nil {
		return 0, err
	}
	done := int64(0)
	committed.Each(func(o kadm.OffsetResponse) { done += max(o.At, 0) })
	return total - int(done), nil
}

// certified reads the ids of all certifications that were written.
func (b *bench) certified(ctx context.Context, prefix string) (ids map[string]bool, doubled int, err error) {
	topic := prefix + topology.CertificationCompleted
	ends, err := b.settledEnds(ctx, topic)
	if err != nil {
		return nil, 0, err
	}
	left, from := map[int32]int64{}, map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		if from[end.Partition] = kgo.NewOffset().AtStart(); end.Offset > 0 {
			left[end.Partition] = end.Offset
		}
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return nil, 0, err
	}
	defer client.Close()
	codec := avro.New(nil)
	ids = map[string]bool{}
	for len(left) > 0 && ctx.Err() == nil && err == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				completed, failed := completedOf(ctx, codec, r)
				if err = failed; err == nil && ids[completed.EventID] {
					doubled++
				}
				ids[completed.EventID] = true
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return ids, doubled, err
}

// settledEnds are the ends of a topic once no transaction is open there: a
// broker writes the markers after it has confirmed the end.
func (b *bench) settledEnds(ctx context.Context, topic string) (kadm.ListedOffsets, error) {
	for ctx.Err() == nil {
		high, err := b.admin.ListEndOffsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		stable, err := b.admin.ListCommittedOffsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		open := false
		high.Each(func(h kadm.ListedOffset) { open = open || stable[h.Topic][h.Partition].Offset < h.Offset })
		if !open {
			return stable, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, ctx.Err()
}

// write writes a result.
func (b *bench) write(r Result) error {
	r.Scale, r.Commit = b.Scale, commit()
	r.Versions = map[string]any{"go": runtime.Version()}
	line, err := json.Marshal(r)
	if err == nil {
		_, err = b.Out.Write(append(line, '\n'))
	}
	return err
}

// commit is the revision that this program was built from.
func commit() string {
	info, _ := debug.ReadBuildInfo()
	revision, modified := "unknown", ""
	if info != nil {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = "+changes"
			}
		}
	}
	return revision + modified
}

// disk is how many bytes the files below a directory have.
func disk(directory string) (bytes int64) {
	_ = filepath.WalkDir(directory, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			if info, err := entry.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil // a file that is compacted away meanwhile counts nothing
	})
	return bytes
}
