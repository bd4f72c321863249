package benchmarks

import (
	"context"
	"fmt"
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
	latencyRate    = 1_000 // records a second, at every scale
	latencySeconds = 30
	latencyWarmup  = 5
	latencyWait    = 10 * time.Second // for the last certification
)

// latency measures the time from when a record of evidence was due to be sent
// until a reader of committed records has the certification that it led to.
func latency(ctx context.Context, b *bench) error {
	seconds := max(int(latencySeconds*min(b.Scale, 1)), latencyWarmup+1)
	w := renewals{latencyRate * seconds / drainMonths, drainMonths}
	prefix, strike, err := b.stage(ctx, "latency")
	if err != nil {
		return err
	}
	defer strike()
	first, err := b.produce(ctx, prefix, w.roster())
	if err != nil {
		return err
	}
	s, _, err := b.certifier(prefix)
	if err != nil {
		return err
	}
	defer s.kill()
	if _, err := b.awaitDrained(ctx, s, prefix, first); err != nil {
		return err
	}
	due := make([]atomic.Int64, w.citizens*w.months) // nanoseconds since 1970, by the number in the evidence's id
	readerCtx, stopReader := context.WithCancel(ctx)
	defer stopReader()
	read := make(chan reading, 1)
	if err := b.readCertifications(readerCtx, prefix, due, read); err != nil {
		return err
	}
	b.Say("latency: %d records/s for %d s", latencyRate, seconds)
	before, err := s.used()
	if err != nil {
		return err
	}
	records, err := b.openLoop(ctx, prefix, w, due)
	if err != nil {
		return err
	}
	after, err := s.used()
	if err != nil {
		return err
	}
	want := len(w.expected(b.catalogue))
	if err := s.sleep(ctx, latencyWait/10); err != nil {
		return err
	}
	stopReader()
	got := <-read
	if got.failed != nil {
		return got.failed
	}
	valid := got.certifications == want && got.doubled == 0
	h := got.histogram
	ms := func(q float64) *float64 { v := float64(h.ValueAtQuantile(q)) / 1e6; return &v }
	cpu, span := (after.cpu - before.cpu).Seconds(), float64(seconds)
	r := Result{Name: "latency", System: "vouch", Records: records, Seconds: &span, CPUSeconds: &cpu, RSSPeak: &after.peak, P50: ms(50), P99: ms(99), P999: ms(99.9), Valid: valid,
		Settings: map[string]any{"rate": latencyRate, "partitions": benchPartitions, "samples": h.TotalCount()}}
	b.Say("latency: p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms over %d certifications, valid %v", *r.P50, *r.P99, *r.P999, float64(h.Max())/1e6, h.TotalCount(), valid)
	if err := b.write(r); err != nil {
		return err
	}
	if !valid {
		return fmt.Errorf("%d certifications came out, %d of them twice, and %d had to", got.certifications, got.doubled, want)
	}
	return s.stop(subjectStop)
}

// openLoop sends every record when it is due. A late sender sends at once, and
// the lateness counts.
func (b *bench) openLoop(ctx context.Context, prefix string, w renewals, due []atomic.Int64) (records int, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	encoder, keys := newEncoder(), topology.TickKeys(benchPartitions)
	began, number := time.Now(), 0
	var failed atomic.Pointer[error]
	send := func(in input, key string) {
		records++
		client.Produce(ctx, &kgo.Record{Topic: prefix + in.topic, Key: []byte(key), Value: encoder.value(in.record), Timestamp: time.UnixMilli(int64(in.at))}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	for in := range w.evidence(b.catalogue) {
		if in.topic == topology.Clock {
			for _, key := range keys {
				send(in, key)
			}
			continue
		}
		at := began.Add(time.Duration(number) * time.Second / latencyRate)
		if wait := time.Until(at); wait > 0 {
			time.Sleep(wait)
		}
		if number >= latencyRate*latencyWarmup {
			due[number].Store(at.UnixNano())
		}
		send(in, in.key)
		if number++; ctx.Err() != nil {
			return records, ctx.Err()
		}
	}
	if err := client.Flush(ctx); err != nil {
		return records, err
	}
	if err := failed.Load(); err != nil {
		return records, *err
	}
	return records, nil
}

// reading is what a reader of certifications saw.
type reading struct {
	histogram      *hdrhistogram.Histogram // nanoseconds
	certifications int
	doubled        int
	failed         error
}

// readCertifications reads as a consumer outside does, until ctx ends.
func (b *bench) readCertifications(ctx context.Context, prefix string, due []atomic.Int64, to chan<- reading) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeTopics(prefix+topology.CertificationCompleted), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	go func() {
		defer client.Close()
		seen := reading{histogram: hdrhistogram.New(1_000, int64(time.Minute), 3)}
		codec, ids := avro.New(nil), map[string]bool{}
		for ctx.Err() == nil && seen.failed == nil {
			fetches := client.PollFetches(ctx)
			now := time.Now().UnixNano()
			fetches.EachRecord(func(r *kgo.Record) {
				completed, err := completedOf(ctx, codec, r)
				if err != nil {
					seen.failed = err
					return
				}
				if ids[completed.EventID] {
					seen.doubled++
				}
				ids[completed.EventID] = true
				seen.certifications++
				seen.count(completed, due, now)
			})
		}
		to <- seen
	}()
	return nil
}

func (seen *reading) count(completed *schemas.CertificationCompleted, due []atomic.Int64, now int64) {
	number, err := strconv.Atoi(strings.TrimPrefix(completed.EvidenceID, "e"))
	if err != nil || number >= len(due) {
		seen.failed = fmt.Errorf("a certification rests on evidence that was not sent")
		return
	}
	if at := due[number].Load(); at > 0 {
		seen.failed = seen.histogram.RecordValue(max(now-at, 0))
	}
}
