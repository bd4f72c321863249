package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// partition is one partition of all inputs and of the table, from the moment
// it is taken over until it is given up.
type partition struct {
	id     int32
	table  Table
	queues []queue // one an input, in the order of Config.Inputs

	session *session
	ended   chan struct{} // closed when the processor has ended
	failed  error         // why, to be read then; nil if it was halted
	stop    context.CancelFunc

	first   bool   // First is to be asked for records of the partition's own, which come before all inputs
	alone   *queue // its head is handed alone, and stays there until nothing of it is left
	repeats bool   // something is left of it: it is handed again in the next transaction

	own bool // records of its own were handed in this transaction

	messages []sarama.ConsumerMessage // memory for those of a round
	room     room                     // memory for what is produced in a transaction

	lastRow atomic.Int64 // the greatest changelog offset that a row of this transaction got; -1 for none
	rows    int          // rows of this transaction
}

// queue holds what was fetched of one topic and not processed yet.
type queue struct {
	topic     string
	records   []*kgo.Record // control records among them
	head      int
	bytes     int
	next      int64 // the next offset to be processed
	until     int64 // the last stable offset when the partition was taken over
	end       int64 // the last stable offset as the last fetch told it
	committed int64 // what the group's coordinator has; -1 for nothing
	paused    bool
	seen      int64 // next when passUndelivered looked last
}

func (q *queue) empty() bool { return q.head == len(q.records) }

func (q *queue) push(records []*kgo.Record) {
	// The room in front is used again: a queue that never runs empty would
	// otherwise grow for ever.
	if q.head > 0 && q.head >= len(q.records)/2 {
		left := copy(q.records, q.records[q.head:])
		clear(q.records[left:])
		q.records, q.head = q.records[:left], 0
	}
	q.records = append(q.records, records...)
	for _, record := range records {
		q.bytes += recordBytes(record)
	}
}

func (q *queue) pop() *kgo.Record {
	record := q.records[q.head]
	q.records[q.head] = nil
	q.head++
	q.bytes -= recordBytes(record)
	q.next = record.Offset + 1
	return record
}

func recordBytes(r *kgo.Record) int { return len(r.Key) + len(r.Value) }

// skipControls goes past the transaction markers at the head: they are
// progress, and nothing else.
func (q *queue) skipControls() {
	for !q.empty() && q.records[q.head].Attrs.IsControl() {
		q.pop()
	}
}

// next gives the queue whose head is the partition's next record: the one of
// the smallest Kafka timestamp, at a tie that of the first topic. It gives nil
// if there is none, or if a topic must be waited for.
func (p *partition) next() *queue {
	var first *queue
	for i := range p.queues {
		q := &p.queues[i]
		q.skipControls()
		if q.empty() {
			if q.next < q.until {
				return nil // what it holds back may be older than all others
			}
			continue
		}
		if first == nil || q.records[q.head].Timestamp.Before(first.records[first.head].Timestamp) {
			first = q
		}
	}
	return first
}

// hand gives the processor its next records, no more than most, which its
// channel holds. A record that must be handed alone is the batch. It
// returns how many.
func (p *partition) hand(c *Config, most int) (records int, err error) {
	p.session.handed = nil
	if p.repeats {
		return 0, nil // only in the next transaction
	}
	if p.first && most < firstRecordsMin {
		return 0, nil // likewise
	}
	messages, err := p.handFirst(c, most)
	if err == nil && len(messages) == 0 {
		messages = p.handInputs(c, most)
	}
	p.session.handed = messages
	p.session.marked.Store(0)
	p.session.expected.Store(int64(len(messages)))
	for i := range messages {
		p.session.messages <- &messages[i]
	}
	return len(messages), err
}

// handFirst gives the next records that the partition hands to itself, none
// if it has handed all.
func (p *partition) handFirst(c *Config, most int) (messages []sarama.ConsumerMessage, err error) {
	if !p.first {
		return nil, nil
	}
	own, err := c.First(p.id, most)
	if err != nil {
		return nil, fatalf("kafka: go over the table of partition %d: %w", p.id, err)
	}
	for _, o := range own {
		messages = append(messages, sarama.ConsumerMessage{Topic: c.FirstTopic, Partition: p.id, Key: []byte(o.Key), Timestamp: o.Timestamp})
	}
	p.first = len(own) > 0
	p.own = p.own || p.first
	return messages, nil
}

// handInputs gives the next records of the inputs.
func (p *partition) handInputs(c *Config, most int) []sarama.ConsumerMessage {
	most = min(most, p.buffered())
	messages := slices.Grow(p.messages[:0], most)
	for p.alone == nil && len(messages) < most {
		q := p.next()
		if q == nil {
			break
		}
		record := q.records[q.head]
		if c.Alone != nil && c.Alone(record.Topic, record.Value) {
			if len(messages) == 0 {
				p.alone = q
			}
			break
		}
		messages = append(messages, message(c, q.pop()))
	}
	if p.alone != nil {
		messages = append(messages, message(c, p.alone.records[p.alone.head]))
	}
	p.messages = messages
	return messages
}

// begin begins a transaction.
func (p *partition) begin() {
	p.repeats, p.own = false, false
	p.room.reset()
}

// ready says whether the partition has a record that may be processed.
func (p *partition) ready() bool { return p.first || p.alone != nil || p.next() != nil }

// message is a record as Goka takes it.
func message(c *Config, record *kgo.Record) sarama.ConsumerMessage {
	m := sarama.ConsumerMessage{
		Topic: record.Topic, Partition: record.Partition, Offset: record.Offset,
		Key: record.Key, Value: record.Value, Timestamp: record.Timestamp,
	}
	key := ""
	if c.Rekey != nil {
		key = c.Rekey(record.Topic, record.Partition)
	}
	if len(record.Headers) > 0 || record.Key == nil || key != "" {
		m.Headers = make([]*sarama.RecordHeader, 0, len(record.Headers)+1)
		for _, header := range record.Headers {
			m.Headers = append(m.Headers, &sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
		}
		m.Headers = append(m.Headers, &sarama.RecordHeader{Key: []byte(headerOriginal), Value: appendOriginal(nil, record)})
	}
	if key != "" {
		m.Key = []byte(key)
	}
	return m
}

func (p *partition) buffered() (records int) {
	for i := range p.queues {
		records += len(p.queues[i].records) - p.queues[i].head
	}
	return records
}

// processed settles a round: the processor has marked every record that it was
// handed.
func (p *partition) processed(c *Config) {
	if marked := p.session.marked.Load(); marked != int64(len(p.session.handed)) {
		panic(fmt.Sprintf("kafka: partition %d: %d records marked of %d handed", p.id, marked, len(p.session.handed)))
	}
	clear(p.session.handed) // or they would keep alive what was fetched with them
	p.session.handed = nil
	if p.alone == nil {
		return
	}
	if p.repeats = c.Again(p.id); !p.repeats {
		p.alone.pop()
		p.alone = nil
		p.first = c.First != nil // which may have waited for the end of it
	}
}

// failure says why the processor has ended, nil if it runs or was halted. It
// names the record that it failed at, but not its key, which Goka's texts
// contain.
func (p *partition) failure() error {
	select {
	case <-p.ended:
	default:
		return nil
	}
	if p.failed == nil {
		return nil
	}
	text := p.failed.Error()
	where := ""
	if at := int(p.session.marked.Load()); at < len(p.session.handed) {
		record := &p.session.handed[at]
		text = without(text, string(record.Key))
		where = fmt.Sprintf(", topic %s, offset %d", record.Topic, record.Offset)
	}
	return fatalf("kafka: process partition %d%s: %s", p.id, where, limited(text))
}

// halt stops the processor, waits for it and forgets what was staged. It may
// be called for a partition that never started.
func (p *partition) halt() {
	if p.stop != nil {
		p.stop()
		<-p.ended
	}
	p.table.Drop()
}
