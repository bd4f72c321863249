package benchmarks

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/processors/remind"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/topology"
)

// The storm. Evidence comes at a fixed rate all the while. The workload begins
// on a day by which all messages to the storm's people have been due, and the
// storm's tick comes so many days later, on the day on which they lapse.
const (
	stormCitizens = 1_000_000 // whose enrolment lapses in one tick, at scale 1
	stormRate     = 1_000     // records of evidence a second
	stormAhead    = 4         // from the first tick to the storm's
	stormLull     = 25        // seconds from the first to the storm's at scale 1, with the warm-up
	stormLullMin  = loopWarmup + 3
	stormMax      = 5 * time.Minute // a storm that outlasts it fails the run
	stormAfter    = time.Second     // for which evidence goes on
)

// lapsing are citizens whom nobody sees, with one enrolment that ends on
// the same day for all.
type lapsing struct {
	citizens int
	dueOn    schemas.Date
}

const stormID = "storm"

func (p lapsing) roster() iter.Seq[input] {
	at := schemas.Instant(p.dueOn-stormAhead) * schemas.Day
	return func(yield func(input) bool) {
		for i := range p.citizens {
			entry := &schemas.RosterEntry{
				EntryID: fmt.Sprint("s", i), CitizenID: fmt.Sprintf("%s%014d", stormID, i), Benefit: renewalsBenefits[0], Op: schemas.Enrol,
				RecordedAt: at, EffectiveOn: p.dueOn - 2_000, DueOn: &p.dueOn, Region: "341602",
			}
			if !yield(input{topology.Roster, entry.CitizenID, at, entry}) {
				return
			}
		}
	}
}

// expected gives the standings that must come out: each stands well first, and
// has lapsed at the tick.
func (p lapsing) expected(c *catalogue.Catalogue, tick input) digest {
	of, rules, timer, encoder := digest{}, certify.New(c), remind.New(c), newTimerEncoder()
	at := tick.record.(*schemas.ClockTick).At
	interval, _ := timer.OnTick(&remind.Partition{Clock: at - schemas.Day}, &schemas.ClockTick{At: at})
	for in := range p.roster() {
		decision, _ := rules.Step(new(certify.Citizen), in.key, in.record, in.at, certify.NoTick)
		row := new(remind.Citizen)
		event, _ := timer.OnEntry(row, decision.Schedule, in.at, remind.NoTick)
		topic, value := encoder.event(event)
		of.add(topic, in.key, value, in.at)
		row.Due(in.key, func(due remind.Due) {
			if due.At > at-schemas.Day && due.At <= at {
				event, _ := interval.Fire(row, due)
				topic, value := encoder.event(event)
				of.add(topic, in.key, value, tick.at)
			}
		})
	}
	return of
}

// stormRun is one storm.
type stormRun struct {
	*bench
	prefix           string
	certifies        system
	people           lapsing
	l                *loop
	certifier, timer *subject
	seen             *watch
	tick             input     // the storm's
	began            time.Time // when it was sent
	over             atomic.Int64
}

// storm measures how long evidence takes while it is calm, and while the timer
// fires what one tick has brought.
func storm(ctx context.Context, b *bench, sys system) error {
	prefix, strike, err := b.stage(ctx, "storm")
	if err != nil {
		return err
	}
	defer strike()
	first, _ := schemas.ParseDate(renewalsFrom)
	day := max(int(stormLull*min(b.Scale, 1)), stormLullMin) * stormRate / stormAhead // records of evidence
	t := &stormRun{
		bench: b, prefix: prefix, certifies: sys, l: &loop{w: renewals{day * 30, loopMonths, day}, rate: stormRate},
		people: lapsing{max(int(stormCitizens*b.Scale), 10), first + renewalsLead + stormAhead - 1},
	}
	b.Say("storm: deciding the roster of %d citizens, and of %d who will lapse", t.l.w.citizens, t.people.citizens)
	rosters, err := t.produceRosters(ctx)
	if err != nil {
		return err
	}
	if t.certifier, err = b.start(b.member(sys, prefix, "bench")); err != nil {
		return err
	}
	defer t.certifier.kill()
	if t.timer, err = b.start(b.timer(prefix)); err != nil {
		return err
	}
	defer t.timer.kill()
	if _, err := b.awaitDrained(ctx, t.certifier, prefix+topology.CertifierGroup, rosters); err != nil {
		return err
	}
	begin := schemas.Instant(first+renewalsLead)*schemas.Day - schemas.Minute
	if _, err := b.produce(ctx, prefix, func(yield func(input) bool) {
		yield(input{topology.Clock, "", begin, &schemas.ClockTick{At: begin}})
	}); err != nil {
		return err
	}
	if err := t.awaitFired(ctx, begin); err != nil { // all that lies before it too
		return err
	}
	if t.seen, err = b.watch(ctx, prefix, t.l.w); err != nil {
		return err
	}
	defer t.seen.client.Close()
	if err := t.measure(ctx); err != nil {
		return err
	}
	if err := t.timer.stop(subjectStop); err != nil {
		return err
	}
	return t.certifier.stop(subjectStop)
}

func (t *stormRun) produceRosters(ctx context.Context) (records int, err error) {
	for _, roster := range []iter.Seq[input]{t.l.w.roster(), t.people.roster()} {
		n, err := t.produce(ctx, t.prefix, roster)
		if err != nil {
			return 0, err
		}
		records += n
	}
	return records, nil
}

// awaitFired waits until the timer has fired up to a time.
func (t *stormRun) awaitFired(ctx context.Context, at schemas.Instant) error {
	for begun := time.Now(); ; {
		fired, err := t.fired(ctx, t.prefix)
		if err != nil || fired >= at {
			return err
		}
		if time.Since(begun) > stormMax {
			return fmt.Errorf("the timer has not fired a tick %v after it was sent", stormMax)
		}
		if err := t.timer.sleep(ctx, lookInterval); err != nil {
			return err
		}
	}
}

// measure sends the evidence with the ticks in it, until the storm is over.
func (t *stormRun) measure(ctx context.Context) error {
	lapse := schemas.Instant(t.people.dueOn+1) * schemas.Day // in the course of the civil day that began with the lapse
	failed := make(chan error, 1)
	var before [2]usage
	_, sights, err := t.l.send(ctx, t.bench, t.prefix, func(_ int, in input) bool {
		if tick, is := in.record.(*schemas.ClockTick); is && tick.At == lapse {
			t.tick, t.began = in, time.Now()
			before = t.usages()
			go func() {
				failed <- t.awaitFired(ctx, lapse)
				t.over.Store(time.Now().UnixNano())
			}()
		}
		over := t.over.Load()
		return over == 0 || time.Since(time.Unix(0, over)) < stormAfter
	})
	if err != nil {
		return err
	}
	if t.began.IsZero() {
		return fmt.Errorf("the evidence ended before the storm")
	}
	if err := <-failed; err != nil {
		return err
	}
	after := t.usages()
	want := t.l.w.expectedOf(t.catalogue, sights)
	if err := t.seen.await(ctx, t.certifier, len(want)); err != nil {
		return err
	}
	invalid := t.seen.check(t.certifies, want)
	if invalid == nil {
		invalid = t.checkStandings(ctx)
	}
	tick, over := t.l.numberAt(t.began), t.l.numberAt(time.Unix(0, t.over.Load()))
	if err := t.result("calm", stormRate*loopWarmup, tick, [2]usage{}, [2]usage{}, invalid == nil); err != nil {
		return err
	}
	if err := t.result("storm", tick, over, before, after, invalid == nil); err != nil {
		return err
	}
	return invalid
}

// usages are those of certifier and timer; one that has ended is noticed by
// those who wait for it.
func (t *stormRun) usages() (all [2]usage) {
	all[0], _ = t.certifier.used()
	all[1], _ = t.timer.used()
	return all
}

// result writes what the evidence between two numbers took.
func (t *stormRun) result(phase string, from, to int, before, after [2]usage, valid bool) error {
	h := t.seen.latencies(t.l, from, to)
	seconds := float64(to-from) / stormRate
	r := Result{Name: "storm", System: vouch, Records: to - from, Seconds: &seconds, P50: milliseconds(h, 50), P99: milliseconds(h, 99), P999: milliseconds(h, 99.9), Valid: valid,
		Settings: map[string]any{"phase": phase, "lapses": t.people.citizens, "rate": stormRate, "partitions": benchPartitions, "samples": h.TotalCount(), "max_ms": *milliseconds(h, 100), "curve": curve(h)}}
	if phase == "storm" {
		cpu := (after[1].cpu - before[1].cpu).Seconds()
		r.CPUSeconds, r.RSSPeak = &cpu, &after[1].peak // the timer's
	}
	t.Say("storm: %s for %.1f s: p50 %.1f ms, p99 %.1f ms, max %.1f ms over %d certifications, valid %v", phase, seconds, *r.P50, *r.P99, r.Settings["max_ms"], h.TotalCount(), valid)
	return t.write(r)
}

// checkStandings compares the standings of those who lapsed.
func (t *stormRun) checkStandings(ctx context.Context) error {
	got := digest{}
	_, err := t.read(ctx, nil, func(r *kgo.Record) error {
		if strings.HasPrefix(string(r.Key), stormID) {
			got.add(r.Topic[len(t.prefix):], string(r.Key), r.Value, schemas.Instant(r.Timestamp.UnixMilli()))
		}
		return nil
	}, t.prefix+topology.Standing, t.prefix+topology.ExpiryReminder, t.prefix+topology.VisitRequested)
	if err != nil {
		return err
	}
	if want := t.people.expected(t.catalogue, t.tick); !maps.Equal(got, want) {
		return wrong("of those who lapse %v came out, and %v had to, or others", got.counts(), want.counts())
	}
	return nil
}
