package topology

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// strictBrokers are those of VOUCH_TEST_BROKERS, else an embedded one that
// refuses records too far ahead of it, as a real one does where a topic's
// message.timestamp.after.max.ms says so.
func strictBrokers(t *testing.T) []string {
	if os.Getenv("VOUCH_TEST_BROKERS") != "" {
		return brokers(t)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		produce := request.(*kmsg.ProduceRequest)
		answer := produce.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range produce.Topics {
			refused := kmsg.NewProduceResponseTopic()
			refused.Topic, refused.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				batch := kmsg.NewRecordBatch()
				if err := batch.ReadFrom(p.Records); err != nil {
					return nil, err, true
				}
				if batch.MaxTimestamp <= time.Now().UnixMilli()+tickAheadMillisMax {
					return nil, nil, false
				}
				partition := kmsg.NewProduceResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, kerr.InvalidTimestamp.Code
				refused.Partitions = append(refused.Partitions, partition)
			}
			answer.Topics = append(answer.Topics, refused)
		}
		return answer, nil, true
	})
	return cluster.ListenAddrs()
}

// lockedBuffer takes what several goroutines write.
type lockedBuffer struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes.String()
}

// A broker refuses the ticks of a clock that runs ahead, and the clock says
// so; when it is right again it says that too. One that runs behind only
// delays.
func TestClockThatRunsAheadSaysSo(t *testing.T) {
	w := newWorldOn(t, strictBrokers(t))
	w.createTopics()
	encoders, err := NewClockEncoders(t.Context(), w.codec, w.prefix)
	if err != nil {
		t.Fatal(err)
	}
	var said lockedBuffer
	ahead := func() time.Time {
		if strings.Contains(said.String(), "refuses ticks") {
			return time.Now().Add(-time.Hour) // it was set, and too far
		}
		return time.Now().Add(10 * time.Minute)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- runClock(ctx, w.client, w.prefix, encoders, time.Second, slog.New(slog.NewTextHandler(&said, nil)), ahead)
	}()
	w.await("the clock says that its ticks are refused, and then written", func() bool {
		return strings.Contains(said.String(), "clock is ahead of the broker's") && strings.Contains(said.String(), "ticks are written again")
	})
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, line := range w.tail(Clock) {
		if at, err := time.Parse(time.RFC3339, line.Value["at"].(string)); err != nil || at.After(time.Now()) {
			t.Errorf("a tick of %v stands in the log (%v)", at, err)
		}
	}
}
