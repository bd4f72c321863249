package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A log may end, below its last stable offset, in records that no consumer is
// ever given. This happens when two transactions overlap:
//
//	offset 10  a record of transaction A
//	offset 11  a record of transaction B
//	offset 12  A is aborted
//
// While B is open the last stable offset is 11. The record at 10 is aborted, so
// the client passes over it without a word, and the marker at 12, which would
// be a sign of progress, lies behind the last stable offset. Whoever waits for
// offset 11 to be reached would wait until B ends, which is up to a stranger.
// So who has waited for long reads the log itself.

// passUndelivered moves the positions of queues that hold their partition back
// and have not moved since it was called last. What fails is tried again the
// next time.
func (g *generation) passUndelivered() {
	g.looked = time.Now()
	ctx, stop := context.WithTimeout(g.ctx, g.config.Limits.Idle)
	defer stop()
	for _, p := range g.held() {
		for i := range p.queues {
			q := &p.queues[i]
			stuck := q.empty() && q.next < q.until && q.seen == q.next
			q.seen = q.next
			if !stuck {
				continue
			}
			if next, err := g.undelivered(ctx, q.topic, p.id, q.next); err == nil {
				q.next = max(q.next, next)
			}
		}
	}
}

// undelivered reads a partition from an offset on and returns the offset of the
// first record that a consumer is given or, if there is none in what the broker
// answers, the one behind it.
func (g *generation) undelivered(ctx context.Context, topic string, partition int32, from int64) (int64, error) {
	leader, _, err := g.client.PartitionLeader(topic, partition)
	if leader < 0 {
		listed, failed := g.admin.ListTopics(ctx, topic)
		if err = failed; err == nil {
			leader, err = listed[topic].Partitions[partition].Leader, listed[topic].Partitions[partition].Err
		}
	}
	if err != nil {
		return 0, fmt.Errorf("kafka: find the leader of %s, partition %d: %w", topic, partition, err)
	}
	request := kmsg.NewPtrFetchRequest()
	request.MinBytes, request.MaxBytes, request.IsolationLevel, request.SessionEpoch = 1, restoreBytes, 1, -1
	asked := kmsg.NewFetchRequestTopicPartition()
	asked.Partition, asked.FetchOffset, asked.PartitionMaxBytes = partition, from, restoreBytes
	request.Topics = []kmsg.FetchRequestTopic{{Topic: topic, TopicID: g.topicIDs[topic], Partitions: []kmsg.FetchRequestTopicPartition{asked}}}
	answer, err := request.RequestWith(ctx, g.client.Broker(int(leader)))
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if err != nil {
		return 0, fmt.Errorf("kafka: look where %s, partition %d, goes on: %w", topic, partition, err)
	}
	if len(answer.Topics) == 0 || len(answer.Topics[0].Partitions) == 0 {
		return from, nil
	}
	fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: topic, Partition: partition,
	}, &answer.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	if fetched.Err != nil {
		return 0, fmt.Errorf("kafka: look where %s, partition %d, goes on: %w", topic, partition, fetched.Err)
	}
	if len(fetched.Records) > 0 {
		next = fetched.Records[0].Offset
	}
	return next, nil
}
