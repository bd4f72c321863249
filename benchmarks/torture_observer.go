package benchmarks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/topology"
)

// observer looks at the groups from outside, by what any client may ask.
type observer struct {
	admin  *kadm.Client
	prefix string
	inputs map[string][]string // by group, with prefix
}

func newObserver(client *kgo.Client, prefix string) *observer {
	o := &observer{admin: kadm.NewClient(client), prefix: prefix, inputs: map[string][]string{}}
	for _, topic := range topology.Inputs {
		o.inputs[topology.CertifierGroup] = append(o.inputs[topology.CertifierGroup], prefix+topic)
	}
	o.inputs[topology.TimerGroup] = []string{prefix + topology.Schedule}
	return o
}

// keep makes a topic of the run keep every record, compacted though it is: a
// segment that is still written to is never compacted, so it has one for all.
// The records' times span a year, by which it would begin others.
func (o *observer) keep(ctx context.Context, topic string) error {
	set := func(name string, most int64) kadm.AlterConfig {
		value := strconv.FormatInt(most, 10)
		return kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value}
	}
	altered, err := o.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{set("segment.ms", math.MaxInt64), set("segment.bytes", math.MaxInt32)}, o.prefix+topic)
	if err == nil {
		for _, one := range altered {
			err = errors.Join(err, one.Err)
		}
	}
	if err != nil {
		return fmt.Errorf("keep all of %s in one segment: %w", o.prefix+topic, err)
	}
	return nil
}

// The states of a transaction that matter here, by the brokers' names.
const (
	transactionOpen   = "Ongoing"
	transactionEnding = "Prepare" // PrepareCommit, PrepareAbort: its markers are being written
)

// patiently asks until the answer is none that goes away by itself: a broker
// that has just started has no coordinators yet.
func patiently(ctx context.Context, question func() error) error {
	for start := time.Now(); ; time.Sleep(lagEvery) {
		err := question()
		var shards *kadm.ShardErrors
		passing := kerr.IsRetriable(err) || errors.As(err, &shards) && len(shards.Errs) > 0 && kerr.IsRetriable(shards.Errs[0].Err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !passing || time.Since(start) > coordinatorTimeout {
			return err
		}
	}
}

// transaction is the state of a member's transaction, empty if it never had one.
func (o *observer) transaction(ctx context.Context, member *instance) (state string, err error) {
	id := o.prefix + member.group + "." + member.name
	err = patiently(ctx, func() error {
		described, err := o.admin.DescribeTransactions(ctx, id)
		if err != nil {
			return err
		}
		found, err := described.On(id, func(t *kadm.DescribedTransaction) error { return t.Err })
		state = found.State
		return err
	})
	if errors.Is(err, kerr.TransactionalIDNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("describe the transaction of %s: %w", id, err)
	}
	return state, nil
}

// leftOpen says whether a killed member left a transaction open. One whose end
// had been asked for is none: the broker completes it.
func (o *observer) leftOpen(ctx context.Context, member *instance) (bool, error) {
	for {
		state, err := o.transaction(ctx, member)
		if err != nil || !strings.HasPrefix(state, transactionEnding) {
			return state == transactionOpen, err
		}
		time.Sleep(lookEvery)
	}
}

// lag is how many records of its inputs a group has not committed, in the
// partitions of one member or, if it has none yet or none is named, in all.
func (o *observer) lag(ctx context.Context, group string, member *instance) (lag int64, err error) {
	var only []int32
	if member != nil {
		if only, err = o.partitions(ctx, member); err != nil {
			return 0, err
		}
	}
	var committed kadm.OffsetResponses
	err = patiently(ctx, func() (err error) {
		committed, err = o.admin.FetchOffsets(ctx, o.prefix+group)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("fetch the offsets of %s: %w", o.prefix+group, err)
	}
	ends, err := o.admin.ListCommittedOffsets(ctx, o.inputs[group]...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("list the ends of the inputs: %w", err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		if len(only) > 0 && !slices.Contains(only, end.Partition) {
			return
		}
		at, found := committed.Lookup(end.Topic, end.Partition)
		if !found {
			at.At = 0
		}
		lag += end.Offset - max(at.At, 0)
	})
	return lag, nil
}

// partitions are those of the inputs that a member has been assigned. A killed
// one is still a member, until its session ends.
func (o *observer) partitions(ctx context.Context, member *instance) (all []int32, err error) {
	group := o.prefix + member.group
	var described kadm.DescribedGroups
	err = patiently(ctx, func() (err error) {
		described, err = o.admin.DescribeGroups(ctx, group)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("describe the group %s: %w", group, err)
	}
	for _, m := range described[group].Members {
		assigned, is := m.Assigned.AsConsumer()
		if !is || m.InstanceID == nil || *m.InstanceID != member.name {
			continue
		}
		for _, t := range assigned.Topics {
			if t.Topic == o.inputs[member.group][0] {
				all = append(all, t.Partitions...)
			}
		}
	}
	return all, nil
}

// ready waits until the instances have all partitions of their groups among
// them, and each says that it is ready: what it has is restored.
func (o *observer) ready(ctx context.Context, instances ...*instance) error {
	for start := time.Now(); ; {
		owned, last := map[string]int{}, ""
		for _, i := range instances {
			if err := i.sleep(ctx, lagEvery); err != nil {
				return err
			}
			mine, err := o.partitions(ctx, i)
			if err != nil {
				return err
			}
			owned[i.group] += len(mine)
			if status, text := ask(ctx, "http://"+i.listen+"/ready"); status != http.StatusOK {
				last = i.String() + ": " + text
			}
		}
		for group, number := range owned {
			if number != partitions {
				last = fmt.Sprintf("of group %s they have %d of %d partitions", group, number, partitions)
			}
		}
		if last == "" {
			return nil
		}
		if time.Since(start) > readyTimeout {
			return fmt.Errorf("the instances are not ready after %v (readyTimeout): %s", readyTimeout, last)
		}
	}
}

// ask gets a page: its status, and its text or why there is none.
func ask(ctx context.Context, url string) (status int, text string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, strings.TrimSpace(string(body))
}

// settled waits until every transaction that wrote to some topics has ended for
// their readers: a broker answers the one who commits before it has written all
// markers.
func (o *observer) settled(ctx context.Context, topics ...string) error {
	for start := time.Now(); time.Since(start) < settleTimeout; time.Sleep(lookEvery) {
		stable, err := o.admin.ListCommittedOffsets(ctx, topics...)
		if err == nil {
			err = stable.Error()
		}
		if err != nil {
			return fmt.Errorf("list the last stable offsets: %w", err)
		}
		ends, err := o.admin.ListEndOffsets(ctx, topics...)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return fmt.Errorf("list the ends of the topics: %w", err)
		}
		open := 0
		ends.Each(func(end kadm.ListedOffset) {
			if at, _ := stable.Lookup(end.Topic, end.Partition); at.Offset < end.Offset {
				open++
			}
		})
		if open == 0 {
			return nil
		}
	}
	return fmt.Errorf("transactions are still open %v (settleTimeout) after their writers had nothing left to do", settleTimeout)
}

// purge deletes what the timers have committed of schedule, which they do by
// themselves from time to time.
func (o *observer) purge(ctx context.Context) error {
	committed, err := o.admin.FetchOffsets(ctx, o.prefix+topology.TimerGroup)
	if err != nil {
		return fmt.Errorf("purge schedule: fetch the timers' offsets: %w", err)
	}
	deleted, err := o.admin.DeleteRecords(ctx, committed.Offsets())
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		return fmt.Errorf("purge schedule: %w", err)
	}
	return nil
}

// topics are those of the run.
func (o *observer) topics(ctx context.Context) ([]string, error) {
	topics, err := o.admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the topics of the run: %w", err)
	}
	return slices.DeleteFunc(topics.Names(), func(name string) bool { return !strings.HasPrefix(name, o.prefix) }), nil
}

// clean deletes the run's topics and groups.
func (o *observer) clean(ctx context.Context) error {
	topics, err := o.topics(ctx)
	if err != nil {
		return err
	}
	deleted, err := o.admin.DeleteTopics(ctx, topics...)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		return fmt.Errorf("delete the topics of %s: %w", o.prefix, err)
	}
	for group := range o.inputs {
		gone, err := o.admin.DeleteGroups(ctx, o.prefix+group)
		if err == nil {
			err = gone.Error()
		}
		if err != nil {
			return fmt.Errorf("delete the group %s: %w", o.prefix+group, err)
		}
	}
	return nil
}
