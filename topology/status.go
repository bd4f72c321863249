package topology

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// coordinatorTimeout is how long a cluster may take to have a coordinator for a
// group: a new one makes the topic of offsets when it is first asked.
// coordinatorPause is the wait between two questions.
const (
	coordinatorTimeout = 10 * time.Second
	coordinatorPause   = 100 * time.Millisecond
	// readableTimeout is longer than any transaction of a member that lives or
	// that was killed: then the broker ends it.
	readableTimeout = 30 * time.Second
)

func coordinatorMissing(err error) bool {
	for _, missing := range []error{kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress} {
		if errors.Is(err, missing) {
			return true
		}
	}
	return false
}

// Status is how far the engine has come.
type Status struct {
	Groups []GroupStatus
	// LastTick is the last tick that stands on every partition of the clock;
	// zero before there is one.
	LastTick time.Time
	// StandingUntil is the tick up to which standing is complete: all that lay in
	// the log before that tick has been decided, and every Standing that it led to
	// can be read, on every partition. It is zero before the timer has fired a
	// tick on each.
	StandingUntil time.Time
}

// GroupStatus is how far one group of the engine has come.
type GroupStatus struct {
	Name    string // with prefix
	State   string // as the broker has it: Stable, Empty (no member), Dead (never seen)…
	Members int
	Topics  []TopicStatus
	// Applied is the last tick that all partitions have applied; zero before there
	// is one.
	Applied time.Time
}

// TopicStatus is how far a group has come in one of its inputs.
type TopicStatus struct {
	Name string // with prefix
	// Lag counts the records between what the group has committed and the last
	// stable offset, over all partitions. Transaction markers count too until
	// the group has passed them.
	Lag int64
}

// CaughtUp tells whether the group has processed all that was committed to its
// inputs.
func (g GroupStatus) CaughtUp() bool {
	for _, topic := range g.Topics {
		if topic.Lag > 0 {
			return false
		}
	}
	return true
}

// ReadStatus asks the brokers how far every group has come.
func ReadStatus(ctx context.Context, client *kgo.Client, prefix string) (s Status, err error) {
	admin := kadm.NewClient(client)
	for _, name := range []string{CertifierGroup, TimerGroup} {
		group, err := readGroup(ctx, admin, prefix, name)
		for end := time.Now().Add(coordinatorTimeout); coordinatorMissing(err) && time.Now().Before(end) && ctx.Err() == nil; {
			time.Sleep(coordinatorPause)
			group, err = readGroup(ctx, admin, prefix, name)
		}
		if err != nil {
			return s, err
		}
		if name == TimerGroup {
			s.StandingUntil = group.Applied
		}
		s.Groups = append(s.Groups, group)
	}
	if !s.StandingUntil.IsZero() {
		if err := awaitReadable(ctx, admin, prefix+Standing); err != nil {
			return s, err
		}
	}
	s.LastTick, err = lastTick(ctx, admin, prefix+Clock)
	return s, err
}

// awaitReadable waits until what stands in a topic now can be read as
// committed: a broker writes the markers of a transaction one after the other,
// that of the positions too, and another transaction may be open.
func awaitReadable(ctx context.Context, admin *kadm.Client, topic string) error {
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err = cmp.Or(err, listed(ends)); err != nil {
		return fmt.Errorf("status: list the ends of %s: %w", topic, err)
	}
	for end := time.Now().Add(readableTimeout); ; time.Sleep(coordinatorPause) {
		stable, err := admin.ListCommittedOffsets(ctx, topic)
		if err = cmp.Or(err, listed(stable)); err != nil {
			return fmt.Errorf("status: list the ends of %s: %w", topic, err)
		}
		open := false
		ends.Each(func(e kadm.ListedOffset) { open = open || stable[topic][e.Partition].Offset < e.Offset })
		switch {
		case !open:
			return nil
		case time.Now().After(end) || ctx.Err() != nil:
			return fmt.Errorf("status: a transaction has been open in %s for %v, so that what was said before cannot be read yet: ask again", topic, readableTimeout)
		}
	}
}

func readGroup(ctx context.Context, admin *kadm.Client, prefix, group string) (g GroupStatus, err error) {
	var inputs []string
	for _, topic := range inputsOf[group] {
		inputs = append(inputs, prefix+topic)
	}
	name := prefix + group
	described, err := admin.DescribeGroups(ctx, name)
	if err = cmp.Or(err, unlessNew(described[name].Err)); err != nil {
		return g, fmt.Errorf("status: ask for the members of group %s: %w", name, err)
	}
	committed, err := admin.FetchOffsets(ctx, name)
	if err = cmp.Or(unlessNew(err), committed.Error()); err != nil {
		return g, fmt.Errorf("status: ask for the offsets of group %s: %w", name, err)
	}
	starts, err := admin.ListStartOffsets(ctx, inputs...)
	if err = cmp.Or(err, listed(starts)); err != nil {
		return g, fmt.Errorf("status: list the starts of the topics: %w", err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, inputs...)
	if err = cmp.Or(err, listed(ends)); err != nil {
		return g, fmt.Errorf("status: list the ends of the topics: %w", err)
	}
	g = GroupStatus{Name: name, State: cmp.Or(described[name].State, "Dead"), Members: len(described[name].Members)}
	for _, topic := range inputs {
		lag := int64(0)
		for partition, end := range ends[topic] {
			next := starts[topic][partition].Offset
			if offset, found := committed.Lookup(topic, partition); found {
				next = max(next, offset.At)
			}
			lag += max(0, end.Offset-next)
		}
		g.Topics = append(g.Topics, TopicStatus{topic, lag})
	}
	ticks := inputs[len(inputs)-1] // clock or schedule: with their positions the tick is committed
	g.Applied = leastTick(committed, ticks, len(ends[ticks]))
	return g, nil
}

// leastTick is the earliest of the ticks that were committed with the
// positions of a topic, zero unless every partition has one.
func leastTick(committed kadm.OffsetResponses, topic string, partitions int) (least time.Time) {
	for partition := range int32(partitions) {
		offset, _ := committed.Lookup(topic, partition)
		millis, err := strconv.ParseInt(offset.Metadata, 10, 64)
		if err != nil {
			return time.Time{}
		}
		if at := time.UnixMilli(millis); partition == 0 || at.Before(least) {
			least = at
		}
	}
	return least
}

// unlessNew passes over what a broker says of a group that it has never seen.
func unlessNew(err error) error {
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil
	}
	return err
}

// lastTick is the earliest of the partitions' last ticks, by their Kafka
// timestamps, which are their own.
func lastTick(ctx context.Context, admin *kadm.Client, topic string) (last time.Time, err error) {
	ticks, err := admin.ListMaxTimestampOffsets(ctx, topic)
	if err = cmp.Or(err, listed(ticks)); err != nil {
		return last, fmt.Errorf("status: find the last tick: %w", err)
	}
	first := true
	ticks.Each(func(tick kadm.ListedOffset) {
		var at time.Time
		if tick.Offset >= 0 && tick.Timestamp >= 0 {
			at = time.UnixMilli(tick.Timestamp)
		}
		if first || at.Before(last) {
			last, first = at, false
		}
	})
	return last, nil
}
