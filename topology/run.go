package topology

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/processors/remind"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// RunOptions say what a processor runs on. Brokers and State are needed, the
// zero value of everything else is ready.
type RunOptions struct {
	Brokers  []string
	Client   []kgo.Opt // TLS, SASL: for every client
	Prefix   string    // of topics and groups; empty: DefaultPrefix
	Instance string    // this member's name, unique in its group and the same after a restart; empty: "0"
	State    string    // directory of the local state, which is rebuilt if it is lost

	Catalogue *catalogue.Catalogue // nil: the shipped one
	Registry  *avro.Registry       // nil: values are in single-object encoding
	Listen    string               // address of /metrics, /ready and /live; empty: none
	Metrics   *Metrics             // of the group; nil: new ones
	Logger    *slog.Logger         // nil: slog.Default()

	// Resend lets a certifier write every ScheduleEntry and PayeeClaim again
	// before a partition's first input, for a timer or a guard that was added
	// later or lost its table.
	Resend bool

	// CommitInterval is the least time between two commits, no more than
	// CommitIntervalMax; zero commits as soon as there is something to commit.
	// Longer transactions cost the engine and the brokers less, and outputs are
	// visible later. A backlog does not wait for it.
	CommitInterval time.Duration
}

// CommitIntervalMax leaves a transaction that is this long time to be committed
// before its broker aborts it, and the group's other members to rebalance
// before their sessions end.
const CommitIntervalMax = 5 * time.Second

func (o RunOptions) withDefaults(group string) RunOptions {
	o.Prefix, o.Instance = cmp.Or(o.Prefix, DefaultPrefix), cmp.Or(o.Instance, "0")
	o.Client = slices.Clip(o.Client) // several goroutines append to it, and must not meet behind its end
	if o.Catalogue == nil {
		o.Catalogue = catalogue.Default()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(group)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// RunCertifier decides the inputs until ctx ends; it then finishes the
// transaction in hand, leaves the group and returns nil. An error is one that
// starting again would meet again: see kafka.Run.
func RunCertifier(ctx context.Context, o RunOptions) error {
	return runListening(ctx, o.withDefaults(CertifierGroup), newCertifier)
}

// RunTimer tells, in the same way, who is due: it reads what the certifier
// writes to schedule, and writes reminders, visits and standing.
func RunTimer(ctx context.Context, o RunOptions) error {
	return runListening(ctx, o.withDefaults(TimerGroup), newTimer)
}

// RunAll runs certifier and timer in one process, with the state of each in a
// directory of its own below State and one listener for both, and a clock that
// ticks every so often. Metrics, which are those of one group, must be nil.
func RunAll(ctx context.Context, o RunOptions, every time.Duration) error {
	if o.Metrics != nil {
		panic("topology: RunAll was given the metrics of one group for two")
	}
	certifier, timer := o, o
	certifier.State, timer.State = filepath.Join(o.State, CertifierGroup), filepath.Join(o.State, TimerGroup)
	certifier, timer = certifier.withDefaults(CertifierGroup), timer.withDefaults(TimerGroup)
	var members []*member
	for _, make := range []func() (*member, error){
		func() (*member, error) { return newCertifier(ctx, certifier) },
		func() (*member, error) { return newTimer(ctx, timer) },
	} {
		m, err := make()
		if err != nil {
			return err
		}
		members = append(members, m)
	}
	o = certifier
	stop, err := serve(o.Listen, o.Logger, func() error { return errors.Join(members[0].ready(), members[1].ready()) }, members[0].Metrics, members[1].Metrics)
	if err != nil {
		return err
	}
	defer stop()
	together, ctx := errgroup.WithContext(ctx) // if one ends, so do the others
	for _, m := range members {
		together.Go(func() error { return m.work(ctx) })
	}
	together.Go(func() error {
		client, err := kgo.NewClient(append(append(o.Client, ProduceOptions()...), kgo.SeedBrokers(o.Brokers...))...)
		if err != nil {
			return fmt.Errorf("clock: connect to Kafka: %w", err)
		}
		defer client.Close()
		encoders, err := NewClockEncoders(ctx, avro.New(o.Registry), o.Prefix)
		if err != nil {
			return fmt.Errorf("clock: %w", err)
		}
		return RunClock(ctx, client, o.Prefix, encoders, every, o.Logger)
	})
	return together.Wait()
}

// runListening runs one member with a listener of its own, which answers before
// the registry does: that may have to be waited for.
func runListening(ctx context.Context, o RunOptions, newMember func(context.Context, RunOptions) (*member, error)) error {
	m, err := newMember(ctx, o)
	if err != nil {
		return err
	}
	stop, err := serve(o.Listen, o.Logger, m.ready, m.Metrics)
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	defer stop()
	return m.work(ctx)
}

// newCertifier is this process in the certifier's group.
func newCertifier(ctx context.Context, o RunOptions) (*member, error) {
	m, err := newMember(ctx, o, CertifierGroup)
	if err == nil {
		m.certifies()
	}
	return m, err
}

// The memory of the certifier's store. A citizen's row changes again and again: one
// that lies in memory costs a lookup to read, and is written when it has changed
// many times; one that does not is a read of a table and a write for each record,
// twice as much CPU in all. So rows may take, beside Go's heap, a share of what
// that may take (see GOMEMLIMIT); they take what they need of it: 0.6 GiB after a
// third of the year of a city of 1.36 million.
const (
	certifierRowShare   = 4
	certifierRowMin     = 64 << 20
	certifierRowMax     = 4 << 30
	certifierCacheBytes = 16 << 20
)

// certifierRowBytes bounds the rows in memory.
func certifierRowBytes() int64 {
	return min(max(debug.SetMemoryLimit(-1)/certifierRowShare, certifierRowMin), certifierRowMax)
}

// certifies gives a member the certifier's work.
func (m *member) certifies() {
	m.rowBytes, m.cacheBytes = certifierRowBytes(), certifierCacheBytes
	m.prepare = func(ctx context.Context) error {
		codecs, err := newCodecs(ctx, avro.New(m.Registry), m.Prefix)
		m.begin = func(b *binding) work {
			return &certifier{
				binding: b, catalogue: m.Catalogue, codecs: codecs, rules: certify.New(m.Catalogue),
				partition: certify.Partition{Clock: certify.NoTick}, resend: m.Resend && !m.resent[b.partition],
			}
		}
		return err
	}
	m.rekey = func(topic string, partition int32) string {
		if topic[len(m.Prefix):] == Clock {
			return m.tickKeys[partition]
		}
		return ""
	}
}

// newTimer is this process in the timer's group.
func newTimer(ctx context.Context, o RunOptions) (*member, error) {
	m, err := newMember(ctx, o, TimerGroup)
	if err == nil {
		m.reminds()
	}
	return m, err
}

// reminds gives a member the timer's work.
func (m *member) reminds() {
	m.index, m.purges = remind.DueEntries, Schedule
	m.prepare = func(ctx context.Context) error {
		codecs, err := newTimerCodecs(ctx, avro.New(m.Registry), m.Prefix)
		m.begin = func(b *binding) work {
			return &timer{binding: b, codecs: codecs, rules: remind.New(m.Catalogue), partition: *remind.NewPartition()}
		}
		m.alone = codecs.isTick
		return err
	}
}
