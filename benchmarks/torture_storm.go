package benchmarks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/benchmarks/city"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/topology"
)

// The storm.
const (
	// stormPeople are those of the city to whom the same is due on the same day:
	// some thousands a partition, for which a timer needs several transactions.
	stormPeople = 20_000
	// stormCalm is how long nothing more may have come after a kill: a
	// transaction that had been committed by then shows its records.
	stormCalm = 300 * time.Millisecond
)

// stormDays are the days, from the one on which those people are due, that end
// with a storm: of reminders, of visits, of lapses.
var stormDays = []int{-30, -15, 0}

// stormTopics are those that a storm's fires are written to.
var stormTopics = []string{topology.ExpiryReminder, topology.VisitRequested, topology.Standing}

// stormLine chooses a storm, and gives the number of facts up to its tick,
// which is the last of them.
func (t *torture) stormLine() (line int) {
	day := t.city.UnseenDueOn() + schemas.Date(stormDays[t.random.IntN(len(stormDays))])
	ends := t.city.Catalogue().Zone.StartOf(day + 1)
	var f city.Fact
	for facts := t.city.Facts(); facts.Next(&f); {
		line++
		if tick, is := f.Record.(*schemas.ClockTick); is && tick.At >= ends {
			break
		}
	}
	return line
}

// storm lets the certifiers decide the slice that ends with a storm while no
// timer runs. Then timers begin, with all of it before them, and are killed
// whenever a reader sees more of the storm's fires, until all have come.
func (t *torture) storm(ctx context.Context, piece int) error {
	if err := t.produce(ctx, piece); err != nil {
		return err
	}
	certifiers := t.of(topology.CertifierGroup)
	if err := start(certifiers...); err != nil {
		return err
	}
	if err := t.observer.ready(ctx, certifiers...); err != nil {
		return err
	}
	if err := t.drained(ctx, topology.CertifierGroup); err != nil {
		return err
	}
	if err := stop(certifiers...); err != nil {
		return err
	}
	if err := t.oracle.decide(t.borders[piece+1]); err != nil {
		return err
	}
	w, err := t.watch(ctx)
	if err != nil {
		return err
	}
	defer w.client.Close()
	fires := len(t.oracle.lastOutputs)
	t.say("a storm: %d fires at the tick of %s", fires, t.oracle.lastTick)
	var found []map[int32]int // after each kill: the fires by partition
	for w.all < fires {
		if err := t.strikeStorm(ctx, w, fires); err != nil {
			return err
		}
		found = append(found, maps.Clone(w.seen))
	}
	for _, seen := range found {
		for partition, number := range seen {
			if number > 0 && number < w.seen[partition] {
				t.withinStorm++
				break
			}
		}
	}
	if t.withinStorm == 0 {
		return fmt.Errorf("the timers were killed %d times in a storm of %d fires, and never left those of a partition half done", t.storms, fires)
	}
	return nil
}

// strikeStorm starts the timers, and kills them when more of the storm is seen.
func (t *torture) strikeStorm(ctx context.Context, w *stormWatch, fires int) error {
	timers := t.of(topology.TimerGroup)
	if err := start(timers...); err != nil {
		return err
	}
	before := w.all
	for since := time.Now(); w.all == before; {
		if time.Since(since) > stillTimeout {
			return fmt.Errorf("%d of %d fires of a storm have come, and no more for %v (stillTimeout)", w.all, fires, stillTimeout)
		}
		for _, i := range timers {
			if err := i.sleep(ctx, 0); err != nil {
				return err
			}
		}
		if err := w.poll(ctx, lagEvery); err != nil {
			return err
		}
	}
	for _, i := range timers {
		i.kill()
	}
	for seen := before; seen != w.all; {
		seen = w.all
		if err := w.poll(ctx, stormCalm); err != nil {
			return err
		}
	}
	if w.all < fires {
		t.storms++
		t.say("the timers are killed in the storm when %d of %d fires are there", w.all, fires)
	}
	return nil
}

// stormWatch reads the fires of one tick as a reader of committed records.
type stormWatch struct {
	client *kgo.Client
	at     schemas.Instant // of the tick's record
	seen   map[int32]int   // by partition
	all    int
}

// watch begins to watch the fires of the oracle's last tick, from the present
// end of the topics.
func (t *torture) watch(ctx context.Context) (*stormWatch, error) {
	var names []string
	for _, topic := range stormTopics {
		names = append(names, t.prefix+topic)
	}
	ends, err := t.observer.admin.ListCommittedOffsets(ctx, names...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("watch the storm: list the ends of its topics: %w", err)
	}
	from := map[string]map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		if from[end.Topic] == nil {
			from[end.Topic] = map[int32]kgo.Offset{}
		}
		from[end.Topic][end.Partition] = kgo.NewOffset().At(end.Offset)
	})
	client, err := t.Connect(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumePartitions(from))
	if err != nil {
		return nil, err
	}
	return &stormWatch{client: client, at: t.oracle.lastAt, seen: map[int32]int{}}, nil
}

// poll takes in what has come, and waits so long for it at most. A fire has the
// time of its tick.
func (w *stormWatch) poll(ctx context.Context, wait time.Duration) error {
	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	fetches := w.client.PollFetches(short)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, failed := range fetches.Errors() {
		if !errors.Is(failed.Err, context.DeadlineExceeded) {
			return fmt.Errorf("watch the storm: read %s: %w", failed.Topic, failed.Err)
		}
	}
	fetches.EachRecord(func(r *kgo.Record) {
		if r.Timestamp.UnixMilli() == int64(w.at) {
			w.seen[r.Partition]++
			w.all++
		}
	})
	return nil
}
