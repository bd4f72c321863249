package kafka

import (
	"context"
	"errors"
	"hash"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"

	"github.com/vouch-engine/vouch/topology/pieces"
)

// The seams are the interfaces by which Goka reaches Kafka. Goka has one
// processor a partition, so that one that moves does not disturb the others.

// seams are the options of one partition's processor.
func (g *generation) seams(p *partition) []goka.ProcessorOption {
	return []goka.ProcessorOption{
		goka.WithLogger(silent{}),
		goka.WithNilHandling(goka.NilProcess), // or a null value is dropped without a word
		goka.WithPartitionChannelSize(processorRecords),
		goka.WithTopicManagerBuilder(func([]string) (goka.TopicManager, error) {
			return topicManager{g.partitionCount, p.table.Position}, nil
		}),
		goka.WithConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) { return noConsumer{}, nil }),
		goka.WithConsumerGroupBuilder(func([]string, string, string) (sarama.ConsumerGroup, error) { return p.session, nil }),
		goka.WithProducerBuilder(func([]string, string, func() hash.Hash32) (goka.Producer, error) {
			return newProducer(g, p), nil
		}),
	}
}

// session is Goka's consumer group, session and claim of one partition at
// once. Its one claim carries all topics, since Goka looks a callback up by
// the message's own topic: so one channel gives the order of all inputs.
type session struct {
	ctx        context.Context
	topics     []string
	partition  int32
	generation int32
	messages   chan *sarama.ConsumerMessage
	running    chan struct{} // closed when the processor takes messages

	handed           []sarama.ConsumerMessage // in this round
	expected, marked atomic.Int64
	done             chan struct{} // gets one value when all that was expected is marked
}

func newSession(topics []string, partition, generation int32) *session {
	return &session{
		topics: topics, partition: partition, generation: generation,
		messages: make(chan *sarama.ConsumerMessage, claimRecords),
		running:  make(chan struct{}), done: make(chan struct{}, 1),
	}
}

// Consume runs the one session that this group has. Goka would call again
// after 5 s, but the context has ended by then.
func (s *session) Consume(ctx context.Context, _ []string, handler sarama.ConsumerGroupHandler) error {
	s.ctx = ctx
	if err := handler.Setup(s); err != nil {
		return err
	}
	close(s.running)
	err := handler.ConsumeClaim(s, s)
	if cleanup := handler.Cleanup(s); err == nil {
		err = cleanup // where Goka says why a step failed
	}
	if err == nil && ctx.Err() == nil {
		err = errors.New("it stopped taking records")
	}
	return err
}

// MarkOffset is called when a message is processed and all it emitted is on
// its way; delivery is what the commit verifies.
func (s *session) MarkOffset(string, int32, int64, string) {
	if s.marked.Add(1) == s.expected.Load() {
		s.done <- struct{}{}
	}
}

func (s *session) Claims() map[string][]int32 {
	claims := map[string][]int32{}
	for _, topic := range s.topics {
		claims[topic] = []int32{s.partition}
	}
	return claims
}

func (s *session) Context() context.Context                         { return s.ctx }
func (s *session) MemberID() string                                 { return "" }
func (s *session) GenerationID() int32                              { return s.generation }
func (s *session) Messages() <-chan *sarama.ConsumerMessage         { return s.messages }
func (s *session) Topic() string                                    { return s.topics[0] }
func (s *session) Partition() int32                                 { return s.partition }
func (s *session) InitialOffset() int64                             { return 0 }
func (s *session) HighWaterMarkOffset() int64                       { return 0 }
func (s *session) Errors() <-chan error                             { return nil }
func (s *session) Close() error                                     { return nil }
func (s *session) Pause(map[string][]int32)                         {}
func (s *session) Resume(map[string][]int32)                        {}
func (s *session) PauseAll()                                        {}
func (s *session) ResumeAll()                                       {}
func (s *session) Commit()                                          {}
func (s *session) MarkMessage(*sarama.ConsumerMessage, string)      {}
func (s *session) ResetOffset(_ string, _ int32, _ int64, _ string) {}

// producer is Goka's way out. What a step emits is copied, so that a step may use
// its memory again, and has the Kafka timestamp of the message that it
// processes. Rows of the table are not sent from here: the
// commit sends of each key only the last one (see Table.Staged).
type producer struct {
	g         *generation
	partition *partition
	finished  *goka.Promise // shared by all that one processor emits
}

func newProducer(g *generation, of *partition) *producer {
	promise, finish := goka.NewPromiseWithFinisher()
	finish(nil, nil)
	return &producer{g, of, promise}
}

func (p *producer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

func (p *producer) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	if topic == p.g.config.TableTopic || p.g.ctx.Err() != nil { // a generation that has ended commits nothing
		return p.finished
	}
	room, session := &p.partition.room, p.partition.session
	record := room.records.One()
	record.Topic, record.Key, record.Partition = topic, pieces.Copy(&room.bytes, key), byKey
	if value != nil {
		record.Value = pieces.Copy(&room.bytes, value)
	}
	// Messages are processed, and marked, one after the other.
	record.Timestamp = session.handed[session.marked.Load()].Timestamp
	if len(headers) > 0 {
		takeOff(headers, record)
	}
	p.g.produced.Add(1)
	p.g.client.Produce(p.g.ctx, record, p.g.acknowledged)
	return p.finished
}

func (p *producer) Close() error { return nil }

// topicManager answers what Goka asks of topics. A table's newest offset is
// the store's own position: the store restores itself, and Goka's own recovery
// would wait for ever for a transaction marker that no consumer is given.
type topicManager struct {
	partitions int
	position   func() int64
}

func (t topicManager) Partitions(string) ([]int32, error) {
	all := make([]int32, t.partitions)
	for i := range all {
		all[i] = int32(i)
	}
	return all, nil
}

func (t topicManager) GetOffset(_ string, _ int32, time int64) (int64, error) {
	if time == sarama.OffsetOldest {
		return 0, nil
	}
	return t.position(), nil
}

func (t topicManager) EnsureTableExists(string, int) error                         { return nil }
func (t topicManager) EnsureStreamExists(string, int) error                        { return nil }
func (t topicManager) EnsureTopicExists(string, int, int, map[string]string) error { return nil }
func (t topicManager) Close() error                                                { return nil }

// noConsumer is what Goka would restore tables with.
type noConsumer struct{ sarama.Consumer }

func (noConsumer) HighWaterMarks() map[string]map[int32]int64 { return nil }
func (noConsumer) Close() error                               { return nil }

// silent is a logger that drops everything: Goka's texts contain keys.
type silent struct{}

func (silent) Print(...any)          {}
func (silent) Println(...any)        {}
func (silent) Printf(string, ...any) {}
