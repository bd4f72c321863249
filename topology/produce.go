package topology

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/facts"
)

// recordOverheadBytes is what a broker adds to one record in a batch of its
// own, at most, before it compares it with max.message.bytes.
const recordOverheadBytes = 512

// ProduceOptions is what a producer client of facts needs: acknowledgement by
// all replicas, and record batches up to what a topic may hold.
func ProduceOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // murmur2 of the key, like every client; a tick's keys are chosen by it
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(valueBytesMax),
		kgo.ProducerLinger(5 * time.Millisecond),
	}
}

// Produce writes the lines of a facts file to their topics, each at its Kafka
// timestamp, a clock line to every partition. It returns how many lines all
// replicas have acknowledged, which is all of them unless it fails; the error
// names the line. progress is called now and then with the lines read.
//
// A value that does not fit its schema is sent as the JSON it is, so that the
// engine finds it undecodable, as decide does.
func Produce(ctx context.Context, client *kgo.Client, prefix string, encoders *Encoders, from io.Reader, progress func(lines int)) (lines int, err error) {
	p := producer{client: client, prefix: prefix, encoders: encoders}
	if p.limits, p.keys, err = p.topics(ctx); err != nil {
		return 0, err
	}
	reader := facts.NewReader(from)
	for {
		line, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = cmp.Or(p.failure(), p.send(ctx, line), ctx.Err())
		}
		if err != nil {
			return lines, errors.Join(fmt.Errorf("produce: %w", err), client.Flush(ctx))
		}
		lines++
		if progress != nil && lines%10_000 == 0 {
			progress(lines)
		}
	}
	if err := client.Flush(ctx); err != nil {
		return lines, fmt.Errorf("produce: wait for the acknowledgements: %w", err)
	}
	return lines, p.failure()
}

type producer struct {
	client   *kgo.Client
	prefix   string
	encoders *Encoders
	limits   map[string]int // bytes of a record, by topic without prefix
	keys     []string       // of a tick, by partition

	mu     sync.Mutex
	failed error // the first record that was not acknowledged
}

// topics reads what the producer must know of its topics.
func (p *producer) topics(ctx context.Context) (limits map[string]int, keys []string, err error) {
	partitions, err := checkTopics(ctx, p.client, p.prefix, specsOf(Inputs...))
	if err != nil {
		return nil, nil, fmt.Errorf("produce: %w", err)
	}
	var names []string
	for _, topic := range Inputs {
		names = append(names, p.prefix+topic)
	}
	configs, err := kadm.NewClient(p.client).DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, nil, fmt.Errorf("produce: read the limits of the topics: %w", err)
	}
	limits = map[string]int{}
	for _, topic := range Inputs {
		limit := number(settingsOf(configs, p.prefix+topic)["max.message.bytes"])
		limits[topic] = min(cmp.Or(limit, valueBytesMax), valueBytesMax)
	}
	return limits, TickKeys(partitions), nil
}

func (p *producer) send(ctx context.Context, line facts.Line) error {
	value := p.encode(line)
	key, keyed := line.RecordKey()
	if size := len(value) + len(key) + recordOverheadBytes; size > p.limits[line.Topic] {
		return fmt.Errorf("line %d: its record would have %d bytes, more than the %d that topic %s takes (its max.message.bytes, at most %d): shorten it", line.Number, size, p.limits[line.Topic], p.prefix+line.Topic, valueBytesMax)
	}
	record := kgo.Record{Topic: p.prefix + line.Topic, Value: value, Timestamp: time.UnixMilli(int64(line.At))}
	if keyed {
		record.Key = []byte(key)
	}
	if line.Topic != Clock {
		p.produce(ctx, &record, line.Number)
		return nil
	}
	for _, key := range p.keys {
		tick := record
		tick.Key = []byte(key)
		p.produce(ctx, &tick, line.Number)
	}
	return nil
}

func (p *producer) produce(ctx context.Context, record *kgo.Record, number int) {
	p.client.Produce(ctx, record, func(r *kgo.Record, err error) {
		if err == nil {
			return
		}
		if errors.Is(err, kerr.MessageTooLarge) {
			err = fmt.Errorf("%w: raise max.message.bytes of the topic, and that of quarantine to twice as much", err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.failed == nil {
			p.failed = fmt.Errorf("line %d: write it to %s: %w", number, r.Topic, err)
		}
	})
}

func (p *producer) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// encode gives the bytes of a line's value.
func (p *producer) encode(line facts.Line) []byte {
	if line.Value == nil {
		return nil
	}
	record, err := DecodeFact(line)
	if err != nil {
		return line.Value
	}
	switch record := record.(type) {
	case *schemas.Evidence:
		return p.encoders.evidence.Append(nil, record)
	case *schemas.RosterEntry:
		return p.encoders.roster.Append(nil, record)
	case *schemas.Payout:
		return p.encoders.payout.Append(nil, record)
	default:
		return p.encoders.clock.Append(nil, record.(*schemas.ClockTick))
	}
}
