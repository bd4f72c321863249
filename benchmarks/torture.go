package benchmarks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

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

// When an instance is killed.
const (
	// partitions of the run's topics.
	partitions = 4
	// startWindow is the time after its start in which one that is killed
	// early is killed: while it joins, restores, takes over.
	startWindow = time.Second
	// workWindow is, at first, the time after it was seen at work in which one
	// is killed. It is halved when a kill came too late to find any work, and
	// grows by a tenth when it did not, so that the kills spread over the work on
	// a fast machine as on a slow one.
	workWindow = 100 * time.Millisecond
	// Of so many kills one is early; of so many, among several instances, one is
	// followed by the return of the victim; in one round of so many the last
	// instance is killed when it has taken over from the others.
	earlyOneOf, backOneOf, takeoverOneOf = 5, 3, 4
	// One round of so many begins with a clean end.
	cleanOneOf = 2
	// Of the kills, workMin of workOf must have found work at least, or the run
	// has shown nothing.
	workMin, workOf = 15, 20
)

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
	Instances int
	Seed      uint64    // of the city, and of the moments of the kills
	Summary   io.Writer // what was found
	Progress  io.Writer // what is being done
}

// Torture runs certifiers as processes of their own on a real log, kills them
// with SIGKILL at random while they work, and then compares what consumers see
// with what the same facts lead to offline: as a set the same, none missing,
// none twice. A fresh instance with an empty state directory must restore the
// same rows, and decide the second half of the facts like one that was never
// killed. It looks from outside, by the commands and requests that any user
// has.
//
// Facts are only produced while no instance runs: the order of a partition's
// inputs is that of their timestamps for what is in the log when an instance
// takes it over, and the records compared here speak of that order.
//
// The run's topics and its directory are removed if it ends well.
func Torture(ctx context.Context, o TortureOptions) (err error) {
	people, err := city.New(city.Config{Seed: o.Seed, Citizens: o.Citizens})
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
		random: rand.New(rand.NewPCG(o.Seed, 0)), window: workWindow,
	}
	for i := range o.Instances {
		t.instances = append(t.instances, t.instance(fmt.Sprintf("i%d", i)))
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
	prefix    string // of the topics and the group
	observer  *observer
	instances []*instance // those to be killed, then the fresh one in their place

	random *rand.Rand

	file    *os.File // the facts
	borders []int64  // of the pieces of the facts: the slices of the first half, then the second half
	oracle  *oracle

	mu                                         sync.Mutex    // guards the following
	window                                     time.Duration // see workWindow
	killed, withLag, withTransaction, withWork int
}

func (t *torture) run(ctx context.Context) error {
	rounds := plan(t.random, t.Kills, t.Instances)
	if err := t.prepare(ctx, len(rounds)); err != nil {
		return err
	}
	defer t.file.Close()
	for number, kills := range rounds {
		if err := t.round(ctx, number, kills); err != nil {
			return err
		}
	}
	t.say("every instance works until nothing is left")
	if err := t.drain(ctx); err != nil {
		return err
	}
	if err := t.compare(ctx, t.borders[len(rounds)]); err != nil {
		return fmt.Errorf("after the kills: %w", err)
	}
	rows, digest, err := t.restore(ctx)
	if err != nil {
		return err
	}
	t.say("the fresh instance decides the second half")
	if err := t.produce(ctx, len(rounds)); err != nil {
		return err
	}
	if err := t.drain(ctx); err != nil {
		return err
	}
	if err := t.compare(ctx, t.borders[len(rounds)+1]); err != nil {
		return fmt.Errorf("after the second half: %w", err)
	}
	if t.withWork*workOf < t.Kills*workMin {
		return fmt.Errorf("only %d of %d kills found lag or an open transaction, and less than %d of %d show nothing: use more citizens", t.withWork, t.Kills, workMin, workOf)
	}
	t.summarise(rows, digest)
	return t.observer.clean(ctx)
}

// prepare writes the facts, cuts them and makes the topics.
func (t *torture) prepare(ctx context.Context, slices int) (err error) {
	if t.file, err = os.Create(filepath.Join(t.directory, "facts.ndjson")); err != nil {
		return fmt.Errorf("write the facts: %w", err)
	}
	lines, err := t.city.Facts().WriteFacts(t.file, math.MaxInt)
	if err != nil {
		return err
	}
	t.say("%d facts: half of them in %d slices, then the rest", lines, slices)
	if t.borders, err = cut(t.whole(), pieces(lines, slices)); err != nil {
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

// round gives the instances a slice of work and kills them at it.
func (t *torture) round(ctx context.Context, number int, kills []kill) error {
	if number%cleanOneOf == cleanOneOf-1 {
		if err := t.pause(ctx); err != nil {
			return err
		}
	}
	if err := t.produce(ctx, number); err != nil {
		return err
	}
	for _, i := range t.instances {
		if err := i.start(); err != nil {
			return err
		}
	}
	together, taken := errgroup.WithContext(ctx)
	for number, victim := range t.instances {
		together.Go(func() error {
			for _, k := range kills {
				if k.instance != number || k.takeover {
					continue
				}
				if err := t.strike(taken, victim, k); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := together.Wait(); err != nil {
		return err
	}
	for _, k := range kills {
		if !k.takeover {
			continue
		}
		if err := t.strike(ctx, t.instances[k.instance], k); err != nil {
			return err
		}
	}
	return nil
}

// pause starts the instances and ends them cleanly. A clean end writes the
// state down, so that the next kills find one that is older than the log, not
// none.
func (t *torture) pause(ctx context.Context) error {
	for _, i := range t.instances {
		if err := i.start(); err != nil {
			return err
		}
	}
	if err := t.observer.ready(ctx, t.instances...); err != nil {
		return err
	}
	for _, i := range t.instances {
		if err := i.stop(); err != nil {
			return err
		}
	}
	t.say("a clean end and a new start")
	return nil
}

// strike kills an instance once.
func (t *torture) strike(ctx context.Context, victim *instance, k kill) error {
	if err := t.await(ctx, victim, k); err != nil {
		return err
	}
	victim.kill()
	if err := t.judge(ctx, victim, k); err != nil {
		return err
	}
	if k.back {
		return victim.start()
	}
	return nil
}

// await waits for the moment of a kill.
func (t *torture) await(ctx context.Context, victim *instance, k kill) error {
	if k.early {
		return victim.sleep(ctx, time.Duration(k.moment*float64(startWindow)))
	}
	if k.takeover {
		if err := t.awaitTakeover(ctx, victim); err != nil {
			return err
		}
	}
	looked := time.Now() // at the lag, which is asked for seldom: a transaction is short
	for start := looked; time.Since(start) < workTimeout; {
		state, err := t.observer.transaction(ctx, victim.name)
		if err != nil {
			return err
		}
		if state == transactionOpen {
			t.mu.Lock()
			window := t.window
			t.mu.Unlock()
			return victim.sleep(ctx, time.Duration(k.moment*float64(window)))
		}
		if time.Since(looked) > lagEvery {
			lag, err := t.observer.lag(ctx, victim.name)
			if err != nil || lag == 0 {
				return err
			}
			looked = time.Now()
		}
		if err := victim.sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
	return nil
}

// awaitTakeover waits until an instance has got the partitions of those that
// were killed, which it does when their sessions have ended.
func (t *torture) awaitTakeover(ctx context.Context, victim *instance) error {
	for start := time.Now(); time.Since(start) < workTimeout; {
		owned, err := t.observer.partitions(ctx, victim.name)
		if err != nil || len(owned) == partitions {
			return err
		}
		if err := victim.sleep(ctx, lagEvery); err != nil {
			return err
		}
	}
	return fmt.Errorf("instance %s has not got the partitions of the others %v (workTimeout) after they were killed", victim.name, workTimeout)
}

// judge counts what a kill found: the broker still shows what the victim left.
func (t *torture) judge(ctx context.Context, victim *instance, k kill) error {
	open, err := t.observer.leftOpen(ctx, victim.name)
	if err != nil {
		return err
	}
	lag, err := t.observer.lag(ctx, victim.name)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.killed++
	if open {
		t.withTransaction++
	}
	if lag > 0 {
		t.withLag++
	}
	switch {
	case open || lag > 0:
		t.withWork++
		t.window += t.window / 10
	case !k.early:
		t.window /= 2
	}
	when, transaction := "at work", "no transaction open"
	switch {
	case k.early:
		when = "early"
	case k.takeover:
		when = "after it took over"
	}
	if open {
		transaction = "a transaction open"
	}
	t.say("kill %d of %d: %s, %s: %d records behind, %s", t.killed, t.Kills, victim.name, when, lag, transaction)
	return nil
}

// drain lets every instance work until the lag is 0, then ends all cleanly.
// They are ready by then, so that their states are as new as the log.
func (t *torture) drain(ctx context.Context) error {
	for _, i := range t.instances {
		if err := i.start(); err != nil {
			return err
		}
	}
	if err := t.observer.ready(ctx, t.instances...); err != nil {
		return err
	}
	least, since := int64(-1), time.Now()
	for {
		lag, err := t.observer.lag(ctx, "")
		if err != nil {
			return err
		}
		if lag == 0 {
			break
		}
		if least < 0 || lag < least {
			least, since = lag, time.Now()
		}
		if time.Since(since) > stillTimeout {
			return fmt.Errorf("the group has been %d records behind for %v (stillTimeout) and does not catch up", lag, stillTimeout)
		}
		for _, i := range t.instances {
			if err := i.sleep(ctx, lagEvery); err != nil {
				return err
			}
		}
	}
	for _, i := range t.instances {
		if err := i.stop(); err != nil {
			return err
		}
	}
	return nil
}

// compare reads what a consumer sees and compares it with what the facts up to
// a border lead to.
func (t *torture) compare(ctx context.Context, border int64) error {
	if err := t.oracle.decide(border); err != nil {
		return err
	}
	if err := t.observer.settled(ctx); err != nil {
		return err
	}
	seen := records{}
	lines, written := io.Pipe()
	read := make(chan error, 1)
	go func() {
		err := seen.read(lines)
		lines.CloseWithError(err)
		read <- err
	}()
	err := t.command(ctx, nil, written, t.flags(append([]string{"tail", "--until-end"}, certifierOutputs...)...))
	written.CloseWithError(err)
	if err := errors.Join(err, <-read); err != nil {
		return err
	}
	found := compare(t.oracle.records, seen)
	if !found.equal() {
		path := filepath.Join(t.directory, "differences.ndjson")
		return errors.Join(fmt.Errorf("not equal: %v; each is in %s", found, path), found.write(path))
	}
	t.say("equal: %d records", seen.count())
	return nil
}

// restore lets a fresh instance restore everything from the changelog, and
// compares its rows with those of the old instances and of the changelog.
func (t *torture) restore(ctx context.Context) (rows int, digest string, err error) {
	old, err := t.digest(t.instances...)
	if err != nil {
		return 0, "", err
	}
	t.say("a fresh instance restores from the changelog")
	fresh := t.instance("fresh")
	t.instances = []*instance{fresh}
	if err := fresh.start(); err != nil {
		return 0, "", err
	}
	if err := t.observer.ready(ctx, fresh); err != nil {
		return 0, "", err
	}
	if err := fresh.stop(); err != nil {
		return 0, "", err
	}
	restored, err := t.digest(fresh)
	if err != nil {
		return 0, "", err
	}
	log, err := topology.DigestChangelog(ctx, t.Connect, t.prefix)
	if err != nil {
		return 0, "", err
	}
	for p := range partitions {
		if !old[p].Same(restored[p]) || !old[p].Same(log[p]) {
			return 0, "", fmt.Errorf("partition %d is not the same in the old instances (%v), in the fresh one (%v) and in the changelog (%v)", p, old[p], restored[p], log[p])
		}
		rows += restored[p].Rows
	}
	return rows, restored.String(), nil
}

// digest gives the digests of all partitions, each from the instance whose
// state is the newest, since one that lost a partition keeps its old rows.
func (t *torture) digest(instances ...*instance) (newest topology.Digests, err error) {
	for _, i := range instances {
		all, err := topology.DigestState(i.state, t.prefix, partitions)
		if err != nil {
			return nil, err
		}
		if newest == nil {
			newest = all
		}
		for p, d := range all {
			if d.Position > newest[p].Position {
				newest[p] = d
			}
		}
	}
	return newest, nil
}

func (t *torture) say(format string, args ...any) {
	fmt.Fprintf(t.Progress, "torture: "+format+"\n", args...)
}

func (t *torture) summarise(rows int, digest string) {
	format := "facts       %d in %d partitions, the second half after the kills\n" +
		"kills       %d of %d instance(s): %d found work, %d lag and %d an open transaction\n" +
		"compared    with the offline decision, after the kills and at the end: no record missing, none twice\n" +
		"restored    %d rows from the changelog into an empty directory: digest %s, as before\n"
	fmt.Fprintf(t.Summary, format, t.oracle.facts, partitions, t.killed, t.Instances, t.withWork, t.withLag, t.withTransaction, rows, digest)
	fmt.Fprintf(t.Summary, "torture: equal: %d records, %d kills, %d with lag, %d with open transactions, seed %d\n",
		t.oracle.records.count(), t.killed, t.withLag, t.withTransaction, t.Seed)
}

// A kill of one instance.
type kill struct {
	instance int
	early    bool    // while it starts, not when it is seen at work
	moment   float64 // of the window, 0 to 1
	back     bool    // it comes back at once
	takeover bool    // when it has taken over from all others, which are dead by then
}

// plan makes rounds of kills. Those of several instances in a round happen at
// the same time, each when its own moment comes, but takeovers, which are last.
// After each round but the last no instance is left, so that the next slice can
// be produced.
func plan(random *rand.Rand, kills, instances int) (rounds [][]kill) {
	for kills > 0 {
		var round []kill
		takeover := instances > 1 && random.IntN(takeoverOneOf) == 0
		for place, instance := range random.Perm(instances) {
			k := kill{instance: instance, early: random.IntN(earlyOneOf) == 0, moment: random.Float64()}
			if last := place == instances-1; takeover && last {
				k.early, k.takeover = false, true
			} else if !takeover && instances > 1 && random.IntN(backOneOf) == 0 {
				first := k
				first.moment, first.back = random.Float64(), true
				round = append(round, first)
			}
			round = append(round, k)
		}
		round = round[:min(kills, len(round))]
		kills -= len(round)
		rounds = append(rounds, round)
	}
	return rounds
}
