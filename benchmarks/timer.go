package benchmarks

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/topology"
)

// The due dates that are pending at scale 1, few and many, so that one run tells
// what ten times as many cost.
const (
	pendingFewer = 1_000_000
	pendingMore  = 10_000_000
)

// timer measures the timer alone: entries are written straight to its input.
func timer(ctx context.Context, b *bench, sys system) error {
	var peaks []int64
	for _, enrolments := range []int{pendingFewer, pendingMore} {
		peak, err := b.timerWith(ctx, newPending(int(float64(enrolments)*b.Scale), b.catalogue))
		if err != nil {
			return err
		}
		peaks = append(peaks, peak)
	}
	b.Say("timer: peak memory with ten times the due dates: %.2f times", float64(peaks[1])/float64(peaks[0]))
	return nil
}

// timerRun is one size of it.
type timerRun struct {
	*bench
	w        pending
	prefix   string
	m        member
	want     [ticks]digest
	produced int  // records that lie in the timer's input
	seen     ends // of its outputs
}

// timerWith returns the peak of memory over all phases.
func (b *bench) timerWith(ctx context.Context, w pending) (peak int64, err error) {
	prefix, strike, err := b.stage(ctx, "timer")
	if err != nil {
		return 0, err
	}
	defer strike()
	b.Say("timer: what must come out with %d due dates pending", w.enrolments())
	t := &timerRun{bench: b, w: w, prefix: prefix, m: b.timer(prefix), want: w.expected()}
	b.Say("timer: producing %d entries", w.citizens)
	if err := t.tick(ctx, tickFirst); err != nil {
		return 0, err
	}
	entries, err := b.produce(ctx, prefix, w.entries())
	if err != nil {
		return 0, err
	}
	t.produced += entries
	s, err := b.start(t.m)
	if err != nil {
		return 0, err
	}
	defer s.kill()
	took, err := b.awaitDrained(ctx, s, t.group(), t.produced)
	if err != nil {
		return 0, err
	}
	took.records = entries
	if err := t.phase(ctx, "timer-insert", tickFirst, took, map[string]any{"of": "entries"}); err != nil {
		return 0, err
	}
	peak = took.peak
	for _, storm := range []struct {
		tick int
		of   string
	}{{tickLapse, "lapses"}, {tickRemind, "reminders"}} {
		if took, err = t.fire(ctx, s, storm.tick); err != nil {
			return 0, err
		}
		if err := t.phase(ctx, "timer-fire", storm.tick, took, map[string]any{"of": storm.of}); err != nil {
			return 0, err
		}
		peak = max(peak, took.peak)
	}
	if err := s.stop(subjectStop); err != nil {
		return 0, err
	}
	return peak, t.firstFire(ctx)
}

func (t *timerRun) group() string { return t.prefix + topology.TimerGroup }

// tick writes one of the workload's ticks, as the certifier passes it on.
func (t *timerRun) tick(ctx context.Context, number int) error {
	at := t.w.tick(number)
	records, err := t.produce(ctx, t.prefix, func(yield func(input) bool) {
		yield(input{topology.Schedule, "", at, &schemas.ClockTick{At: at}})
	})
	t.produced += records
	return err
}

// fire writes a tick and waits until all that it fires is committed. The timer
// is idle before: time runs from when the tick is sent.
func (t *timerRun) fire(ctx context.Context, s *subject, number int) (took spent, err error) {
	if err := s.forgetPeak(); err != nil {
		return took, err
	}
	before, err := s.used()
	if err != nil {
		return took, err
	}
	began := time.Now()
	if err := t.tick(ctx, number); err != nil {
		return took, err
	}
	for {
		lag, err := t.lag(ctx, t.group(), t.produced)
		if err != nil {
			return took, err
		}
		if lag == 0 {
			break
		}
		if err := s.sleep(ctx, lookInterval); err != nil {
			return took, err
		}
	}
	took.wall = time.Since(began)
	after, err := s.used()
	took.cpu, took.peak, took.records = after.cpu-before.cpu, after.peak, t.want[number].records()
	return took, err
}

// phase checks what a phase wrote, and writes its result.
func (t *timerRun) phase(ctx context.Context, name string, number int, took spent, settings map[string]any) error {
	got := digest{}
	topics := make([]string, len(timerTopics))
	for i, topic := range timerTopics {
		topics[i] = t.prefix + topic
	}
	seen, err := t.read(ctx, t.seen, func(r *kgo.Record) error {
		got.add(r.Topic[len(t.prefix):], string(r.Key), r.Value, schemas.Instant(r.Timestamp.UnixMilli()))
		return nil
	}, topics...)
	if err != nil {
		return err
	}
	t.seen = seen
	valid := maps.Equal(got, t.want[number])
	seconds, bytes := took.wall.Seconds(), disk(t.m.state)
	r := Result{Name: name, System: vouch, Records: took.records, Seconds: &seconds, RSSPeak: &took.peak, Disk: &bytes, Valid: valid, Settings: settings}
	settings["pending"], settings["partitions"] = t.w.enrolments(), benchPartitions
	if name == "timer-first-fire" {
		t.Say("%s: %d pending: %.2f s after the start, %v s of them until it was ready, valid %v", name, t.w.enrolments(), seconds, settings["ready_seconds"], valid)
	} else {
		cpu := took.cpu.Seconds()
		r.CPUSeconds = &cpu
		t.Say("%s: %d pending: %d %v in %.2f s, %.0f per CPU-second, peak %d MiB, disk %d MiB, valid %v",
			name, t.w.enrolments(), took.records, settings["of"], seconds, float64(took.records)/max(cpu, 0.01), took.peak>>20, bytes>>20, valid)
	}
	if err := t.write(r); err != nil {
		return err
	}
	if !valid {
		return wrong("%s: %v came out, and %v had to", name, got.counts(), t.want[number].counts())
	}
	return nil
}

// firstFire starts the timer again with a tick before it, and measures the time
// until a reader of committed records has something that it fired. All that
// fired before lies in front of it in the index.
func (t *timerRun) firstFire(ctx context.Context) error {
	if err := t.tick(ctx, tickFew); err != nil {
		return err
	}
	first, err := t.awaitFirst(ctx)
	if err != nil {
		return err
	}
	s, err := t.start(t.m)
	if err != nil {
		return err
	}
	defer s.kill()
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	ready := time.Since(s.began)
	var at time.Time
	select {
	case at = <-first:
	case <-s.ended:
		return s.sleep(ctx, 0)
	case <-time.After(firstFireWait):
		return fmt.Errorf("nothing was fired %v after the start", firstFireWait)
	}
	if _, err := t.awaitDrained(ctx, s, t.group(), t.produced); err != nil {
		return err
	}
	used, err := s.used()
	if err != nil {
		return err
	}
	took := spent{wall: at.Sub(s.began), peak: used.peak, records: t.want[tickFew].records()}
	err = t.phase(ctx, "timer-first-fire", tickFew, took, map[string]any{
		"ready_seconds": ready.Seconds(), "after_ready_seconds": max(took.wall-ready, 0).Seconds(), "fired_before": t.want[tickLapse].records() + t.want[tickRemind].records(),
	})
	if err != nil {
		return err
	}
	return s.stop(subjectStop)
}

// firstFireWait ends a measurement in which nothing comes.
const firstFireWait = 2 * time.Minute

// awaitFirst gives the time at which a reader of committed records sees the
// next Standing.
func (t *timerRun) awaitFirst(ctx context.Context) (<-chan time.Time, error) {
	from := map[int32]kgo.Offset{}
	topic := t.prefix + topology.Standing
	for partition, end := range t.seen[topic] {
		from[partition] = kgo.NewOffset().At(end)
	}
	client, err := t.reader(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return nil, err
	}
	first := make(chan time.Time, 1)
	go func() {
		defer client.Close()
		ctx, stop := context.WithTimeout(ctx, firstFireWait)
		defer stop()
		for ctx.Err() == nil {
			if fetches := client.PollFetches(ctx); fetches.NumRecords() > 0 {
				first <- time.Now()
				return
			}
		}
	}()
	return first, nil
}

// counts are how many records of each topic there are, for a message.
func (d digest) counts() map[string]int {
	counts := map[string]int{}
	for topic, of := range d {
		counts[topic] = of.records
	}
	return counts
}
