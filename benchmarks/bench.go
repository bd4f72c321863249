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
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology"
)

// Options say what Run measures and where.
type Options struct {
	Names   []string // of measures; none: all
	Brokers []string
	Program string   // the vouch binary under test
	Peers   []string // systems that are measured beside it, in turn; see PeerNames
	PeersAt string   // the folder in which they were built
	Scale   float64  // 1 is the size that each measure tells
	Runs    int      // of each measure, for medians
	Command string   // that repeats it, for the report
	Broker  string   // what kind of broker this is, since rows of different kinds are never compared
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
	own   bool   // it asks something of the engine that no peer does
	run   func(ctx context.Context, b *bench, s system) error
}

// Measures lists all, in the order in which they run.
func Measures() []Measure {
	return []Measure{
		{"drain", "How fast, and with how much CPU and memory, are records decided that lie there already?", false, drain},
		{"open-loop", "How long after it was due to be sent does a record's certification reach a reader of committed records?", false, openLoop},
		{"transaction", "What do longer transactions save, and how much later is what they say read?", true, transaction},
		{"restore", "How long until a member works again whose state is gone, or a little old?", false, restore},
		{"crash", "How long after a kill -9 does a reader of committed records have something new?", false, crash},
		{"rebalance", "How long does evidence wait while a second member joins, and while it leaves?", false, rebalance},
		{"cold-start", "How long from the start of a process to its first output?", false, coldStart},
		{"growth", "What do ten times as many citizens cost?", false, growth},
		{"growth-records", "Is a long log decided as fast as a short one?", false, growthByRecords},
		{"year", "How long does a year of a whole city take the certifier, and then the timer?", true, wholeYear},
		{"timer", "What do pending due dates cost the timer: to insert, to fire a tenth of them in one tick, and to start again after that?", true, timer},
		{"storm", "How much longer does evidence wait while a tick lets a million enrolments lapse?", true, storm},
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
	versions  map[string]any
	drained   map[string]float64 // records a second, by the system's title
}

// wrongOutputs says how what came out differs from what had to.
type wrongOutputs struct{ how string }

func (w *wrongOutputs) Error() string { return w.how }

func wrong(format string, args ...any) error { return &wrongOutputs{fmt.Sprintf(format, args...)} }

// Run measures, and writes a line for every run. A run whose outputs are wrong
// is written as not valid, and fails if they are the engine's.
func Run(ctx context.Context, o Options) (err error) {
	b := &bench{Options: o, catalogue: catalogue.Default(), drained: map[string]float64{}}
	systems, err := b.systems()
	if err != nil {
		return err
	}
	if b.directory, err = os.MkdirTemp("", "vouch-bench-"); err != nil {
		return fmt.Errorf("bench: make a directory for the run: %w", err)
	}
	defer os.RemoveAll(b.directory)
	if err := os.WriteFile(b.catalogueFile(), b.catalogue.Show(), 0o600); err != nil {
		return fmt.Errorf("bench: write the catalogue for the peers: %w", err)
	}
	if b.client, err = kgo.NewClient(append(topology.ProduceOptions(), kgo.SeedBrokers(o.Brokers...), kgo.MaxBufferedRecords(100_000))...); err != nil {
		return fmt.Errorf("bench: connect to %v: %w", o.Brokers, err)
	}
	defer b.client.Close()
	b.admin = kadm.NewClient(b.client)
	b.versions = b.readVersions(ctx)
	for _, m := range Measures() {
		if len(o.Names) > 0 && !slices.Contains(o.Names, m.Name) {
			continue
		}
		for range max(o.Runs, 1) {
			for _, s := range systems {
				if m.own && s.name != vouch {
					continue
				}
				err := m.run(ctx, b, s)
				if wrong := new(wrongOutputs); errors.As(err, &wrong) && s.name != vouch {
					b.Say("%s: %s is wrong, and the run goes on: %v", m.Name, s.title(), err)
					continue
				}
				if err != nil {
					return fmt.Errorf("bench: %s of %s: %w", m.Name, s.title(), err)
				}
			}
		}
	}
	return nil
}

// benchPartitions of every topic that a measure makes.
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

// produce writes inputs, a tick (a record without a key) to every partition. It returns how many
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
		if in.key == "" {
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

// write writes a result.
func (b *bench) write(r Result) error {
	r.Scale, r.Commit, r.Versions = b.Scale, commit(), b.versions
	r.Settings["broker"], r.Settings["command"], r.Settings["machine"] = b.Broker, b.Command, machine()
	line, err := json.Marshal(r)
	if err == nil {
		_, err = b.Out.Write(append(line, '\n'))
	}
	return err
}

// readVersions are those of what took part.
func (b *bench) readVersions(ctx context.Context) map[string]any {
	versions := b.peerVersions(ctx)
	versions["go"] = runtime.Version()
	if brokers, err := b.admin.ApiVersions(ctx); err == nil {
		brokers.Each(func(v kadm.BrokerApiVersions) { versions["broker"] = v.VersionGuess() })
	}
	return versions
}

// machine is what was measured on: figures of two machines say nothing of each
// other.
var machine = sync.OnceValue(func() string {
	model, memory := runtime.GOARCH, ""
	fields := func(file, name string) (value string) {
		text, _ := os.ReadFile(file) // what cannot be told is left out
		for line := range strings.Lines(string(text)) {
			if key, rest, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
				return strings.TrimSpace(rest)
			}
		}
		return ""
	}
	if name := fields("/proc/cpuinfo", "model name"); name != "" {
		model = name
	}
	if kib, err := strconv.Atoi(strings.TrimSuffix(fields("/proc/meminfo", "MemTotal"), " kB")); err == nil {
		memory = fmt.Sprintf(", %d GiB", kib>>20)
	}
	return fmt.Sprintf("%d cores of %s%s, %s", runtime.NumCPU(), model, memory, runtime.GOOS)
})

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
