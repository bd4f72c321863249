package benchmarks

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vouch-engine/vouch/topology"
)

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
	for _, group := range groups {
		t.working[group] = t.Instances
	}
	together, taken := errgroup.WithContext(ctx)
	for _, group := range groups {
		err := error(nil)
		if group == topology.TimerGroup {
			err = t.awaitBacklog(taken, nil)
		}
		if err == nil {
			err = start(t.of(group)...)
		}
		if err != nil {
			return cmp.Or(together.Wait(), err)
		}
		for number, victim := range t.of(group) {
			together.Go(func() error {
				for _, k := range kills {
					if k.group != group || k.instance != number || k.takeover {
						continue
					}
					if err := t.strike(taken, victim, k); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	if err := together.Wait(); err != nil {
		return err
	}
	for _, k := range kills {
		if !k.takeover {
			continue
		}
		if err := t.strike(ctx, t.of(k.group)[k.instance], k); err != nil {
			return err
		}
	}
	return nil
}

// awaitBacklog waits until the timers have a backlog before them, or will get
// no more since the certifiers are at an end or, if one is named, that one is.
func (t *torture) awaitBacklog(ctx context.Context, certifier *instance) error {
	for start := time.Now(); time.Since(start) < workTimeout && t.works(topology.CertifierGroup); time.Sleep(lagEvery) {
		lag, err := t.observer.lag(ctx, topology.TimerGroup, nil)
		if err != nil || lag >= backlog {
			return err
		}
		if lag, err = t.observer.lag(ctx, topology.CertifierGroup, certifier); err != nil || lag == 0 {
			return err
		}
	}
	return nil
}

// pause starts the instances and ends them cleanly. A clean end writes the
// state down, so that the next kills find one that is older than the log, not
// none.
func (t *torture) pause(ctx context.Context) error {
	if err := start(t.instances...); err != nil {
		return err
	}
	if err := t.observer.ready(ctx, t.instances...); err != nil {
		return err
	}
	if err := stop(t.instances...); err != nil {
		return err
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
	t.mu.Lock()
	defer t.mu.Unlock()
	t.working[victim.group]--
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
	if victim.group == topology.CertifierGroup && !k.back {
		if err := t.awaitBacklog(ctx, victim); err != nil {
			return err
		}
	}
	looked := time.Now() // at the lag, which is asked for seldom: a transaction is short
	for start := looked; time.Since(start) < workTimeout; {
		state, err := t.observer.transaction(ctx, victim)
		if err != nil {
			return err
		}
		if state == transactionOpen {
			t.mu.Lock()
			window := t.window[victim.group]
			t.mu.Unlock()
			return victim.sleep(ctx, time.Duration(k.moment*float64(window)))
		}
		if time.Since(looked) > lagEvery {
			idle, err := t.idle(ctx, victim)
			if err != nil || idle {
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

// idle says whether no work is left for an instance, and none comes from those
// that it reads from.
func (t *torture) idle(ctx context.Context, victim *instance) (bool, error) {
	for _, group := range groups {
		lag, err := int64(0), error(nil)
		switch {
		case group == victim.group:
			lag, err = t.observer.lag(ctx, victim.group, victim)
			return lag == 0, err
		case t.works(group):
			lag, err = t.observer.lag(ctx, group, nil)
		}
		if err != nil || lag > 0 {
			return false, err
		}
	}
	return true, nil
}

// works says whether any instance of a group goes on working in this round.
func (t *torture) works(group string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.working[group] > 0
}

// awaitTakeover waits until an instance has got the partitions of those that
// were killed, which it does when their sessions have ended.
func (t *torture) awaitTakeover(ctx context.Context, victim *instance) error {
	for start := time.Now(); time.Since(start) < workTimeout; {
		owned, err := t.observer.partitions(ctx, victim)
		if err != nil || len(owned) == partitions {
			return err
		}
		if err := victim.sleep(ctx, lagEvery); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s has not got the partitions of the others %v (workTimeout) after they were killed", victim, workTimeout)
}

// judge counts what a kill found: the broker still shows what the victim left.
func (t *torture) judge(ctx context.Context, victim *instance, k kill) error {
	open, err := t.observer.leftOpen(ctx, victim)
	if err != nil {
		return err
	}
	lag, err := t.observer.lag(ctx, victim.group, victim)
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
	window := t.window[victim.group]
	switch {
	case open || lag > 0:
		t.withWork++
		window += window / 10
	case !k.early:
		window /= 2
	}
	t.window[victim.group] = window
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
	t.say("kill %d of %d: %s, %s: %d records behind, %s", t.killed, t.Kills, victim, when, lag, transaction)
	return nil
}
