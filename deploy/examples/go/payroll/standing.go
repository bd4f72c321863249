package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/department/records"
)

// silenceMax is how long nothing may come while standing is read; then it fails.
// A transaction that was left open holds the reading up for less.
const silenceMax = 60 * time.Second

// standing is how a citizen stands: of the schema Standing what a payment needs.
type standing struct {
	CitizenID string    `avro:"citizen_id"`
	Benefits  []benefit `avro:"benefits"`
}

type benefit struct {
	Benefit string    `avro:"benefit"`
	Status  string    `avro:"status"`
	Reasons []string  `avro:"reasons"`
	DueOn   time.Time `avro:"due_on"`
}

// table is the topic standing: the last record of each citizen.
type table map[string]standing

// readStanding reads the topic from its beginning to its end as it stands now.
//
// The end is the high watermark, not the last stable offset at which a committed
// read would stop by itself: Kafka answers a commit before it has marked it in
// every partition, so that the last stable offset may still lie before rows that
// the status has already counted. Rows behind the end that come along are taken
// too: they are truer, and compaction may have removed the ones they replace.
func readStanding(ctx context.Context, client *kgo.Client, reader *records.Reader, topic string) (table, error) {
	left, err := ends(ctx, client, topic)
	if err != nil {
		return nil, err
	}
	rows := table{}
	for len(left) > 0 {
		waiting, stop := context.WithTimeout(ctx, silenceMax)
		fetches := client.PollFetches(waiting)
		expired := waiting.Err() != nil && fetches.NumRecords() == 0
		stop()
		if expired {
			return nil, fmt.Errorf("read %s: nothing came for %v and %d partitions are not at their end: %w", topic, silenceMax, len(left), context.Cause(waiting))
		}
		for _, failed := range fetches.Errors() {
			return nil, fmt.Errorf("read %s, partition %d: %w", failed.Topic, failed.Partition, failed.Err)
		}
		for each := fetches.RecordIter(); !each.Done(); {
			record := each.Next()
			if err := rows.take(ctx, reader, record); err != nil {
				return nil, fmt.Errorf("read %s, partition %d, offset %d: %w", topic, record.Partition, record.Offset, err)
			}
			if end, is := left[record.Partition]; is && record.Offset+1 >= end {
				delete(left, record.Partition)
			}
		}
	}
	return rows, nil
}

// ends makes the client read a topic from its beginning, and gives the high
// watermarks of the partitions that hold anything.
func ends(ctx context.Context, client *kgo.Client, topic string) (map[int32]int64, error) {
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err = errors.Join(err, starts.Error()); err != nil {
		return nil, fmt.Errorf("find the beginning of %s: %w", topic, err)
	}
	found, err := admin.ListEndOffsets(ctx, topic)
	if err = errors.Join(err, found.Error()); err != nil {
		return nil, fmt.Errorf("find the end of %s: %w", topic, err)
	}
	left, from := map[int32]int64{}, map[int32]kgo.Offset{}
	for partition, end := range found[topic] {
		if starts[topic][partition].Offset < end.Offset {
			left[partition], from[partition] = end.Offset, kgo.NewOffset().AtStart()
		}
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	return left, nil
}

// take puts a record into the table; one without a value takes its citizen out.
func (t table) take(ctx context.Context, reader *records.Reader, record *kgo.Record) error {
	if record.Attrs.IsControl() {
		return nil
	}
	citizen := string(record.Key)
	if record.Value == nil {
		delete(t, citizen)
		return nil
	}
	var row standing
	if err := reader.Decode(ctx, record.Value, &row); err != nil {
		return err
	}
	if row.CitizenID != citizen {
		return errors.New("the record's key is another citizen's: is this the topic standing?")
	}
	t[citizen] = row
	return nil
}
