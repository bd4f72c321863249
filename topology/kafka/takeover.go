package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	var mu sync.Mutex // guards failed and offsets
	var failed error
	limit := make(chan struct{}, g.config.Limits.Starting)
	for id := range ids {
		wait.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			p, err := g.startPartition(ctx, id, offsets, ends)
			mu.Lock()
			defer mu.Unlock()
			if failed = errors.Join(failed, err); err != nil {
				return
			}
			for i := range p.queues {
				offsets[p.queues[i].topic][id] = kgo.NewOffset().At(p.queues[i].next)
			}
		})
	}
	wait.Wait()
	if failed != nil {
		return nil, g.takeOverFailed(ctx, failed)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.Copy(g.partitions, g.prepared)
	clear(g.prepared)
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

// logEnds tells where logs begin and end, by topic and partition.
type logEnds struct{ start, stable kadm.ListedOffsets }

// ends lists the ends of the inputs and of the table. It waits until no
// transaction is open in the table: one that a killed member left there holds
// the last stable offset back, and rows that were committed behind it with it.
func (g *generation) ends(ctx context.Context, ids map[int32]bool) (ends logEnds, err error) {
	topics := append([]string{g.config.TableTopic}, g.config.Inputs...)
	list := func(from func(context.Context, ...string) (kadm.ListedOffsets, error), topics ...string) kadm.ListedOffsets {
		asking, stop := context.WithTimeout(ctx, requestTimeout)
		defer stop()
		listed, failed := from(asking, topics...)
		err = errors.Join(err, failed, listed.Error())
		return listed
	}
	high := list(g.admin.ListEndOffsets, g.config.TableTopic)
	for {
		ends.stable = list(g.admin.ListCommittedOffsets, topics...)
		ends.start = list(g.admin.ListStartOffsets, topics...)
		open := false
		for id := range ids {
			h, _ := high.Lookup(g.config.TableTopic, id)
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
func (g *generation) startPartition(ctx context.Context, id int32, offsets map[string]map[int32]kgo.Offset, ends logEnds) (*partition, error) {
	g.mu.Lock()
	old := g.prepared[id]
	delete(g.prepared, id)
	g.mu.Unlock()
	if old != nil { // the last call was cut short after this partition had started
		if err := g.end(old); err != nil {
			return nil, fatal{err}
		}
	}
	table, err := g.config.Open(id)
	if err != nil {
		return nil, fatalf("kafka: open the table of partition %d: %w", id, err)
	}
	_, generation := g.client.GroupMetadata()
	p := &partition{id: id, table: table, session: newSession(g.config.Inputs, id, generation), ended: make(chan struct{})}
	err = g.restore(ctx, p, ends)
	if err == nil {
		err = g.position(p, offsets, ends)
	}
	if err == nil {
		err = g.startProcessor(ctx, p)
	}
	if err != nil {
		p.halt()
		return nil, errors.Join(err, g.config.Close(id))
	}
	g.mu.Lock()
	g.prepared[id] = p
	g.mu.Unlock()
	observe1(g.config.Observer.Running, id)
	return p, nil
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
		q := queue{topic: topic, next: start.Offset, until: stable.Offset, end: stable.Offset, committed: -1}
		if committed := offsets[topic][p.id].EpochOffset().Offset; committed >= 0 {
			q.next, q.committed = committed, committed
		}
		var why string
		switch {
		case q.committed < 0 && !empty:
			why = "the group has no committed offset there, but its table is not empty"
		case q.committed >= 0 && q.committed < start.Offset:
			why = fmt.Sprintf("the group's offset %d lies before the log's start %d: records were deleted before they were processed", q.committed, start.Offset)
		case q.committed > stable.Offset && q.committed > g.highWatermark(topic, p.id):
			why = fmt.Sprintf("the group's offset %d lies behind the log's end %d: the topic was truncated or made anew", q.committed, stable.Offset)
		}
		if why != "" {
			return fatalf("kafka: group %s cannot go on in topic %s, partition %d: %s; nothing was changed. Set the offset by kafka-consumer-groups --reset-offsets to where processing must go on, or, to decide everything anew, delete the group, its table topic %s and the state directory", g.config.Group, topic, p.id, why, g.config.TableTopic)
		}
		p.queues = append(p.queues, q)
	}
	return nil
}

// highWatermark is the end of a log, open transactions included; the last
// stable offset lies before the group's own offset while somebody's is open.
func (g *generation) highWatermark(topic string, partition int32) int64 {
	ctx, stop := context.WithTimeout(g.ctx, requestTimeout)
	defer stop()
	listed, err := g.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return -1
	}
	end, _ := listed.Lookup(topic, partition)
	return end.Offset
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
		p.failed = processor.Run(running)
		close(p.ended)
	}()
	select {
	case <-p.session.running:
		return nil
	case <-p.ended:
		return p.failure()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// restore brings the table to the end of its changelog.
func (g *generation) restore(ctx context.Context, p *partition, ends logEnds) error {
	stable, _ := ends.stable.Lookup(g.config.TableTopic, p.id)
	position, end := p.table.Position(), stable.Offset
	g.restored(p, position, end)
	if position > end {
		return fatalf("kafka: the local table of partition %d holds offset %d of its changelog %s, which ends at %d: the topic was truncated or made anew. Put it back, or, to decide everything anew, delete the group, the topic and the state directory", p.id, position, g.config.TableTopic, end)
	}
	if position == end {
		return nil
	}
	began, rows := time.Now(), 0
	client, err := kgo.NewClient(append(slices.Clone(g.config.Client),
		kgo.SeedBrokers(g.config.Brokers...),
		kgo.ClientID(g.config.transactionalID()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{g.config.TableTopic: {p.id: kgo.NewOffset().At(position)}}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // compaction may have taken the offset away
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the end may be one
		kgo.FetchMaxBytes(fetchBytesMax),
		kgo.FetchMaxPartitionBytes(restoreBytes),
		kgo.FetchMaxWait(restoreWait),
		kgo.DisableClientMetrics(),
	)...)
	if err != nil {
		return fatalf("kafka: configure the restore of partition %d: %w", p.id, err)
	}
	defer client.Close()
	for position < end {
		n, next, err := g.restoreSome(ctx, client, p, end)
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
	fetches := client.PollFetches(ctx)
	if ctx.Err() != nil {
		return 0, 0, ctx.Err()
	}
	if errs := fetches.Errors(); len(errs) > 0 {
		return 0, 0, refusedOr(errs[0].Err, "kafka: restore partition %d from %s", p.id, g.config.TableTopic)
	}
	rows := make([]Row, 0, min(fetches.NumRecords(), g.config.Limits.RestoreRows))
	apply := func() {
		if err == nil && next > 0 {
			if failed := p.table.Restore(rows, next); failed != nil {
				err = fatalf("kafka: restore partition %d: %w", p.id, failed)
			}
		}
		n, rows = n+len(rows), rows[:0]
	}
	fetches.EachRecord(func(record *kgo.Record) {
		if record.Offset >= end {
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
