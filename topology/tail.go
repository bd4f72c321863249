package topology

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/facts"
)

// OutputTopics are the topics that consumers outside read.
var OutputTopics = []string{CertificationCompleted, CertificationRevoked, ExpiryReminder, VisitRequested, Standing, Alert, Quarantine}

// TailOptions say what Tail reads.
type TailOptions struct {
	Prefix   string
	Topics   []string // without prefix; none: OutputTopics
	FromEnd  bool     // only what comes from now on
	UntilEnd bool     // stop at the end as it stands when Tail is called
}

// tailed is one line of Tail: SPEC section 7, with the place in the log beside it.
type tailed struct {
	Topic     string           `json:"topic"`
	Partition int32            `json:"partition"`
	Offset    int64            `json:"offset"`
	At        *schemas.Instant `json:"at,omitempty"` // of inputs only
	Key       *string          `json:"key"`
	Reason    string           `json:"reason,omitempty"`
	Value     any              `json:"value,omitempty"`
	Bytes     []byte           `json:"bytes,omitempty"` // base64 of what cannot be decoded, in place of value
}

// The limits of reading up to an end.
const (
	// probeAfter is how long nothing may have come before the partitions whose
	// end is still ahead are looked at by hand.
	probeAfter = 500 * time.Millisecond
	// probeBytes is what one look at a partition asks for.
	probeBytes = 1 << 20
)

// Tail writes the committed records of topics as lines of SPEC section 7. It
// makes its client by connect, so that it can say how the log is to be read.
func Tail(ctx context.Context, connect func(...kgo.Opt) (*kgo.Client, error), codec *avro.Codec, o TailOptions, to io.Writer) error {
	if len(o.Topics) == 0 {
		o.Topics = OutputTopics
	}
	client, err := connect(
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // an end may be one
	)
	if err != nil {
		return err
	}
	defer client.Close()
	t := tail{client: client, codec: codec, options: o, to: bufio.NewWriter(to)}
	if err := t.start(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil && (!o.UntilEnd || len(t.waiting) > 0) {
		err := t.poll(ctx)
		if flushed := t.to.Flush(); err == nil && flushed != nil {
			err = fmt.Errorf("tail: write the records: %w", flushed)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

type topicPartition struct {
	topic     string
	partition int32
}

// span is what is still to be read of a partition.
type span struct{ next, end int64 }

type tail struct {
	client  *kgo.Client
	codec   *avro.Codec
	options TailOptions
	to      *bufio.Writer
	waiting map[topicPartition]*span // partitions whose end, as it stood at the start, is ahead
}

// start makes the client read the topics, and takes down the ends of the
// partitions that have anything to read.
func (t *tail) start(ctx context.Context) error {
	var names []string
	for _, topic := range t.options.Topics {
		names = append(names, t.options.Prefix+topic)
	}
	admin := kadm.NewClient(t.client)
	ends, err := admin.ListCommittedOffsets(ctx, names...)
	if err = cmp.Or(err, listed(ends)); err != nil {
		return fmt.Errorf("tail: list the ends of the topics: %w", err)
	}
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err = cmp.Or(err, listed(starts)); err != nil {
		return fmt.Errorf("tail: list the starts of the topics: %w", err)
	}
	t.waiting = map[topicPartition]*span{}
	from := map[string]map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		first, _ := starts.Lookup(end.Topic, end.Partition)
		next := first.Offset
		if t.options.FromEnd {
			next = end.Offset
		}
		if next < end.Offset {
			t.waiting[topicPartition{end.Topic, end.Partition}] = &span{next, end.Offset}
		}
		if from[end.Topic] == nil {
			from[end.Topic] = map[int32]kgo.Offset{}
		}
		from[end.Topic][end.Partition] = kgo.NewOffset().At(next)
	})
	t.client.AddConsumePartitions(from)
	return nil
}

// poll writes what comes next. When nothing comes for a while it looks whether
// anything can still come.
func (t *tail) poll(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, probeAfter)
	defer cancel()
	fetches := t.client.PollFetches(short)
	switch {
	case ctx.Err() != nil:
		return nil
	case short.Err() != nil && fetches.NumRecords() == 0:
		if t.options.UntilEnd {
			return t.probe(ctx)
		}
		return nil
	}
	for _, failed := range fetches.Errors() {
		if !errors.Is(failed.Err, context.DeadlineExceeded) {
			return fmt.Errorf("tail %s, partition %d: %w", failed.Topic, failed.Partition, failed.Err)
		}
	}
	for records := fetches.RecordIter(); !records.Done(); {
		if err := t.take(ctx, records.Next()); err != nil {
			return err
		}
	}
	return nil
}

// take writes a record, unless it lies behind the end.
func (t *tail) take(ctx context.Context, r *kgo.Record) error {
	place := topicPartition{r.Topic, r.Partition}
	left := t.waiting[place]
	if t.options.UntilEnd && (left == nil || r.Offset >= left.end) {
		delete(t.waiting, place)
		return nil
	}
	if left != nil {
		left.next = r.Offset + 1
		if left.next >= left.end {
			delete(t.waiting, place)
		}
	}
	if r.Attrs.IsControl() {
		return nil
	}
	return t.write(ctx, r)
}

// probe finds the partitions of which nothing more will come. What stands last
// before an end may be aborted records whose marker lies behind it, since a
// transaction that began between them is open still, or a gap that compaction
// left. The client passes over either without a word, so such a partition is
// read by hand: bytes that hold no record to deliver lead to the end.
func (t *tail) probe(ctx context.Context) error {
	topics, err := kadm.NewClient(t.client).ListTopics(ctx, slices.Collect(maps.Keys(t.topics()))...)
	if err != nil {
		return fmt.Errorf("tail: find the leaders: %w", err)
	}
	for place, left := range t.waiting {
		detail := topics[place.topic]
		leader := detail.Partitions[place.partition].Leader
		if leader < 0 || detail.Err != nil {
			continue // for now nobody has it
		}
		for left.next < left.end {
			next, some, err := t.look(ctx, detail, place.partition, leader, left.next)
			if err != nil {
				return fmt.Errorf("tail: look for the end of %s, partition %d: %w", place.topic, place.partition, err)
			}
			if some || next <= left.next {
				break // the client will deliver it, or the leader moves
			}
			left.next = next
		}
		if left.next >= left.end {
			delete(t.waiting, place)
		}
	}
	return nil
}

// listed gives what could not be listed.
func listed(offsets kadm.ListedOffsets) (failed error) {
	offsets.Each(func(o kadm.ListedOffset) {
		switch {
		case o.Err == nil || failed != nil:
		case errors.Is(o.Err, kerr.UnknownTopicOrPartition):
			failed = fmt.Errorf("topic %s is missing: make it with `vouch topics create`, or see --prefix", o.Topic)
		default:
			failed = fmt.Errorf("topic %s, partition %d: %w", o.Topic, o.Partition, o.Err)
		}
	})
	return failed
}

func (t *tail) topics() map[string]bool {
	topics := map[string]bool{}
	for place := range t.waiting {
		topics[place.topic] = true
	}
	return topics
}

// look fetches a partition once and says whether it found a record that is to
// be delivered, and where to go on if not.
func (t *tail) look(ctx context.Context, topic kadm.TopicDetail, partition, leader int32, from int64) (next int64, some bool, err error) {
	request := kmsg.NewPtrFetchRequest()
	request.IsolationLevel = 1 // read committed
	request.MaxBytes = probeBytes
	ask := kmsg.NewFetchRequestTopic()
	ask.Topic, ask.TopicID = topic.Topic, topic.ID
	of := kmsg.NewFetchRequestTopicPartition()
	of.Partition, of.FetchOffset, of.PartitionMaxBytes = partition, from, probeBytes
	ask.Partitions = append(ask.Partitions, of)
	request.Topics = append(request.Topics, ask)
	answer, err := t.client.Broker(int(leader)).RetriableRequest(ctx, request)
	if err != nil {
		return from, false, err
	}
	response := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return from, false, err
	}
	if len(response.Topics) == 0 || len(response.Topics[0].Partitions) == 0 {
		return from, false, nil
	}
	found, reached := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: topic.Topic, Partition: partition,
	}, &response.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	if kerr.IsRetriable(found.Err) {
		return from, false, nil
	}
	return reached, len(found.Records) > 0, found.Err
}

// write writes a record as a line.
func (t *tail) write(ctx context.Context, r *kgo.Record) error {
	line := tailed{Topic: strings.TrimPrefix(r.Topic, t.options.Prefix), Partition: r.Partition, Offset: r.Offset, Value: json.RawMessage("null")}
	if r.Key != nil {
		key := string(r.Key)
		line.Key = &key
	}
	if slices.Contains(Inputs, line.Topic) {
		at := schemas.Instant(r.Timestamp.UnixMilli())
		line.At = &at
	}
	for _, header := range r.Headers {
		if header.Key == headerReason {
			line.Reason = string(header.Value)
		}
	}
	if r.Value != nil {
		record, err := t.codec.DecodeAny(ctx, r.Value)
		switch {
		case errors.Is(err, avro.ErrRegistryUnavailable):
			return fmt.Errorf("tail %s, partition %d, offset %d: %w", r.Topic, r.Partition, r.Offset, err)
		case err != nil:
			line.Value, line.Bytes = nil, r.Value
		default:
			line.Value = record
		}
	}
	if err := facts.WriteJSON(t.to, line); err != nil {
		return fmt.Errorf("tail: write a line: %w", err)
	}
	return nil
}
