package benchmarks

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/topology"
)

// What is done to a group while evidence comes at a fixed rate. A system may
// notice late that a member is gone; the evidence goes on until it has.
const (
	recoveryRate  = 1_000
	recoveryPhase = 10 // seconds between two events at scale 1
	recoveryMin   = 3
	recoveryMax   = 2 * time.Minute // in which something new must come out after an event
	recoveryAfter = recoveryRate    // records that must come out after it
)

// recovery is an open loop in which something happens.
type recovery struct {
	*bench
	sys    system
	prefix string
	l      *loop
	m      member
	s      *subject
	seen   *watch
	sights int
}

// newRecovery begins one; strike ends it.
func (b *bench) newRecovery(ctx context.Context, name string, sys system) (r *recovery, strike func(), err error) {
	prefix, remove, err := b.stage(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	r = &recovery{bench: b, sys: sys, prefix: prefix, l: newLoop(recoveryRate, int(2*recoveryMax/time.Second)), m: b.member(sys, prefix, "bench")}
	if r.s, r.seen, err = b.ready(ctx, r.m, r.l); err != nil {
		remove()
		return nil, nil, err
	}
	return r, func() {
		r.seen.client.Close()
		r.s.kill()
		remove()
	}, nil
}

// phase is how many records of evidence come between two events.
func (r *recovery) phase() int {
	return max(int(recoveryPhase*min(r.Scale, 1)), recoveryMin) * recoveryRate
}

// event is something that happens before a number of evidence is due.
type event struct {
	name string
	do   func() error
	at   int // the number of evidence; set when it happens
}

// run sends evidence and lets events happen, each a phase after what came of
// the one before it, and checks what came out.
func (r *recovery) run(ctx context.Context, events []event) (valid error, err error) {
	next, from := 0, loopWarmup*recoveryRate+r.phase()
	var failed atomic.Pointer[error]
	var doing sync.WaitGroup
	_, r.sights, err = r.l.send(ctx, r.bench, r.prefix, func(number int, _ input) bool {
		if failed.Load() != nil {
			return false
		}
		if next > 0 && int(r.seen.newest.Load()) < events[next-1].at+recoveryAfter {
			from = number + r.phase() // nothing has come of it yet
			return true
		}
		if number < from {
			return true
		}
		if next == len(events) {
			return false
		}
		events[next].at, from = number, number+r.phase()
		do := events[next].do
		doing.Go(func() { // evidence comes all the while
			if err := do(); err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
		next++
		return true
	})
	doing.Wait()
	if err != nil {
		return nil, err
	}
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	if next < len(events) || r.sights == r.l.w.citizens*r.l.w.months {
		return nil, fmt.Errorf("nothing new came out in %v after an event", recoveryMax)
	}
	want := r.l.w.expectedOf(r.catalogue, r.sights)
	if err := r.seen.await(ctx, r.s, len(want)); err != nil {
		return nil, err
	}
	return r.seen.check(r.sys, want), nil
}

// after is the time from when the evidence of a number was due until the first
// certification of evidence since then was read.
func (r *recovery) after(number int) time.Duration {
	first := int64(0)
	for _, at := range r.seen.arrived[number:] {
		if at > 0 && (first == 0 || at < first) {
			first = at
		}
	}
	return time.Duration(first - r.l.due(number).UnixNano())
}

// result writes what an event led to: the time without anything new, and the
// latencies from it to the next event.
func (r *recovery) result(name string, e event, to int, settings map[string]any, invalid error) error {
	h := r.seen.latencies(r.l, e.at, to)
	gap := r.after(e.at).Seconds()
	what := "nothing new for"
	if settings["of"] = e.name; name == "rebalance" {
		gap, what = float64(h.Max())/1e9, "a wait of up to" // others may go on meanwhile
	}
	settings["rate"], settings["partitions"], settings["samples"], settings["timeline"] = recoveryRate, benchPartitions, h.TotalCount(), r.timeline(e.at, to)
	r.Say("%s: %s, %s: %s %.2f s, p99 %.0f ms until the next event, valid %v", name, r.sys.title(), e.name, what, gap, *milliseconds(h, 99), invalid == nil)
	return r.write(Result{Name: name, System: r.sys.name, Records: to - e.at, Seconds: &gap, P50: milliseconds(h, 50), P99: milliseconds(h, 99), P999: milliseconds(h, 99.9), Valid: invalid == nil, Settings: settings})
}

// timeline is the worst latency in milliseconds of the evidence due in every
// quarter of a second, from a second before an event.
func (r *recovery) timeline(from, to int) (points [][2]float64) {
	const step = recoveryRate / 4
	for number := max(from-recoveryRate, 0); number < to; number += step {
		h := r.seen.latencies(r.l, number, min(number+step, to))
		points = append(points, [2]float64{float64(number-from) / recoveryRate, float64(h.Max()) / 1e6})
	}
	return points
}

// crash kills the only member with SIGKILL and starts it again at once.
func crash(ctx context.Context, b *bench, sys system) error {
	r, strike, err := b.newRecovery(ctx, "crash", sys)
	if err != nil {
		return err
	}
	defer strike()
	killed := []event{{name: "kill", do: func() error {
		r.s.kill()
		again, err := b.start(r.m)
		if err == nil {
			r.s = again
		}
		return err
	}}}
	invalid, err := r.run(ctx, killed)
	if err != nil {
		return err
	}
	if err := r.result("crash", killed[0], r.sights, sys.with("doubled", r.seen.doubled), invalid); err != nil {
		return err
	}
	if invalid != nil {
		return invalid
	}
	return r.s.stop(subjectStop)
}

// rebalance lets a second member join the first, and end again.
func rebalance(ctx context.Context, b *bench, sys system) error {
	r, strike, err := b.newRecovery(ctx, "rebalance", sys)
	if err != nil {
		return err
	}
	defer strike()
	var second *subject
	defer func() {
		if second != nil {
			second.kill()
		}
	}()
	events := []event{
		{name: "join", do: func() (err error) {
			second, err = b.start(b.member(sys, r.prefix, "second"))
			return err
		}},
		{name: "leave", do: func() error { return second.stop(subjectStop) }},
	}
	invalid, err := r.run(ctx, events)
	if err != nil {
		return err
	}
	// What comes right before the end of the second member may be in its hands then.
	for i, to := range []int{events[1].at - recoveryAfter, r.sights} {
		if err := r.result("rebalance", events[i], to, sys.with("doubled", r.seen.doubled), invalid); err != nil {
			return err
		}
	}
	if invalid != nil {
		return invalid
	}
	return r.s.stop(subjectStop)
}

const (
	coldCitizens = 1_000
	coldMax      = time.Minute // in which the first output must come
)

// coldStart measures a process that has neither state nor positions, before
// which a little of the roster lies. Its outputs are schedule entries, since
// not every peer takes the roster before the evidence.
func coldStart(ctx context.Context, b *bench, sys system) error {
	w := renewals{citizens: coldCitizens, months: 1}
	prefix, strike, err := b.stage(ctx, "cold-start")
	if err != nil {
		return err
	}
	defer strike()
	records, err := b.produce(ctx, prefix, w.roster())
	if err != nil {
		return err
	}
	out, err := b.reader(kgo.ConsumeTopics(prefix+topology.Schedule), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer out.Close()
	s, err := b.start(b.member(sys, prefix, "bench"))
	if err != nil {
		return err
	}
	defer s.kill()
	var first time.Duration
	got, keys := 0, map[string]bool{}
	waiting, stop := context.WithTimeout(ctx, coldMax)
	defer stop()
	for got < records && waiting.Err() == nil {
		out.PollFetches(waiting).EachRecord(func(r *kgo.Record) {
			if got++; got == 1 {
				first = time.Since(s.began)
			}
			keys[string(r.Key)] = true
		})
	}
	used, err := s.used()
	if err != nil {
		return err
	}
	seconds, cpu := first.Seconds(), used.cpu.Seconds()
	valid := got == records && len(keys) == coldCitizens // each entry moves what the timer must know
	b.Say("cold-start: %s: first output after %.2f s, valid %v", sys.title(), seconds, valid)
	if err := b.write(Result{Name: "cold-start", System: sys.name, Records: records, Seconds: &seconds, CPUSeconds: &cpu, RSSPeak: &used.peak, Valid: valid,
		Settings: sys.with("citizens", coldCitizens, "partitions", benchPartitions)}); err != nil {
		return err
	}
	if !valid {
		return wrong("%d schedule entries of %d citizens came out in %v, and %d of %d had to", got, len(keys), coldMax, records, coldCitizens)
	}
	return s.stop(subjectStop)
}
