package benchmarks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/benchmarks/city"
	"github.com/vouch-engine/vouch/topology"
)

// Limits of a torture. At each it fails with a sentence that says so.
const (
	commandTimeout     = 10 * time.Minute       // one command that ends by itself: topics, schemas, produce, tail
	workTimeout        = 30 * time.Second       // until an instance is seen at work; then it is killed as it is
	stillTimeout       = 90 * time.Second       // the lag has not become less for so long
	settleTimeout      = 30 * time.Second       // until the log shows the end of every transaction, when no instance runs
	coordinatorTimeout = 30 * time.Second       // until a broker that has just started has one
	readyTimeout       = 90 * time.Second       // until a fresh instance says that it is ready
	stopTimeout        = 12 * time.Second       // a clean end; it promises 10 s
	lookEvery          = 2 * time.Millisecond   // between two looks at a transaction
	lagEvery           = 100 * time.Millisecond // between two looks at the lag
)

const (
	// partitions of the run's topics.
	partitions = 4
	// startWindow is the time after its start in which one that is killed
	// early is killed: while it joins, restores, takes over.
	startWindow = time.Second
	// backlog is how many records the certifiers of a round have written for the
	// timers before these start, and before the certifiers are killed for the
	// last time in it: so both have work.
	backlog = 8_000
	// Of the kills, workMin of workOf must have found work at least, or the run
	// has shown nothing.
	workMin, workOf = 15, 20
)

// workWindows are, at first, the times after it was seen at work in which one
// of a group is killed. A window is halved when a kill came too late to find any
// work, and grows by a tenth when it did not, so that the kills spread over the
// work on a fast machine as on a slow one.
var workWindows = map[string]time.Duration{topology.CertifierGroup: 500 * time.Millisecond, topology.TimerGroup: 40 * time.Millisecond}

// groups are those that are tortured, each behind the one that it reads from.
var groups = []string{topology.CertifierGroup, topology.TimerGroup}

// TortureOptions say what Torture does. All but Prefix and Registry are
// needed.
type TortureOptions struct {
	Program   string   // the vouch binary
	Flags     []string // of its connection to Kafka
	Prefix    string   // before the run's own, which is the name of no topic yet
	Registry  string   // URL; values are then in Confluent's format
	Connect   func(...kgo.Opt) (*kgo.Client, error)
	Citizens  int // of the city whose facts are decided
	Kills     int
	Instances int       // of each group
	Seed      uint64    // of the city, and of the moments of the kills
	Summary   io.Writer // what was found
	Progress  io.Writer // what is being done
}

// Torture runs certifiers and timers as processes of their own on a real log,
// kills them with SIGKILL at random while they work, and then compares what
// consumers see with what the same facts lead to offline: the same records,
// none missing, none twice, those of each partition in the same order. Once the
// timers are killed again and again within one tick on which thousands fire. A
// fresh certifier and a fresh timer with empty state directories must restore
// the same rows, and decide the rest of the facts like those that were never
// killed. It looks from outside, by the commands and requests that any user
// has.
//
// Facts are only produced while no certifier runs: the order of a partition's
// inputs is that of their timestamps for what is in the log when an instance
// takes it over, and the records compared here speak of that order.
//
// The run's topics and its directory are removed if it ends well.
func Torture(ctx context.Context, o TortureOptions) (err error) {
	people, err := city.New(city.Config{Seed: o.Seed, Citizens: o.Citizens, Unseen: stormPeople})
	if err != nil {
		return fmt.Errorf("torture: %w", err)
	}
	directory, err := os.MkdirTemp("", "torture-")
	if err != nil {
		return fmt.Errorf("torture: make a directory for facts, state and logs: %w", err)
	}
	client, err := o.Connect()
	if err != nil {
		return errors.Join(err, os.RemoveAll(directory))
	}
	defer client.Close()
	prefix := fmt.Sprintf("%storture-%d-%d.", o.Prefix, o.Seed, time.Now().UnixMilli())
	t := &torture{
		TortureOptions: o, city: people, directory: directory, prefix: prefix, observer: newObserver(client, prefix),
		random: rand.New(rand.NewPCG(o.Seed, 0)), window: maps.Clone(workWindows), working: map[string]int{},
	}
	for _, group := range groups {
		for i := range o.Instances {
			t.instances = append(t.instances, t.instance(group, fmt.Sprintf("i%d", i)))
		}
	}
	defer func() {
		for _, i := range t.instances {
			i.kill()
		}
		if ctx.Err() != nil {
			t.say("interrupted; its topics begin with %s", prefix)
			err = errors.Join(ctx.Err(), os.RemoveAll(directory))
			return
		}
		if err != nil {
			err = fmt.Errorf("torture: %w; facts, state and logs are in %s, the topics begin with %s", err, directory, prefix)
			return
		}
		err = os.RemoveAll(directory)
	}()
	return t.run(ctx)
}

// torture is one run.
type torture struct {
	TortureOptions
	city      *city.City
	directory string
	prefix    string // of the topics and the groups
	observer  *observer
	instances []*instance // those to be killed, then the fresh ones in their place

	random *rand.Rand

	file    *os.File // the facts
	borders []int64  // of their pieces: slices, the storm's among them, then the rest
	oracle  *oracle

	mu                                         sync.Mutex               // guards the following
	working                                    map[string]int           // by group: how many instances have not met their last kill of the round
	window                                     map[string]time.Duration // by group: see workWindows
	killed, withLag, withTransaction, withWork int

	storms, withinStorm int // how often all timers were killed in the storm, and how often with a partition's fires half done
}

func (t *torture) run(ctx context.Context) error {
	rounds := plan(t.random, t.Kills, t.Instances)
	before := len(rounds) / 2
	if err := t.prepare(ctx, before, len(rounds)-before); err != nil {
		return err
	}
	defer t.file.Close()
	if err := t.observer.keep(ctx, topology.Standing); err != nil {
		return err
	}
	for number, kills := range rounds {
		piece := number
		if number >= before {
			piece++
		}
		if number == before {
			if err := t.storm(ctx, before); err != nil {
				return err
			}
		}
		if err := t.round(ctx, piece, kills); err != nil {
			return err
		}
	}
	t.say("every instance works until nothing is left")
	if err := t.drain(ctx); err != nil {
		return err
	}
	last := len(rounds) + 1
	if err := t.compare(ctx, t.borders[last]); err != nil {
		return fmt.Errorf("after the kills: %w", err)
	}
	restored, err := t.restore(ctx)
	if err != nil {
		return err
	}
	t.say("the fresh instances decide the rest")
	if err := t.produce(ctx, last); err != nil {
		return err
	}
	if err := t.drain(ctx); err != nil {
		return err
	}
	if err := t.compare(ctx, t.borders[last+1]); err != nil {
		return fmt.Errorf("after the rest of the facts: %w", err)
	}
	if found, all := t.withWork+t.storms, t.killed+t.storms; found*workOf < all*workMin {
		return fmt.Errorf("only %d of %d kills found lag, an open transaction or a storm, and less than %d of %d show nothing: use more citizens", found, all, workMin, workOf)
	}
	t.summarise(restored)
	return t.observer.clean(ctx)
}

// prepare writes the facts, cuts them and makes the topics.
func (t *torture) prepare(ctx context.Context, before, after int) (err error) {
	if t.file, err = os.Create(filepath.Join(t.directory, "facts.ndjson")); err != nil {
		return fmt.Errorf("write the facts: %w", err)
	}
	lines, err := t.city.Facts().WriteFacts(t.file, math.MaxInt)
	if err != nil {
		return err
	}
	storm := t.stormLine()
	t.say("%d facts: %d up to a storm, in %d slices, half of the others in %d, then the rest", lines, storm, before+1, after)
	if t.borders, err = cut(t.whole(), pieces(lines, storm, before+1, after)); err != nil {
		return fmt.Errorf("cut the facts: %w", err)
	}
	t.oracle = newOracle(t.city.Catalogue(), t.whole(), partitions)
	if err := t.command(ctx, nil, nil, t.flags("topics", "create", fmt.Sprintf("--partitions=%d", partitions))); err != nil {
		return err
	}
	if t.Registry == "" {
		return nil
	}
	return t.command(ctx, nil, nil, []string{"schemas", "register", "--prefix=" + t.prefix, "--registry=" + t.Registry})
}

// whole is the facts from their beginning.
func (t *torture) whole() io.Reader { return io.NewSectionReader(t.file, 0, 1<<62) }

// produce writes one piece of the facts to their topics.
func (t *torture) produce(ctx context.Context, piece int) error {
	from := t.borders[piece]
	facts := io.NewSectionReader(t.file, from, t.borders[piece+1]-from)
	return t.command(ctx, facts, nil, t.flags("produce", "-"))
}

// of are the instances of a group.
func (t *torture) of(group string) (all []*instance) {
	for _, i := range t.instances {
		if i.group == group {
			all = append(all, i)
		}
	}
	return all
}

// start starts instances.
func start(all ...*instance) error {
	for _, i := range all {
		if err := i.start(); err != nil {
			return err
		}
	}
	return nil
}

// stop ends instances cleanly.
func stop(all ...*instance) error {
	for _, i := range all {
		if err := i.stop(); err != nil {
			return err
		}
	}
	return nil
}

func (t *torture) say(format string, args ...any) {
	fmt.Fprintf(t.Progress, "torture: "+format+"\n", args...)
}
