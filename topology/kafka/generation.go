package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
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

	looked time.Time // when passUndelivered was called last
	share  int       // records that one partition is handed in one round at most
	turn   int       // of the partition that is handed records first

	written   []written // what was written to, each topic once
	published int       // so many of those EndTransaction finds

	produced atomic.Int64                       // records handed to the client in this transaction, or in the last one if none is open
	wake     atomic.Pointer[context.CancelFunc] // ends the wait for records, or for the next transaction
}

func newGeneration(c *Config) *generation {
	return &generation{config: c, share: shareStart, partitions: map[int32]*partition{}, prepared: map[int32]*partition{}}
}

// run is the whole life. It returns nil when ctx has ended, after the
// transaction in hand was finished and the group left.
func (g *generation) run(ctx context.Context) error {
	observe0(g.config.Observer.Generation)
	g.ctx, g.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	defer g.cancel(nil)
	// The transaction in hand is finished when ctx ends, but not at any price.
	defer context.AfterFunc(ctx, func() {
		select {
		case <-g.ctx.Done():
		case <-time.After(g.config.Limits.LeaveTimeout):
			g.cancel(fmt.Errorf("kafka: the transaction in hand was not finished within %v (LeaveTimeout), and is abandoned", g.config.Limits.LeaveTimeout))
		}
	})()
	// The client must not outlive the generation: its Close would wait for a
	// join that no broker answers.
	clientContext, kill := context.WithCancel(context.Background())
	defer kill()
	if err := g.connect(clientContext); err != nil {
		return err
	}
	defer g.client.CloseAllowingRebalance()
	defer kill()
	err := g.start(ctx)
	if err == nil {
		err = g.loop(ctx)
	}
	// Processors stop before anything is aborted: a produce that races with an
	// abort would open a new transaction at the broker.
	if err != nil {
		err = g.explain(err)
		g.abandon()
		return g.namesake(ctx, err)
	}
	g.leave()
	return nil
}

func observe0(f func()) {
	if f != nil {
		f()
	}
}

func (g *generation) connect(ctx context.Context) (err error) {
	c := g.config
	options := append(slices.Clone(c.Client),
		kgo.WithContext(ctx),
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
		kgo.ProducerBatchMaxBytesFn(c.batchBytes),
		kgo.ProducerLinger(c.Limits.Linger),
		kgo.MaxBufferedRecords(produceRecordsMax),
		kgo.MaxBufferedBytes(produceBytesMax),
		kgo.MetadataMinAge(metadataAgeMin),
		kgo.RetryBackoffFn(retryWait),
		kgo.DisableClientMetrics(),
	)
	if g.client, err = kgo.NewClient(options...); err != nil {
		return fatalf("kafka: configure the client of group %s: %w", c.Group, err)
	}
	g.admin = kadm.NewClient(g.client)
	return nil
}

// retryWait is the wait before a request is sent again that has failed this
// often. Members that lost the same broker do not come back all at once.
func retryWait(failures int) time.Duration {
	longest := min(retryWaitMin<<min(failures, 10), retryWaitMax)
	return longest/2 + rand.N(longest/2)
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
	go g.completeAssignment()
	return nil
}

// completeAssignment asks for a rebalance when the group is stable and some
// partition is nobody's. In a cooperative rebalance an owner first gives up
// what is to move, then joins again so that another gets it. One that is
// killed in between comes back under its name to what it had left, without a
// rebalance, and what it had given up would be nobody's for ever. One look may
// fall between the two joins of a rebalance that goes well, and another one
// would cut short what is being restored: so it takes two in a row.
func (g *generation) completeAssignment() {
	for looks := 0; ; {
		select {
		case <-g.ctx.Done():
			return
		case <-time.After(completeEvery):
		}
		ctx, stop := context.WithTimeout(g.ctx, requestTimeout)
		groups, err := g.admin.DescribeGroups(ctx, g.config.Group)
		stop()
		group := groups[g.config.Group]
		if err != nil || group.Err != nil || group.State != "Stable" {
			looks = 0
			continue
		}
		owned := 0
		for _, member := range group.Members {
			if assigned, is := member.Assigned.AsConsumer(); is {
				for _, topic := range assigned.Topics {
					if topic.Topic == g.config.Inputs[0] {
						owned += len(topic.Partitions)
					}
				}
			}
		}
		if owned >= g.partitionCount {
			looks = 0
		} else if looks++; looks == 2 {
			looks = 0
			g.config.Logger.Info("partitions are nobody's; the group is asked to rebalance", "group", g.config.Group, "owned", owned, "partitions", g.partitionCount)
			g.client.ForceRebalance()
		}
	}
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

// loop polls and processes until ctx ends or something fails. It touches
// queues and positions between poll and AllowRebalance only, and giveUp only
// when rebalances are allowed: so neither needs a lock for them.
func (g *generation) loop(ctx context.Context) error {
	g.told, g.looked = time.Now(), time.Now()
	wait := g.config.Limits.Idle
	for ctx.Err() == nil {
		if err := g.poll(ctx, wait); err != nil {
			return err
		}
		err := context.Cause(g.ctx)
		if err == nil && g.rest() == 0 && g.ready() {
			err = g.transaction()
		}
		if err == nil && time.Since(g.told) >= g.config.Limits.Idle {
			err = g.commitPositions(g.held())
		}
		if err == nil && time.Since(g.looked) >= g.config.Limits.Idle {
			g.passUndelivered()
		}
		if err != nil {
			return err
		}
		wait = g.config.Limits.Idle
		if g.ready() {
			wait = 0
		}
		g.throttle(g.held())
		rest := g.rest()
		g.client.AllowRebalance()
		g.sitOut(ctx, rest)
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
		g.wake.Store(&stop)
		defer context.AfterFunc(ctx, stop)()
		fetches = g.client.PollFetches(waiting)
		//lint:ignore SA1012 nil means not to wait, as the function's documentation says
	} else if fetches = g.client.PollFetches(nil); len(fetches) == 0 {
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
	var held []*partition
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
		held = append(held, p)
	})
	g.throttle(held)
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

// throttle stops or resumes the fetching of queues, by what they hold.
func (g *generation) throttle(held []*partition) {
	l := &g.config.Limits
	pause, resume := map[string][]int32{}, map[string][]int32{}
	for _, p := range held {
		for i := range p.queues {
			q := &p.queues[i]
			records := len(q.records) - q.head
			switch {
			case !q.paused && (records > l.BufferedRecords || q.bytes > l.BufferedBytes):
				q.paused = true
				pause[q.topic] = append(pause[q.topic], p.id)
			case q.paused && records <= l.BufferedRecords/2 && q.bytes <= l.BufferedBytes/2:
				q.paused = false
				resume[q.topic] = append(resume[q.topic], p.id)
			}
		}
	}
	if len(pause) > 0 { // with nothing to do, both would do everything
		g.client.PauseFetchPartitions(pause)
	}
	if len(resume) > 0 {
		g.client.ResumeFetchPartitions(resume)
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
		if p.ready() {
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
	g.resume(leaving)
	if confirmed && len(leaving) > 0 && g.ctx.Err() == nil {
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

// resume undoes throttle: the client would remember a pause for when the
// partition comes back.
func (g *generation) resume(leaving []*partition) {
	paused := map[string][]int32{}
	for _, p := range leaving {
		for i := range p.queues {
			if q := &p.queues[i]; q.paused {
				paused[q.topic] = append(paused[q.topic], p.id)
			}
		}
	}
	if len(paused) > 0 {
		g.client.ResumeFetchPartitions(paused)
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

// producerGone is how a broker answers a producer whose transactional id was
// taken over: by its epoch or, where the takeover has aborted its transaction
// already, by the state of that.
var producerGone = []error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidTxnState, kerr.InvalidProducerIDMapping}

// namesake finds out whether this member's producer was fenced by another
// process of its name: then that one joins the group under it. A transaction
// that the broker ended for its age looks the same, and nobody joins. Without
// the question this member's next generation would fence the other one.
func (g *generation) namesake(ctx context.Context, err error) error {
	if !slices.ContainsFunc(producerGone, func(gone error) bool { return errors.Is(err, gone) }) {
		return err
	}
	member, generation := g.client.GroupMetadata()
	for end := time.Now().Add(namesakeWait); member != "" && ctx.Err() == nil && time.Now().Before(end); time.Sleep(offsetRetry) {
		heartbeat := kmsg.NewPtrHeartbeatRequest()
		heartbeat.Group, heartbeat.MemberID, heartbeat.Generation, heartbeat.InstanceID = g.config.Group, member, generation, &g.config.Instance
		asking, stop := context.WithTimeout(ctx, namesakeWait)
		answer, failed := heartbeat.RequestWith(asking, g.client)
		stop()
		if failed == nil && answer.ErrorCode == kerr.FencedInstanceID.Code {
			return ErrFenced
		}
	}
	return err
}

// unjoin takes this member's name out of the group. Without a member's id the
// broker would take out whoever has the name.
func (g *generation) unjoin() error {
	member, _ := g.client.GroupMetadata()
	if member == "" {
		return nil
	}
	ctx, stop := context.WithTimeout(g.ctx, g.config.Limits.LeaveTimeout/2)
	defer stop()
	request := kmsg.NewPtrLeaveGroupRequest()
	request.Group = g.config.Group
	request.Members = []kmsg.LeaveGroupRequestMember{{MemberID: member, InstanceID: &g.config.Instance}}
	answer, err := request.RequestWith(ctx, g.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(answer.ErrorCode)
}

// leave gives up all partitions and takes this member's name out of the
// group, so that others need not wait for its session to time out.
//
// The client's own leaving gives up the partitions, and keeps a member that has
// an instance name in the group. It waits for a join under way, which may take
// as long as the slowest other member: then the broker is told in any case.
func (g *generation) leave() {
	g.client.AllowRebalance()
	waiting, stop := context.WithTimeout(g.ctx, g.config.Limits.LeaveTimeout/4)
	_ = g.client.LeaveGroupContext(waiting) // calls giveUp; no join begins after it was called
	stop()
	failed := g.unjoin()
	g.abandon() // what giveUp was not called for
	if failed != nil {
		g.config.Logger.Warn("the group was not left cleanly; others take over when the session times out", "group", g.config.Group, "error", failed)
	}
}
