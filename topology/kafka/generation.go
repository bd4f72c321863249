package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// generation is one life of the member: one client, from InitProducerID until
// something is not confirmed or the program ends.
type generation struct {
	config         *Config
	client         *kgo.Client
	admin          *kadm.Client
	partitionCount int
	topicIDs       map[string][16]byte

	ctx    context.Context         // ends with the generation
	cancel context.CancelCauseFunc // its cause is why

	// mu guards partitions: the group's callbacks add and remove them, but
	// remove none while rebalances are blocked, from poll to allowRebalance.
	mu         sync.Mutex
	partitions map[int32]*partition
	prepared   map[int32]*partition // started by a takeOver that is not through yet
	taking     sync.Mutex           // held by takeOver

	committed int       // transactions
	ended     time.Time // the last EndTxn
	told      time.Time // when the coordinator was told of positions last

	produced     atomic.Int64 // records handed to the client in this transaction
	produceError atomic.Pointer[error]
}

func newGeneration(c *Config) *generation {
	return &generation{config: c, partitions: map[int32]*partition{}, prepared: map[int32]*partition{}}
}

// run is the whole life. It returns nil when ctx has ended, after the
// transaction in hand was finished and the group left.
func (g *generation) run(ctx context.Context) error {
	observe0(g.config.Observer.Generation)
	g.ctx, g.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	defer g.cancel(nil)
	if err := g.connect(); err != nil {
		return err
	}
	defer g.client.Close()
	defer g.client.AllowRebalance()
	err := g.start(ctx)
	if err == nil {
		err = g.loop(ctx)
	}
	// Processors stop before anything is aborted: a produce that races with an
	// abort would open a new transaction at the broker.
	if err != nil {
		err = g.explain(err)
		g.abandon()
		return g.namesake(err)
	}
	g.leave()
	return nil
}

func observe0(f func()) {
	if f != nil {
		f()
	}
}

func (g *generation) connect() (err error) {
	c := g.config
	options := append(slices.Clone(c.Client),
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.transactionalID()),
		kgo.ConsumerGroup(c.Group),
		kgo.InstanceID(c.Instance),
		kgo.Balancers(copartitioned{}),
		kgo.SessionTimeout(c.Limits.SessionTimeout),
		kgo.HeartbeatInterval(c.Limits.SessionTimeout/4),
		// A member that waits in JoinGroup past its session timeout is dropped
		// without a word by some brokers, so neither is the longer one.
		kgo.RebalanceTimeout(c.Limits.SessionTimeout),
		kgo.BlockRebalanceOnPoll(),
		kgo.DisableAutoCommit(),
		kgo.AdjustFetchOffsetsFn(g.takeOver),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, revoked map[string][]int32) { g.giveUp(revoked, true) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { g.giveUp(lost, false) }),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // an offset out of range is an error, never a silent jump
		kgo.FetchMaxBytes(fetchBytesMax),
		kgo.FetchMaxPartitionBytes(c.Limits.FetchBytes),
		kgo.FetchMaxWait(fetchWait),
		kgo.TransactionalID(c.transactionalID()),
		kgo.TransactionTimeout(c.Limits.TransactionTimeout),
		kgo.RecordPartitioner(partitioner()),
		kgo.ProducerBatchMaxBytes(batchBytesMax),
		kgo.ProducerLinger(produceLinger),
		kgo.MaxBufferedRecords(produceRecordsMax),
		kgo.MaxBufferedBytes(produceBytesMax),
		kgo.DisableClientMetrics(),
	)
	if g.client, err = kgo.NewClient(options...); err != nil {
		return fatalf("kafka: configure the client of group %s: %w", c.Group, err)
	}
	g.admin = kadm.NewClient(g.client)
	return nil
}

// start fences the member's last incarnation, then joins the group.
func (g *generation) start(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	if err := g.requireTransactions(ctx); err != nil {
		return err
	}
	topics, err := g.admin.ListTopics(ctx, append([]string{g.config.TableTopic}, g.config.Inputs...)...)
	if err != nil {
		return fmt.Errorf("kafka: list the topics of group %s: %w", g.config.Group, err)
	}
	g.topicIDs = map[string][16]byte{}
	for name, topic := range topics {
		if topic.Err != nil {
			return refusedOr(topic.Err, "kafka: look up topic %s", name)
		}
		if name == g.config.TableTopic {
			g.partitionCount = len(topic.Partitions)
		}
		g.topicIDs[name] = topic.ID
	}
	for name, topic := range topics {
		if len(topic.Partitions) != g.partitionCount {
			return fatalf("kafka: topic %s has %d partitions and %s has %d: they must have the same number", name, len(topic.Partitions), g.config.TableTopic, g.partitionCount)
		}
	}
	if _, _, err := g.client.ProducerID(ctx); err != nil {
		return refusedOr(err, "kafka: take over the transactional id %s", g.config.transactionalID())
	}
	g.client.AddConsumeTopics(g.config.Inputs...)
	return nil
}

// requireTransactions refuses a broker whose transactions let a late record
// into the next one.
func (g *generation) requireTransactions(ctx context.Context) error {
	answer, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, g.client)
	if err != nil {
		return fmt.Errorf("kafka: ask the brokers %v for their features: %w", g.config.Brokers, err)
	}
	for _, feature := range answer.FinalizedFeatures {
		if feature.Name == "transaction.version" && feature.MaxVersionLevel >= transactionVersionMin {
			return nil
		}
	}
	return fatalf("kafka: the brokers' feature transaction.version is below %d, so that a record delayed on its way could join a later transaction: upgrade it (kafka-features upgrade --feature transaction.version=%d; Kafka 4.0 or later)", transactionVersionMin, transactionVersionMin)
}

// refusedOr makes an error fatal if asking again would not help.
func refusedOr(err error, doing string, args ...any) error {
	wrapped := fmt.Errorf(doing+": %w", append(args, err)...)
	for _, refusal := range []error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
		kerr.SaslAuthenticationFailed, kerr.InvalidTransactionTimeout, kerr.InvalidSessionTimeout, kerr.UnknownTopicOrPartition, kerr.UnsupportedVersion,
	} {
		if errors.Is(err, refusal) {
			return fatal{wrapped}
		}
	}
	return wrapped
}

// loop polls and processes until ctx ends or something fails.
func (g *generation) loop(ctx context.Context) error {
	g.told = time.Now()
	for ctx.Err() == nil {
		wait := time.Duration(0)
		if !g.ready() {
			wait = g.config.Limits.Idle
		}
		if err := g.poll(ctx, wait); err != nil {
			return err
		}
		err := context.Cause(g.ctx)
		if err == nil && g.ready() {
			err = g.transaction()
		}
		if err == nil && time.Since(g.told) >= g.config.Limits.Idle {
			err = g.commitPositions(g.held())
		}
		if err != nil {
			return err
		}
		g.client.AllowRebalance()
	}
	return nil
}

// poll buffers what was fetched, waiting for it if wait is above 0. When it
// returns, rebalances are blocked.
func (g *generation) poll(ctx context.Context, wait time.Duration) error {
	var fetches kgo.Fetches
	if wait > 0 {
		waiting, stop := context.WithTimeout(g.ctx, wait)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		fetches = g.client.PollFetches(waiting)
	} else if fetches = g.client.PollFetches(nil); len(fetches) == 0 { //nolint:staticcheck // nil: do not wait, as its documentation says
		over, stop := context.WithCancel(context.Background())
		stop()
		g.client.PollFetches(over) // fetches nothing, and blocks rebalances
	}
	return g.buffer(fetches)
}

// buffer puts what was fetched into the queues of its partitions.
func (g *generation) buffer(fetches kgo.Fetches) (failed error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Err != nil {
			if failed == nil && !errors.Is(f.Err, context.Canceled) && !errors.Is(f.Err, context.DeadlineExceeded) {
				failed = fetchError(f)
			}
			return
		}
		p := g.partitions[f.Partition]
		if p == nil {
			return // given up since
		}
		q := &p.queues[slices.Index(g.config.Inputs, f.Topic)]
		q.push(f.Records)
		q.end = max(q.end, f.LastStableOffset)
		g.throttle(q, f.Partition)
	})
	return failed
}

func fetchError(f kgo.FetchTopicPartition) error {
	var session *kgo.ErrGroupSession
	if errors.As(f.Err, &session) {
		err := refusedOr(f.Err, "kafka: join the group")
		if errors.As(err, new(fatal)) {
			return err
		}
		return reset{resetGroup, err}
	}
	err := refusedOr(f.Err, "kafka: fetch %s, partition %d", f.Topic, f.Partition)
	if errors.Is(f.Err, kerr.OffsetOutOfRange) {
		return fatal{fmt.Errorf("%w: records were deleted before they were processed, or the topic was made anew; see the retention of the topic, and the runbook for how to go on", err)}
	}
	if errors.As(err, new(fatal)) {
		return err
	}
	return reset{resetFetch, err}
}

// throttle stops or resumes the fetching of a queue, by what it holds.
func (g *generation) throttle(q *queue, partition int32) {
	l := &g.config.Limits
	records := len(q.records) - q.head
	where := map[string][]int32{q.topic: {partition}}
	switch {
	case !q.paused && (records > l.BufferedRecords || q.bytes > l.BufferedBytes):
		g.client.PauseFetchPartitions(where)
		q.paused = true
	case q.paused && records <= l.BufferedRecords/2 && q.bytes <= l.BufferedBytes/2:
		g.client.ResumeFetchPartitions(where)
		q.paused = false
	}
}

// held lists the partitions, in their order.
func (g *generation) held() (all []*partition) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.partitions {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *partition) int { return int(a.id - b.id) })
	return all
}

// ready says whether a partition has a record that may be processed.
func (g *generation) ready() bool {
	for _, p := range g.held() {
		if p.alone != nil || p.first() != nil {
			return true
		}
	}
	return false
}

// giveUp ends the processing of partitions that move to another member. The
// group's callbacks call it, while no transaction is open.
func (g *generation) giveUp(revoked map[string][]int32, confirmed bool) {
	var leaving []*partition
	g.mu.Lock()
	for _, partitions := range revoked {
		for _, id := range partitions {
			for _, from := range []map[int32]*partition{g.partitions, g.prepared} {
				if p := from[id]; p != nil {
					delete(from, id)
					leaving = append(leaving, p)
				}
			}
		}
	}
	g.mu.Unlock()
	if confirmed && len(leaving) > 0 {
		// What had no effect is not read again by the next owner; if this
		// fails it is, and has no effect again.
		if err := g.commitPositions(leaving); err != nil {
			g.config.Logger.Info("positions were not committed before a partition moved", "group", g.config.Group, "error", err)
		}
	}
	for _, p := range leaving {
		if err := g.end(p); err != nil {
			g.cancel(fatal{err})
		}
	}
}

// end stops a partition's processor and closes its table.
func (g *generation) end(p *partition) error {
	p.halt()
	observe1(g.config.Observer.Stopped, p.id)
	if err := g.config.Close(p.id); err != nil {
		return fmt.Errorf("kafka: close the table of partition %d: %w", p.id, err)
	}
	return nil
}

// explain prefers why the generation was ended to what was seen of it, and
// the failure of a processor to both.
func (g *generation) explain(err error) error {
	for _, p := range g.held() {
		if failure := p.failure(); failure != nil {
			return failure
		}
	}
	if cause := context.Cause(g.ctx); cause != nil {
		return cause
	}
	return err
}

// abandon ends everything without a commit.
func (g *generation) abandon() {
	g.cancel(errors.New("kafka: the generation has ended"))
	g.taking.Lock() // a takeOver under way ends first, and no later one begins
	defer g.taking.Unlock()
	g.mu.Lock()
	leaving := append(slices.Collect(maps.Values(g.partitions)), slices.Collect(maps.Values(g.prepared))...)
	clear(g.partitions)
	clear(g.prepared)
	g.mu.Unlock()
	for _, p := range leaving {
		if err := g.end(p); err != nil {
			g.config.Logger.Warn("a table was not closed cleanly", "group", g.config.Group, "error", limited(err.Error()))
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), abortTimeout)
	defer stop()
	if err := g.client.AbortBufferedRecords(ctx); err == nil {
		// If this fails too, the next InitProducerID aborts.
		_ = g.client.EndTransaction(ctx, kgo.TryAbort)
	}
}

// namesake finds out whether this member's producer was fenced by another
// process of its name: then that one joins the group under it. A transaction
// that the broker ended for its age looks the same, and nobody joins.
func (g *generation) namesake(err error) error {
	if !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) {
		return err
	}
	member, generation := g.client.GroupMetadata()
	for end := time.Now().Add(namesakeWait); time.Now().Before(end); time.Sleep(offsetRetry) {
		heartbeat := kmsg.NewPtrHeartbeatRequest()
		heartbeat.Group, heartbeat.MemberID, heartbeat.Generation, heartbeat.InstanceID = g.config.Group, member, generation, &g.config.Instance
		ctx, stop := context.WithTimeout(context.Background(), requestTimeout)
		answer, failed := heartbeat.RequestWith(ctx, g.client)
		stop()
		if failed == nil && answer.ErrorCode == kerr.FencedInstanceID.Code {
			return ErrFenced
		}
	}
	return err
}

// leave gives up all partitions and takes this member's name out of the
// group, so that others need not wait for its session to time out.
func (g *generation) leave() {
	ctx, stop := context.WithTimeout(context.Background(), g.config.Limits.LeaveTimeout)
	defer stop()
	member, _ := g.client.GroupMetadata()
	g.client.AllowRebalance()
	failed := g.client.LeaveGroupContext(ctx) // calls giveUp; a member with an instance name stays in the group
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = g.config.Group
	leave.Members = []kmsg.LeaveGroupRequestMember{{MemberID: member, InstanceID: &g.config.Instance}}
	if _, err := leave.RequestWith(ctx, g.client); failed == nil {
		failed = err
	}
	g.abandon() // what giveUp was not called for
	if failed != nil {
		g.config.Logger.Warn("the group was not left cleanly; others take over when the session times out", "group", g.config.Group, "error", failed)
	}
}
