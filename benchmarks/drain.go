package benchmarks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology"
)

// Sizes at scale 1, and how often an outside observer looks.
const (
	drainCitizens = 100_000
	drainMonths   = 12
	lookInterval  = 50 * time.Millisecond
	subjectStop   = 15 * time.Second
)

// drain measures how fast records are decided that lie there already. The
// roster is decided first, and not measured; then evidence and ticks are
// produced while nothing runs, and the certifier is started. Time and CPU run
// from the last look at which nothing was committed to the first at which
// everything was.
func drain(ctx context.Context, b *bench) error {
	w := renewals{max(int(drainCitizens*b.Scale), 10), drainMonths}
	prefix, strike, err := b.stage(ctx, "drain")
	if err != nil {
		return err
	}
	defer strike()
	b.Say("drain: deciding the roster of %d citizens", w.citizens)
	first, err := b.produce(ctx, prefix, w.roster())
	if err != nil {
		return err
	}
	s, state, err := b.certifier(prefix)
	if err != nil {
		return err
	}
	defer func() { s.kill() }()
	if _, err := b.awaitDrained(ctx, s, prefix, first); err != nil {
		return err
	}
	if err := s.stop(subjectStop); err != nil {
		return err
	}
	b.Say("drain: producing %d records of evidence", w.citizens*w.months)
	records, err := b.produce(ctx, prefix, w.evidence(b.catalogue))
	if err != nil {
		return err
	}
	b.Say("drain: deciding %d records", records)
	again, err := startSubject(s.log, s.command.Path, s.command.Args[1:]...)
	if err != nil {
		return err
	}
	s = again
	took, err := b.awaitDrained(ctx, s, prefix, first+records)
	if err != nil {
		return err
	}
	ids, doubled, err := b.certified(ctx, prefix)
	if err != nil {
		return err
	}
	want := w.expected(b.catalogue)
	valid := doubled == 0 && maps.Equal(ids, want)
	seconds, cpu, bytes := took.wall.Seconds(), took.cpu.Seconds(), disk(state)
	r := Result{Name: "drain", System: "vouch", Records: took.records, Seconds: &seconds, CPUSeconds: &cpu, RSSPeak: &took.peak, Disk: &bytes, Valid: valid,
		Settings: map[string]any{"citizens": w.citizens, "partitions": benchPartitions, "certifications": len(want)}}
	b.Say("drain: %.0f records/s, %.2f CPU-s a million, peak %d MiB, valid %v", float64(took.records)/seconds, cpu*1e6/float64(took.records), took.peak>>20, valid)
	if err := b.write(r); err != nil {
		return err
	}
	if !valid {
		return fmt.Errorf("%d certifications came out, %d of them twice, and %d had to", len(ids), doubled, len(want))
	}
	return s.stop(subjectStop)
}

// drained is what a drain took.
type drained struct {
	wall, cpu time.Duration
	peak      int64
	records   int
}

// awaitDrained waits until all records are committed.
func (b *bench) awaitDrained(ctx context.Context, s *subject, prefix string, total int) (d drained, err error) {
	before, err := b.lag(ctx, prefix, total)
	if err != nil {
		return d, err
	}
	var began time.Time
	var from usage
	for started := false; ; {
		lag, err := b.lag(ctx, prefix, total)
		now := time.Now()
		used, failed := s.used()
		if err := errors.Join(err, failed); err != nil {
			return d, err
		}
		if lag == before && !started {
			began, from = now, used
		}
		started = started || lag < before
		if lag == 0 {
			return drained{now.Sub(began), used.cpu - from.cpu, used.peak, before}, nil
		}
		if err := s.sleep(ctx, lookInterval); err != nil {
			return d, err
		}
	}
}

func completedOf(ctx context.Context, codec *avro.Codec, r *kgo.Record) (*schemas.CertificationCompleted, error) {
	record, err := codec.DecodeAny(ctx, r.Value)
	if err != nil {
		return new(schemas.CertificationCompleted), fmt.Errorf("read %s: %w", topology.CertificationCompleted, err)
	}
	return record.(*schemas.CertificationCompleted), nil
}
