package benchmarks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"time"

	"github.com/vouch-engine/vouch/topology"
)

// Of the evidence of drain, this much is decided before the old state is kept,
// and before the state is lost; the rest afterwards, to see that it is right.
const (
	restoreKept = 0.6
	restoreLost = 0.8
)

// restore measures how long a member takes from its start until it says that
// it works, with a state that is some records old, and with none.
func restore(ctx context.Context, b *bench, sys system) error {
	if sys.local {
		b.Say("restore: the state of %s is nowhere but on its disk: there is nothing to restore it from", sys.title())
		return nil
	}
	w := renewals{citizens: max(int(drainCitizens*b.Scale), 10), months: drainMonths}
	prefix, strike, err := b.stage(ctx, "restore")
	if err != nil {
		return err
	}
	defer strike()
	r := &restoring{bench: b, w: w, m: b.member(sys, prefix, "bench")}
	if r.produced, err = b.decideRoster(ctx, r.m, w); err != nil {
		return err
	}
	sights := w.citizens * w.months
	kept, lost := int(float64(sights)*restoreKept), int(float64(sights)*restoreLost)
	old := r.m.state + "-old"
	if _, err := r.decide(ctx, 0, kept); err != nil {
		return err
	}
	if err := copyState(r.m.state, old); err != nil {
		return err
	}
	if _, err := r.decide(ctx, kept, lost); err != nil {
		return err
	}
	tail, err := r.startWith(ctx, old)
	if err != nil {
		return err
	}
	full, err := r.startWith(ctx, "")
	if err != nil {
		return err
	}
	if _, err := r.decide(ctx, lost, sights); err != nil {
		return err
	}
	ids, doubled, err := b.certified(ctx, prefix)
	if err != nil {
		return err
	}
	want := w.expected(b.catalogue)
	valid := doubled == 0 && maps.Equal(ids, want)
	if err := errors.Join(r.result("tail", lost-kept, tail, valid), r.result("full", w.citizens, full, valid)); err != nil {
		return err
	}
	if !valid {
		return wrong("%d certifications came out, %d of them twice, and %d had to", len(ids), doubled, len(want))
	}
	return nil
}

// restoring is one restore.
type restoring struct {
	*bench
	w        renewals
	m        member
	produced int
}

// decide lets the member decide sights from one number to another, and ends it.
func (r *restoring) decide(ctx context.Context, from, to int) (took spent, err error) {
	records, err := r.produce(ctx, r.m.prefix, r.w.sights(r.catalogue, from, to, func(int) bool { return true }))
	if err != nil {
		return took, err
	}
	r.produced += records
	s, err := r.start(r.m)
	if err != nil {
		return took, err
	}
	defer s.kill()
	if took, err = r.awaitDrained(ctx, s, r.m.prefix+topology.CertifierGroup, r.produced); err != nil {
		return took, err
	}
	return took, s.stop(subjectStop)
}

// startWith starts the member with another state, none for no name, until it
// works, and ends it.
func (r *restoring) startWith(ctx context.Context, state string) (took spent, err error) {
	if err := os.RemoveAll(r.m.state); err != nil {
		return took, fmt.Errorf("lose the state: %w", err)
	}
	if state != "" {
		if err := copyState(state, r.m.state); err != nil {
			return took, err
		}
	}
	s, err := r.start(r.m)
	if err != nil {
		return took, err
	}
	defer s.kill()
	if err := s.awaitReady(ctx); err != nil {
		return took, err
	}
	took.wall = time.Since(s.began)
	used, err := s.used()
	if err != nil {
		return took, err
	}
	took.cpu, took.peak = used.cpu, used.peak
	return took, s.stop(subjectStop)
}

func (r *restoring) result(what string, records int, took spent, valid bool) error {
	seconds, cpu, bytes := took.wall.Seconds(), took.cpu.Seconds(), disk(r.m.state)
	r.Say("restore: %s, %s of %d: %.2f s, %.2f CPU-s, valid %v", r.m.title(), what, records, seconds, cpu, valid)
	return r.write(Result{Name: "restore", System: r.m.name, Records: records, Seconds: &seconds, CPUSeconds: &cpu, RSSPeak: &took.peak, Disk: &bytes, Valid: valid,
		Settings: r.m.with("of", what, "citizens", r.w.citizens, "partitions", benchPartitions)})
}

// copyState copies a directory; a system that has none keeps its state
// elsewhere.
func copyState(from, to string) error {
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return fmt.Errorf("copy the state: %w", err)
	}
	return nil
}
