package topology

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

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

// Tail writes the committed records of topics as lines of SPEC section 7. The
// client must be new; it is given what to consume here.
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
	ends, err := tailFrom(ctx, client, o)
	if err != nil {
		return err
	}
	for !o.UntilEnd || len(ends) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return fmt.Errorf("tail %s, partition %d: %w", errs[0].Topic, errs[0].Partition, errs[0].Err)
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			place := topicPartition{r.Topic, r.Partition}
			end, waiting := ends[place]
			if failed != nil || o.UntilEnd && (!waiting || r.Offset >= end) {
				delete(ends, place)
				return
			}
			if !r.Attrs.IsControl() {
				failed = tailOne(ctx, codec, o.Prefix, r, to)
			}
			if r.Offset+1 >= end {
				delete(ends, place)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

type topicPartition struct {
	topic     string
	partition int32
}

// tailFrom makes the client read the topics, and gives the ends, as they stand,
// of the partitions that have anything to read.
func tailFrom(ctx context.Context, client *kgo.Client, o TailOptions) (map[topicPartition]int64, error) {
	var names []string
	for _, topic := range o.Topics {
		names = append(names, o.Prefix+topic)
	}
	admin := kadm.NewClient(client)
	ends, err := admin.ListCommittedOffsets(ctx, names...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("tail: list the ends of %s: %w", strings.Join(names, ", "), err)
	}
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("tail: list the starts of %s: %w", strings.Join(names, ", "), err)
	}
	waiting := map[topicPartition]int64{}
	from := map[string]map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		at := start.Offset
		if o.FromEnd {
			at = end.Offset
		}
		if at < end.Offset {
			waiting[topicPartition{end.Topic, end.Partition}] = end.Offset
		}
		if from[end.Topic] == nil {
			from[end.Topic] = map[int32]kgo.Offset{}
		}
		from[end.Topic][end.Partition] = kgo.NewOffset().At(at)
	})
	client.AddConsumePartitions(from)
	return waiting, nil
}

func tailOne(ctx context.Context, codec *avro.Codec, prefix string, r *kgo.Record, to io.Writer) error {
	line := tailed{Topic: strings.TrimPrefix(r.Topic, prefix), Partition: r.Partition, Offset: r.Offset, Value: json.RawMessage("null")}
	if r.Key != nil {
		key := string(r.Key)
		line.Key = &key
	}
	for _, topic := range Inputs {
		if line.Topic == topic {
			at := schemas.Instant(r.Timestamp.UnixMilli())
			line.At = &at
		}
	}
	for _, header := range r.Headers {
		if header.Key == headerReason {
			line.Reason = string(header.Value)
		}
	}
	if r.Value != nil {
		record, err := codec.DecodeAny(ctx, r.Value)
		if err != nil {
			line.Value, line.Bytes = nil, r.Value
		} else {
			line.Value = record
		}
	}
	if err := facts.WriteJSON(to, line); err != nil {
		return fmt.Errorf("tail: write a line: %w", err)
	}
	return nil
}
