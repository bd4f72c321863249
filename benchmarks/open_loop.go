package benchmarks

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology"
)

// The open loop: records are sent when they are due, whatever became of those
// before them, and the first seconds are not counted.
const (
	loopSeconds = 30 // at scale 1 and above
	loopWarmup  = 5
	loopWait    = 30 * time.Second // for the last certification
	loopMonths  = monthsBetween    // one record in so many certifies

	secondsOfDay = int(schemas.Day / schemas.Second)
)

// fixedRates are records a second, the same at every scale and for every
// system, so that results of different runs can be compared.
var fixedRates = []int{1_000, 5_000}

// loopShares of the slowest system's drain are the other rates: the same
// absolute rates for all systems.
var loopShares = []float64{0.25, 0.5, 0.75}

// loop is one open loop: a workload and the times at which its evidence is due.
type loop struct {
	w     renewals
	rate  int
	began time.Time
}

// due is when the evidence of a number has to be sent.
func (l *loop) due(number int) time.Time {
	return l.began.Add(time.Duration(number) * time.Second / time.Duration(l.rate))
}

// numberAt is the first evidence that is due at a time.
func (l *loop) numberAt(at time.Time) int {
	return max(int(at.Sub(l.began)*time.Duration(l.rate)/time.Second), 0)
}

// newLoop is one of a length. Its records' own time runs like the clock: were it
// faster, as half a year in the length of the loop would be, brokers would begin
// new segments of all partitions every second, which they do by that time, and
// what waits for that would be measured.
func newLoop(rate, seconds int) *loop {
	return &loop{w: renewals{max(rate*seconds/loopMonths, 10), loopMonths, rate * secondsOfDay}, rate: rate}
}

// send sends every record when it is due, until all are sent or proceed says
// no. A late sender sends at once, and the lateness counts. It returns how many
// records it sent, and how many of them are evidence.
func (l *loop) send(ctx context.Context, b *bench, prefix string, proceed func(number int, in input) bool) (records, sights int, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1_000_000),
		kgo.MetadataMinAge(clientsLookMin))
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	encoder, keys := newEncoder(), topology.TickKeys(benchPartitions)
	var failed atomic.Pointer[error]
	l.began = time.Now()
	for in := range l.w.evidence(b.catalogue) {
		if !proceed(sights, in) || ctx.Err() != nil || failed.Load() != nil {
			break
		}
		to := []string{in.key}
		if in.key == "" {
			to = keys
		} else {
			time.Sleep(time.Until(l.due(sights)))
			sights++
		}
		value := encoder.value(in.record)
		for _, key := range to {
			records++
			client.Produce(ctx, &kgo.Record{Topic: prefix + in.topic, Key: []byte(key), Value: value, Timestamp: time.UnixMilli(int64(in.at))}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			})
		}
	}
	if err := client.Flush(ctx); err != nil {
		return records, sights, err
	}
	if err := failed.Load(); err != nil {
		return records, sights, *err
	}
	return records, sights, ctx.Err()
}

// watch reads certifications as a consumer outside does.
type watch struct {
	client   *kgo.Client
	finished chan struct{}
	count    atomic.Int64
	newest   atomic.Int64 // the greatest number of evidence that was certified

	// For those who have stopped it.
	arrived []int64 // by the number of the evidence, nanoseconds since 1970; zero: never
	ids     eventIDs
	doubled int
	failed  error
}

// watch begins to read the certifications of a loop.
func (b *bench) watch(ctx context.Context, prefix string, w renewals) (*watch, error) {
	client, err := b.reader(kgo.ConsumeTopics(prefix+topology.CertificationCompleted), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	seen := &watch{client: client, finished: make(chan struct{}), arrived: make([]int64, w.citizens*w.months), ids: eventIDs{}}
	go func() {
		defer close(seen.finished)
		codec := avro.New(nil)
		for seen.failed == nil {
			fetches := client.PollFetches(ctx)
			if ctx.Err() != nil || fetches.IsClientClosed() {
				return
			}
			now := time.Now().UnixNano()
			fetches.EachRecord(func(r *kgo.Record) { seen.take(ctx, codec, r, now) })
		}
	}()
	return seen, nil
}

func (seen *watch) take(ctx context.Context, codec *avro.Codec, r *kgo.Record, now int64) {
	completed, err := completedOf(ctx, codec, r)
	number, malformed := strconv.Atoi(strings.TrimPrefix(completed.EvidenceID, "e"))
	switch {
	case err != nil:
		seen.failed = err
		return
	case malformed != nil || number >= len(seen.arrived):
		seen.failed = fmt.Errorf("a certification rests on evidence that was not sent")
		return
	case !seen.ids.add(completed.EventID):
		seen.doubled++
		return
	}
	seen.arrived[number] = now
	seen.count.Add(1)
	seen.newest.Store(max(seen.newest.Load(), int64(number)))
}

// stop ends the reading.
func (seen *watch) stop() error {
	seen.client.Close()
	<-seen.finished
	return seen.failed
}

// await waits until so many certifications were read, but not for ever, and
// stops.
func (seen *watch) await(ctx context.Context, s *subject, want int) error {
	for begun := time.Now(); seen.count.Load() < int64(want) && time.Since(begun) < loopWait; {
		select {
		case <-seen.finished:
			return seen.stop()
		default:
		}
		if err := s.sleep(ctx, lookInterval); err != nil {
			return err
		}
	}
	return seen.stop()
}

// latencies are those of the evidence that was due between two numbers, in
// nanoseconds.
func (seen *watch) latencies(l *loop, from, to int) *hdrhistogram.Histogram {
	h := hdrhistogram.New(1_000, int64(10*time.Minute), 3)
	for number := from; number < min(to, len(seen.arrived)); number++ {
		if at := seen.arrived[number]; at > 0 {
			_ = h.RecordValue(min(max(at-l.due(number).UnixNano(), 0), h.HighestTrackableValue()))
		}
	}
	return h
}

// check compares what was read with what must have come. A system that promises
// no more than at least once may say something again.
func (seen *watch) check(s system, want eventIDs) error {
	if (seen.doubled == 0 || s.atLeastOnce) && maps.Equal(seen.ids, want) {
		return nil
	}
	missing := 0
	for id := range want {
		if _, here := seen.ids[id]; !here {
			missing++
		}
	}
	return wrong("%d certifications came out, %d more of them again, and %d had to, of which %d are missing", len(seen.ids), seen.doubled, len(want), missing)
}

func milliseconds(h *hdrhistogram.Histogram, quantile float64) *float64 {
	v := float64(h.ValueAtQuantile(quantile)) / 1e6
	return &v
}

// curve is a latency curve as the report draws it: quantiles and milliseconds.
func curve(h *hdrhistogram.Histogram) (points [][2]float64) {
	for _, q := range []float64{0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 100} {
		points = append(points, [2]float64{q, *milliseconds(h, q)})
	}
	return points
}

// openLoop measures the time from when a record of evidence was due to be sent
// until a reader of committed records has the certification that it led to.
func openLoop(ctx context.Context, b *bench, sys system) error {
	rates := append([]int{}, fixedRates...)
	slowest, err := b.slowestDrain(ctx)
	if err != nil {
		return err
	}
	for _, share := range loopShares {
		rates = append(rates, int(slowest*share))
	}
	for i, rate := range rates {
		settings := sys.with()
		if i >= len(fixedRates) {
			settings["of_slowest_drain"] = loopShares[i-len(fixedRates)]
		}
		if err := b.openLoopAt(ctx, "open-loop", sys, max(rate, 1), settings); err != nil {
			return err
		}
	}
	return nil
}

// openLoopAt is one open loop, of a measure, which writes one result.
func (b *bench) openLoopAt(ctx context.Context, measure string, sys system, rate int, settings map[string]any) error {
	seconds := max(int(loopSeconds*min(b.Scale, 1)), loopWarmup+1)
	l := newLoop(rate, seconds)
	prefix, strike, err := b.stage(ctx, measure)
	if err != nil {
		return err
	}
	defer strike()
	s, seen, err := b.ready(ctx, b.member(sys, prefix, "bench"), l)
	if err != nil {
		return err
	}
	defer s.kill()
	defer seen.client.Close()
	before, err := s.used()
	if err != nil {
		return err
	}
	records, sights, err := l.send(ctx, b, prefix, func(int, input) bool { return true })
	if err != nil {
		return err
	}
	after, err := s.used()
	if err != nil {
		return err
	}
	want := l.w.expected(b.catalogue)
	if err := seen.await(ctx, s, len(want)); err != nil {
		return err
	}
	invalid := seen.check(sys, want)
	h := seen.latencies(l, rate*loopWarmup, sights)
	cpu, span := (after.cpu - before.cpu).Seconds(), float64(seconds)
	r := Result{Name: measure, System: sys.name, Records: records, Seconds: &span, CPUSeconds: &cpu, RSSPeak: &after.peak,
		P50: milliseconds(h, 50), P99: milliseconds(h, 99), P999: milliseconds(h, 99.9), Valid: invalid == nil, Settings: settings}
	settings["rate"], settings["partitions"], settings["samples"], settings["curve"] = rate, benchPartitions, h.TotalCount(), curve(h)
	b.Say("%s: %s at %d/s: p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms over %d certifications, valid %v",
		measure, sys.title(), rate, *r.P50, *r.P99, *r.P999, float64(h.Max())/1e6, h.TotalCount(), r.Valid)
	if err := b.write(r); err != nil {
		return err
	}
	if invalid != nil {
		return invalid
	}
	return s.stop(subjectStop)
}

// ready starts a member and lets it decide the roster of a loop, with a reader
// at its output.
func (b *bench) ready(ctx context.Context, m member, l *loop) (s *subject, seen *watch, err error) {
	first, err := b.produce(ctx, m.prefix, l.w.roster())
	if err != nil {
		return nil, nil, err
	}
	if s, err = b.start(m); err != nil {
		return nil, nil, err
	}
	if _, err = b.awaitDrained(ctx, s, m.prefix+topology.CertifierGroup, first); err == nil {
		seen, err = b.watch(ctx, m.prefix, l.w)
	}
	if err != nil {
		s.kill()
	}
	return s, seen, err
}

// slowestDrain is the rate of the slowest system of this run. What drain has
// not measured in it is measured first.
func (b *bench) slowestDrain(ctx context.Context) (slowest float64, err error) {
	systems, err := b.systems()
	if err != nil {
		return 0, err
	}
	for _, s := range systems {
		if b.drained[s.title()] == 0 {
			if err := drain(ctx, b, s); err != nil {
				return 0, err
			}
		}
		if rate := b.drained[s.title()]; slowest == 0 || rate < slowest {
			slowest = rate
		}
	}
	return slowest, nil
}
