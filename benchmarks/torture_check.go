package benchmarks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/vouch-engine/vouch/topology"
)

// drain lets every instance work until nothing is left, then ends all cleanly.
// They are ready by then, so that their states are as new as the log.
func (t *torture) drain(ctx context.Context) error {
	if err := start(t.instances...); err != nil {
		return err
	}
	if err := t.observer.ready(ctx, t.instances...); err != nil {
		return err
	}
	for _, group := range groups {
		if err := t.drained(ctx, group); err != nil {
			return err
		}
	}
	return stop(t.instances...)
}

// drained waits until a group has nothing left to do, and what it wrote for
// the next one stands in the log.
func (t *torture) drained(ctx context.Context, group string) error {
	least, since := int64(-1), time.Now()
	for {
		lag, err := t.observer.lag(ctx, group, nil)
		if err != nil {
			return err
		}
		if lag == 0 {
			return t.observer.settled(ctx, t.prefix+topology.Schedule)
		}
		if least < 0 || lag < least {
			least, since = lag, time.Now()
		}
		if time.Since(since) > stillTimeout {
			return fmt.Errorf("the group %s has been %d records behind for %v (stillTimeout) and does not catch up", group, lag, stillTimeout)
		}
		for _, i := range t.of(group) {
			if err := i.sleep(ctx, lagEvery); err != nil {
				return err
			}
		}
	}
}

// compare reads what a consumer sees and compares it with what the facts up to
// a border lead to. Nothing runs by then.
func (t *torture) compare(ctx context.Context, border int64) error {
	if err := t.oracle.decide(border); err != nil {
		return err
	}
	topics, err := t.observer.topics(ctx)
	if err != nil {
		return err
	}
	if err := t.observer.settled(ctx, topics...); err != nil {
		return err
	}
	seen := newRecords()
	lines, written := io.Pipe()
	read := make(chan error, 1)
	go func() {
		err := seen.read(lines)
		lines.CloseWithError(err)
		read <- err
	}()
	err = t.command(ctx, nil, written, t.flags(append([]string{"tail", "--until-end"}, topology.OutputTopics...)...))
	written.CloseWithError(err)
	if err := errors.Join(err, <-read); err != nil {
		return err
	}
	found := compare(t.oracle.records, seen)
	if !found.equal() {
		path := filepath.Join(t.directory, "differences.ndjson")
		return errors.Join(fmt.Errorf("not equal: %v; each is in %s", found, path), found.write(path))
	}
	if err := t.complete(ctx); err != nil {
		return err
	}
	t.say("equal: %d records", seen.count())
	return nil
}

// complete looks whether status says what a payroll waits for: that standing is
// complete up to the last tick.
func (t *torture) complete(ctx context.Context) error {
	var said bytes.Buffer
	if err := t.command(ctx, nil, &said, t.flags("status")); err != nil {
		return err
	}
	if want := "standing is complete up to " + t.oracle.lastTick.String(); lastLine(said.Bytes()) != want {
		return fmt.Errorf("status says %q at last, want %q", lastLine(said.Bytes()), want)
	}
	return nil
}

// restored is what a fresh instance of a group restored.
type restored struct {
	group  string
	rows   int
	digest string
}

// restore lets a fresh instance of each group restore everything from the
// changelog, and compares its rows with those of the old instances and of the
// changelog. Nothing else is there to restore from: what lay between the groups
// is purged before.
func (t *torture) restore(ctx context.Context) (all []restored, err error) {
	t.say("fresh instances restore from the changelogs")
	if err := t.observer.purge(ctx); err != nil {
		return nil, err
	}
	old := map[string]topology.Digests{}
	var fresh []*instance
	for _, group := range groups {
		if old[group], err = t.digest(group, t.of(group)...); err != nil {
			return nil, err
		}
		fresh = append(fresh, t.instance(group, "fresh"))
	}
	t.instances = fresh
	if err := start(fresh...); err != nil {
		return nil, err
	}
	if err := t.observer.ready(ctx, fresh...); err != nil {
		return nil, err
	}
	if err := stop(fresh...); err != nil {
		return nil, err
	}
	for _, i := range fresh {
		r := restored{group: i.group}
		own, err := t.digest(i.group, i)
		if err != nil {
			return nil, err
		}
		log, err := topology.DigestChangelog(ctx, t.Connect, t.prefix, i.group)
		if err != nil {
			return nil, err
		}
		for p := range partitions {
			if !old[i.group][p].Same(own[p]) || !own[p].Same(log[p]) {
				return nil, fmt.Errorf("partition %d of the %s is not the same in the old instances (%v), in the fresh one (%v) and in the changelog (%v)", p, i.group, old[i.group][p], own[p], log[p])
			}
			r.rows += own[p].Rows
		}
		r.digest = own.String()
		all = append(all, r)
	}
	return all, nil
}

// digest gives the digests of all partitions of a group's table, each from the
// instance whose state is the newest, since one that lost a partition keeps its
// old rows.
func (t *torture) digest(group string, instances ...*instance) (newest topology.Digests, err error) {
	for _, i := range instances {
		all, err := topology.DigestState(i.state, t.prefix, group, partitions)
		if err != nil {
			return nil, err
		}
		if newest == nil {
			newest = all
		}
		for p, d := range all {
			if d.Position > newest[p].Position {
				newest[p] = d
			}
		}
	}
	return newest, nil
}

func (t *torture) summarise(all []restored) {
	format := "facts       %d in %d partitions, the last of them after the kills\n" +
		"kills       %d of %d certifier(s) and as many timers: %d found work, %d lag and %d an open transaction\n" +
		"storm       all timers killed %d times within one tick, %d times with the fires of a partition half done\n" +
		"compared    with the offline decision, after the kills and at the end: no record missing, none twice, each partition in order\n"
	fmt.Fprintf(t.Summary, format, t.oracle.facts, partitions, t.killed, t.Instances, t.withWork, t.withLag, t.withTransaction, t.storms, t.withinStorm)
	for _, r := range all {
		fmt.Fprintf(t.Summary, "restored    %d rows of the %s from its changelog into an empty directory: digest %s, as before\n", r.rows, r.group, r.digest)
	}
	fmt.Fprintf(t.Summary, "torture: equal: %d records, %d kills, %d in a storm, %d with lag, %d with open transactions, seed %d\n",
		t.oracle.records.count(), t.killed+t.storms, t.storms, t.withLag, t.withTransaction, t.Seed)
}
