package kafka

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker that lets a late record into the next transaction is refused. Only
// the embedded broker can be made to look like one: a real one is upgraded for
// good when it is formatted.
func TestOldTransactionsAreRefused(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	cluster.ControlKey(int16(kmsg.ApiVersions), func(asked kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		answer := asked.ResponseKind().(*kmsg.ApiVersionsResponse)
		for key := range int16(kmsg.MaxKey + 1) {
			if request := kmsg.RequestForKey(key); request != nil {
				answer.ApiKeys = append(answer.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: key, MaxVersion: request.MaxVersion()})
			}
		}
		feature := kmsg.NewApiVersionsResponseFinalizedFeature()
		feature.Name, feature.MaxVersionLevel = "transaction.version", transactionVersionMin-1
		answer.FinalizedFeatures = append(answer.FinalizedFeatures, feature)
		return answer, nil, true
	})
	w := &world{t: t, brokers: cluster.ListenAddrs(), prefix: "old.", tables: newTables(), log: slog.New(slog.DiscardHandler)}
	c := w.config("a")
	err = w.member(c).wait()
	if err == nil || !strings.Contains(err.Error(), "transaction.version is below 2") || !strings.Contains(err.Error(), "upgrade it") {
		t.Fatalf("Run returned %v", err)
	}
}

// While no broker answers, a member says so now and then and no more, and goes
// on soon after one is back.
func TestBrokerAwayForAWhile(t *testing.T) {
	w := newWorld(t)
	n := newNetwork()
	c := w.config("a")
	c.Client = n.client()
	c.Limits.BackoffMin, c.Limits.BackoffMax = 0, 0
	var mu sync.Mutex
	resets := map[string]int{}
	c.Observer.Reset = func(reason string) {
		mu.Lock()
		defer mu.Unlock()
		resets[reason]++
	}
	values := w.some(0, 200)
	w.start(c)
	w.awaitCaughtUp()
	lines := strings.Count(w.said.text(), "\n")
	add(values, w.some(200, 400))
	n.die()
	time.Sleep(5 * time.Second)
	n.revive()
	back := time.Now()
	w.awaitCaughtUp()
	if took := time.Since(back); took > 8*time.Second {
		t.Errorf("it went on %v after the broker was back", took)
	}
	w.same(w.lines("out"), counted(values))
	if more := strings.Count(w.said.text(), "\n") - lines; more > 15 {
		t.Errorf("it said %d lines", more)
	}
	mu.Lock()
	defer mu.Unlock()
	for reason := range resets {
		if reason != resetGroup && reason != resetCommit && reason != resetFetch && reason != resetBroker {
			t.Errorf("%q is no reason", reason)
		}
	}
}

// A coordinator that is not there for a while, as while it moves, is waited
// for. Only the embedded broker can be made to say so; on a real one, stop and
// start it.
func TestCoordinatorsMove(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	w := newWorldOn(t, cluster.ListenAddrs())
	values := w.some(0, 200)
	w.start(w.config("a"))
	w.awaitCaughtUp()
	until := time.Now().Add(time.Second)
	for _, key := range []int16{int16(kmsg.FindCoordinator), int16(kmsg.TxnOffsetCommit), int16(kmsg.Heartbeat)} {
		cluster.ControlKey(key, func(asked kmsg.Request) (kmsg.Response, error, bool) {
			if time.Now().After(until) {
				return nil, nil, false
			}
			cluster.KeepControl()
			switch asked := asked.(type) {
			case *kmsg.FindCoordinatorRequest:
				answer := asked.ResponseKind().(*kmsg.FindCoordinatorResponse)
				answer.ErrorCode = kerr.CoordinatorNotAvailable.Code
				for _, key := range asked.CoordinatorKeys {
					answer.Coordinators = append(answer.Coordinators, kmsg.FindCoordinatorResponseCoordinator{Key: key, ErrorCode: kerr.CoordinatorNotAvailable.Code})
				}
				return answer, nil, true
			case *kmsg.HeartbeatRequest:
				answer := asked.ResponseKind().(*kmsg.HeartbeatResponse)
				answer.ErrorCode = kerr.NotCoordinator.Code
				return answer, nil, true
			case *kmsg.TxnOffsetCommitRequest:
				answer := asked.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
				for _, topic := range asked.Topics {
					t := kmsg.TxnOffsetCommitResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
					for _, p := range topic.Partitions {
						t.Partitions = append(t.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: kerr.NotCoordinator.Code})
					}
					answer.Topics = append(answer.Topics, t)
				}
				return answer, nil, true
			}
			return nil, nil, false
		})
	}
	for from := 200; time.Now().Before(until.Add(500 * time.Millisecond)); from += 50 {
		add(values, w.some(from, from+50))
		time.Sleep(50 * time.Millisecond)
	}
	began := time.Now()
	w.awaitCaughtUp()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it went on after %v", took)
	}
	w.same(w.lines("out"), counted(values))
}

// A session timeout that the broker refuses ends Run: the member would never
// join, without a word.
func TestRefusedSessionTimeoutIsSaid(t *testing.T) {
	err := fetchError(kgo.FetchTopicPartition{FetchPartition: kgo.FetchPartition{Partition: -1, Err: &kgo.ErrGroupSession{Err: kerr.InvalidSessionTimeout}}})
	if text := err.Error(); !errors.As(err, new(fatal)) || !strings.Contains(text, "INVALID_SESSION_TIMEOUT") {
		t.Fatalf("got %v", err)
	}
}
