package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// takeOver is called by the client when partitions were assigned and their
// committed offsets fetched, none of which any transaction still holds
// pending. It restores the tables, starts the processors, and says where each
// input goes on. The member's heartbeats go on meanwhile; ctx ends if the
// group rebalances, and then it is called again.
func (g *generation) takeOver(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	g.taking.Lock()
	defer g.taking.Unlock()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(g.ctx, func() { stop(context.Cause(g.ctx)) })()
	if g.ctx.Err() != nil {
		return nil, context.Cause(g.ctx)
	}
	ids := map[int32]bool{}
	for _, partitions := range offsets {
		for id := range partitions {
			ids[id] = true
		}
	}
	ends, err := g.ends(ctx, ids)
	if err != nil {
		return nil, g.takeOverFailed(ctx, fmt.Errorf("kafka: take over partitions of group %s: %w", g.config.Group, err))
	}
	var wait sync.WaitGroup
	var mu sync.Mutex // guards failed
	var failed error
	limit := make(chan struct{}, g.config.Limits.Starting)
	for id := range ids {
		wait.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			err := g.startPartition(ctx, id, offsets, ends)
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
		})
	}
	wait.Wait()
	if failed != nil {
		return nil, g.takeOverFailed(ctx, failed)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range ids {
		p := g.prepared[id]
		delete(g.prepared, id)
		for i := range p.queues {
			offsets[p.queues[i].topic][id] = kgo.NewOffset().At(p.queues[i].next)
		}
		g.partitions[id] = p
	}
	if wake := g.wake.Load(); wake != nil {
		(*wake)() // what a partition hands to itself need not wait for an input
	}
	return offsets, nil
}

// takeOverFailed ends the generation, unless it was only a rebalance.
func (g *generation) takeOverFailed(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		if !errors.As(err, new(fatal)) {
			err = reset{resetBroker, err}
		}
		g.cancel(err)
	}
	return err
}

// logEnds tells where logs begin and end, by topic and partition. Between the
// last stable offset and the high watermark lie transactions that are open, and
// what came after their beginning.
type logEnds struct{ start, stable, high kadm.ListedOffsets }

// ends lists the ends of the inputs and of the table. It waits until no
// transaction is open in the table: one that a killed member left there holds
// the last stable offset back, and rows that were committed behind it with it.
func (g *generation) ends(ctx context.Context, ids map[int32]bool) (ends logEnds, err error) {
	topics := append([]string{g.config.TableTopic}, g.config.Inputs...)
	list := func(from func(context.Context, ...string) (kadm.ListedOffsets, error)) kadm.ListedOffsets {
		asking, stop := context.WithTimeout(ctx, requestTimeout)
		defer stop()
		listed, failed := from(asking, topics...)
		for _, topic := range topics {
			for id := range ids {
				if _, is := listed.Lookup(topic, id); !is && failed == nil {
					failed = fmt.Errorf("no offsets of topic %s, partition %d, were told", topic, id)
				}
			}
		}
		err = errors.Join(err, failed, listed.Error())
		return listed
	}
	ends.high = list(g.admin.ListEndOffsets)
	for {
		ends.stable = list(g.admin.ListCommittedOffsets)
		ends.start = list(g.admin.ListStartOffsets)
		open := false
		for id := range ids {
			h, _ := ends.high.Lookup(g.config.TableTopic, id)
			s, _ := ends.stable.Lookup(g.config.TableTopic, id)
			open = open || s.Offset < h.Offset
		}
		if !open || err != nil {
			return ends, err
		}
		select {
		case <-ctx.Done():
			return ends, ctx.Err()
		case <-time.After(offsetRetry):
		}
	}
}

// startPartition restores one partition and starts its processor.
func (g *generation) startPartition(ctx context.Context, id int32, offsets map[string]map[int32]kgo.Offset, ends logEnds) error {
	g.mu.Lock()
	old := g.prepared[id]
	delete(g.prepared, id)
	g.mu.Unlock()
	if old != nil { // the last call was cut short after this partition had started
		if err := g.end(old); err != nil {
			return fatal{err}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	table, err := g.config.Open(id)
	if err != nil {
		return fatalf("kafka: open the table of partition %d: %w", id, err)
	}
	_, generation := g.client.GroupMetadata()
	p := &partition{id: id, table: table, session: newSession(g.config.Inputs, id, generation), room: newRoom(), ended: make(chan struct{}), first: g.config.First != nil}
	err = g.restore(ctx, p, ends)
	if err == nil {
		err = g.position(p, offsets, ends)
	}
	if err == nil {
		err = g.startProcessor(ctx, p)
	}
	if err != nil {
		p.halt()
		return errors.Join(err, g.config.Close(id))
	}
	g.mu.Lock()
	g.prepared[id] = p
	g.mu.Unlock()
	observe1(g.config.Observer.Running, id)
	return nil
}

// position finds where each input goes on, and refuses offsets that are gone:
// to begin anew over a table that is not empty would apply old records to new
// rows.
func (g *generation) position(p *partition, offsets map[string]map[int32]kgo.Offset, ends logEnds) error {
	empty, err := p.table.Empty()
	if err != nil {
		return fatalf("kafka: read the table of partition %d: %w", p.id, err)
	}
	for _, topic := range g.config.Inputs {
		start, _ := ends.start.Lookup(topic, p.id)
		stable, _ := ends.stable.Lookup(topic, p.id)
		high, _ := ends.high.Lookup(topic, p.id)
		q := queue{topic: topic, next: start.Offset, until: stable.Offset, end: stable.Offset, committed: -1}
		offset, told := offsets[topic][p.id]
		if !told {
			return fmt.Errorf("kafka: the group's coordinator did not tell the offset of %s, partition %d", topic, p.id)
		}
		if committed := offset.EpochOffset().Offset; committed >= 0 {
			q.next, q.committed = committed, committed
		}
		var why string
		switch {
		case q.committed < 0 && !empty:
			why = "the group has no committed offset there, but its table is not empty"
		case q.committed >= 0 && q.committed < start.Offset:
			why = fmt.Sprintf("the group's offset %d lies before the log's start %d: records were deleted before they were processed", q.committed, start.Offset)
		case q.committed > high.Offset:
			why = fmt.Sprintf("the group's offset %d lies behind the log's end %d: the topic was truncated or made anew", q.committed, high.Offset)
		}
		if why != "" {
			return fatalf("kafka: group %s cannot go on in topic %s, partition %d: %s; nothing was changed. Set the offset by kafka-consumer-groups --reset-offsets to where processing must go on, or, to decide everything anew, delete the group, its table topic %s and the state directory", g.config.Group, topic, p.id, why, g.config.TableTopic)
		}
		p.queues = append(p.queues, q)
	}
	return nil
}

// startProcessor runs the partition's Goka processor until the partition is
// halted, and waits until it takes messages.
func (g *generation) startProcessor(ctx context.Context, p *partition) error {
	processor, err := g.config.Processor(p.id, g.seams(p))
	if err != nil {
		return fatalf("kafka: build the processor of partition %d: %w", p.id, err)
	}
	var running context.Context
	running, p.stop = context.WithCancel(g.ctx)
	go func() {
		defer close(p.ended)
		// One that was halted may end with an error or without one, which says
		// nothing about its records.
		if err := processor.Run(running); running.Err() == nil {
			p.failed = cmp.Or(err, errors.New("it ended by itself"))
		}
	}()
	select {
	case <-p.session.running:
		return nil
	case <-p.ended:
		return cmp.Or(p.failure(), context.Cause(g.ctx))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// restore brings the table to the end of its changelog.
func (g *generation) restore(ctx context.Context, p *partition, ends logEnds) error {
	start, _ := ends.start.Lookup(g.config.TableTopic, p.id)
	stable, _ := ends.stable.Lookup(g.config.TableTopic, p.id)
	position, end := p.table.Position(), stable.Offset
	g.restored(p, position, end)
	var why string
	switch {
	case position > end:
		why = fmt.Sprintf("it ends at %d: the topic was truncated or made anew", end)
	case position < start.Offset:
		why = fmt.Sprintf("it begins at %d: rows were deleted that the table does not hold; see the topic's cleanup.policy, which must be compact and nothing else", start.Offset)
	}
	if why != "" {
		return fatalf("kafka: the local table of partition %d holds its changelog %s up to offset %d, but %s. Nothing was changed. Put the topic back, or, to decide everything anew, delete the group, the topic and the state directory", p.id, g.config.TableTopic, position, why)
	}
	if position == end {
		return nil
	}
	return g.restoreFrom(ctx, p, position, end)
}

func (g *generation) restoreFrom(ctx context.Context, p *partition, position, end int64) error {
	began, rows := time.Now(), 0
	client, err := kgo.NewClient(append(slices.Clone(g.config.Client),
		kgo.SeedBrokers(g.config.Brokers...),
		kgo.ClientID(g.config.transactionalID()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{g.config.TableTopic: {p.id: kgo.NewOffset().At(position)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // what was deleted meanwhile would be missing in the table
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the end may be one
		kgo.FetchMaxBytes(fetchBytesMax),
		kgo.FetchMaxPartitionBytes(restoreBytes),
		kgo.FetchMaxWait(restoreWait),
		kgo.MetadataMinAge(metadataAgeMin),
		kgo.RetryBackoffFn(retryWait),
		kgo.DisableClientMetrics(),
	)...)
	if err != nil {
		return fatalf("kafka: configure the restore of partition %d: %w", p.id, err)
	}
	defer client.Close()
	for position < end {
		n, next, err := g.restoreSome(ctx, client, p, end)
		if err == nil && next == 0 {
			asking, stop := context.WithTimeout(ctx, requestTimeout)
			next, err = g.undelivered(asking, g.config.TableTopic, p.id, position)
			stop()
		}
		if err != nil {
			return err
		}
		if rows, position = rows+n, max(position, next); next > 0 {
			g.restored(p, position, end)
		}
	}
	g.config.Logger.Info("a table is restored", "group", g.config.Group, "partition", p.id, "rows", rows, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// restoreSome applies what one poll gives, up to end.
func (g *generation) restoreSome(ctx context.Context, client *kgo.Client, p *partition, end int64) (n int, next int64, err error) {
	waiting, stop := context.WithTimeout(ctx, g.config.Limits.Idle)
	defer stop()
	fetches := client.PollFetches(waiting)
	if ctx.Err() != nil || waiting.Err() != nil && fetches.NumRecords() == 0 {
		return 0, 0, ctx.Err()
	}
	if errs := fetches.Errors(); len(errs) > 0 {
		return 0, 0, refusedOr(errs[0].Err, "kafka: restore partition %d from %s", p.id, g.config.TableTopic)
	}
	rows := make([]Row, 0, min(fetches.NumRecords(), g.config.Limits.RestoreRows))
	apply := func() {
		if err = cmp.Or(err, ctx.Err()); err == nil && next > 0 {
			if failed := p.table.Restore(rows, next); failed != nil {
				err = fatalf("kafka: restore partition %d: %w", p.id, failed)
			}
		}
		n, rows = n+len(rows), rows[:0]
	}
	fetches.EachRecord(func(record *kgo.Record) {
		if record.Offset >= end || err != nil {
			return
		}
		next = record.Offset + 1
		if record.Attrs.IsControl() {
			return
		}
		if rows = append(rows, Row{record.Key, record.Value}); len(rows) == cap(rows) {
			apply()
		}
	})
	apply()
	return n, next, err
}

func (g *generation) restored(p *partition, position, end int64) {
	if g.config.Observer.Restore != nil {
		g.config.Observer.Restore(p.id, position, end)
	}
}
