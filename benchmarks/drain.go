package benchmarks

import (
	"context"
	"maps"

	"github.com/vouch-engine/vouch/topology"
)

// Sizes at scale 1.
const (
	drainCitizens = 100_000
	drainMonths   = 12

	growthCitizens = 1_000_000

	growthCity        = 1_360_000 // of growth by records: no more citizens than these
	growthEvidenceMin = 1_000     // the shortest log, at any scale
)

var (
	growthSizes    = []int{1, 2, 4, 10} // times growthCitizens
	growthEvidence = []int{1_000, 10_000, 100_000, 1_000_000, 10_000_000, 40_000_000}
)

// drain measures how fast records are decided that lie there already. The
// roster is decided first, and not measured; then evidence and ticks are
// produced while nothing runs, and the system is started again. Time and CPU
// run from the last look at which nothing was committed to the first at which
// everything was.
func drain(ctx context.Context, b *bench, sys system) error {
	w := renewals{citizens: max(int(drainCitizens*b.Scale), 10), months: drainMonths}
	rate, err := b.drain(ctx, "drain", sys, w)
	b.drained[sys.title()] = rate
	return err
}

// growth drains cities of different sizes, each citizen seen once. Of a peer only
// the first is asked for, to compare what a city of that size takes: how it
// grows is its own affair, and would take hours.
func growth(ctx context.Context, b *bench, sys system) error {
	sizes := growthSizes
	if sys.name != vouch {
		sizes = sizes[:1]
	}
	for _, times := range sizes {
		w := renewals{citizens: max(int(float64(times*growthCitizens)*b.Scale), 10), months: 1}
		if _, err := b.drain(ctx, "growth", sys, w); err != nil {
			return err
		}
	}
	return nil
}

// growthByRecords drains logs of different lengths.
func growthByRecords(ctx context.Context, b *bench, sys system) error {
	for _, w := range logs(b.Scale) {
		if _, err := b.drain(ctx, "growth-records", sys, w, "evidence", w.citizens*w.months); err != nil {
			return err
		}
	}
	return nil
}

// logs are workloads of ever more evidence. One record in six certifies in each
// of them, whatever its length, so that the length is all that differs: every
// citizen is seen for as many whole terms between two announcements as it takes
// until the city is large enough for the evidence.
func logs(scale float64) (all []renewals) {
	city := max(int(growthCity*scale), 10)
	for _, size := range growthEvidence {
		evidence, months := max(int(float64(size)*scale), growthEvidenceMin), monthsBetween
		for evidence/months > city {
			months += monthsBetween
		}
		w := renewals{citizens: evidence / months, months: months}
		if len(all) == 0 || w != all[len(all)-1] { // at a small scale several are the shortest
			all = append(all, w)
		}
	}
	return all
}

// drain drains a workload, writes the result under a name and returns the
// records a second. told are further settings of the result.
func (b *bench) drain(ctx context.Context, name string, sys system, w renewals, told ...any) (rate float64, err error) {
	prefix, strike, err := b.stage(ctx, name)
	if err != nil {
		return 0, err
	}
	defer strike()
	m, group := b.member(sys, prefix, "bench"), prefix+topology.CertifierGroup
	b.Say("%s: %s decides the roster of %d citizens", name, sys.title(), w.citizens)
	first, err := b.decideRoster(ctx, m, w)
	if err != nil {
		return 0, err
	}
	records, err := b.produce(ctx, prefix, w.evidence(b.catalogue))
	if err != nil {
		return 0, err
	}
	s, err := b.start(m)
	if err != nil {
		return 0, err
	}
	defer s.kill()
	took, err := b.awaitDrained(ctx, s, group, first+records)
	if err != nil {
		return 0, err
	}
	ids, doubled, err := b.certified(ctx, prefix)
	if err != nil {
		return 0, err
	}
	want := w.expected(b.catalogue)
	seconds, cpu, bytes := took.wall.Seconds(), took.cpu.Seconds(), disk(m.state)
	r := Result{Name: name, System: sys.name, Records: took.records, Seconds: &seconds, CPUSeconds: &cpu, RSSPeak: &took.peak, Disk: &bytes,
		Valid:    doubled == 0 && maps.Equal(ids, want),
		Settings: sys.with(append(told, "citizens", w.citizens, "partitions", benchPartitions, "certifications", len(want))...)}
	rate = float64(took.records) / seconds
	b.Say("%s: %s: %.0f records/s, %.2f CPU-s a million, peak %d MiB, valid %v", name, sys.title(), rate, cpu*1e6/float64(took.records), took.peak>>20, r.Valid)
	if err := b.write(r); err != nil {
		return 0, err
	}
	if !r.Valid {
		return 0, wrong("%d certifications came out, %d of them twice, and %d had to", len(ids), doubled, len(want))
	}
	return rate, s.stop(subjectStop)
}

// decideRoster lets a member decide the roster, and ends it. It returns how
// many records that were.
func (b *bench) decideRoster(ctx context.Context, m member, w renewals) (records int, err error) {
	if records, err = b.produce(ctx, m.prefix, w.roster()); err != nil {
		return 0, err
	}
	s, err := b.start(m)
	if err != nil {
		return 0, err
	}
	defer s.kill()
	if _, err := b.awaitDrained(ctx, s, m.prefix+topology.CertifierGroup, records); err != nil {
		return 0, err
	}
	return records, s.stop(subjectStop)
}
