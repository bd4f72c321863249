package topology

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/schemas/avro"
)

// partitionsOfTests is the partition count of every topic of a test.
const partitionsOfTests = 4

// awaitMax is how long a test waits for anything.
const awaitMax = 60 * time.Second

// brokers are those of VOUCH_TEST_BROKERS, else one embedded in the test.
func brokers(t testing.TB) []string {
	t.Helper()
	if named := os.Getenv("VOUCH_TEST_BROKERS"); named != "" {
		return strings.Split(named, ",")
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

// world is a broker with topics of a prefix of the test's own, since one real
// broker serves all tests.
type world struct {
	t       testing.TB
	brokers []string
	prefix  string
	codec   *avro.Codec
	client  *kgo.Client // for whoever writes and reads outside
}

// newWorld connects and makes no topic.
func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, brokers(t))
}

func newWorldOn(t testing.TB, brokers []string) *world {
	t.Helper()
	w := &world{t: t, brokers: brokers, codec: avro.New(nil)}
	w.renew()
	client, err := w.connect(ProduceOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	w.client = client
	return w
}

// renew takes a prefix that nobody has used.
func (w *world) renew() {
	name := strings.ToLower(strings.ReplaceAll(w.t.Name(), "/", "-"))
	w.prefix = fmt.Sprintf("%.60s-%x.", name, time.Now().UnixNano())
}

func (w *world) connect(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(more, kgo.SeedBrokers(w.brokers...))...)
}

func (w *world) createTopics() {
	w.t.Helper()
	if _, _, err := CreateTopics(w.t.Context(), w.client, w.prefix, partitionsOfTests, 0); err != nil {
		w.t.Fatal(err)
	}
	// Tests look at all that was ever said of somebody: one segment, which is
	// never closed, is never compacted.
	forever := strconv.Itoa(math.MaxInt64)
	altered, err := kadm.NewClient(w.client).AlterTopicConfigs(w.t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "segment.ms", Value: &forever}}, w.prefix+Standing)
	if err == nil {
		err = altered[0].Err
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) produce(text string) error {
	w.t.Helper()
	encoders, err := NewEncoders(w.t.Context(), w.codec, w.prefix)
	if err != nil {
		return err
	}
	_, err = Produce(w.t.Context(), w.client, w.prefix, encoders, strings.NewReader(text), nil)
	return err
}

// tail reads topics up to their end as it stands.
func (w *world) tail(topics ...string) (lines []tailedLine) {
	w.t.Helper()
	w.awaitMarkers(topics...)
	ctx, cancel := context.WithTimeout(w.t.Context(), awaitMax)
	defer cancel()
	var text bytes.Buffer
	if err := Tail(ctx, w.connect, w.codec, TailOptions{Prefix: w.prefix, Topics: topics, UntilEnd: true}, &text); err != nil {
		w.t.Fatal(err)
	}
	decoder := json.NewDecoder(&text)
	decoder.UseNumber()
	for decoder.More() {
		var line tailedLine
		if err := decoder.Decode(&line); err != nil {
			w.t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

// awaitMarkers waits until no transaction is open: a broker writes the markers
// after it has confirmed the end.
func (w *world) awaitMarkers(topics ...string) {
	w.t.Helper()
	var names []string
	for _, topic := range topics {
		names = append(names, w.prefix+topic)
	}
	admin := kadm.NewClient(w.client)
	w.await("no transaction is open", func() bool {
		high, err := admin.ListEndOffsets(w.t.Context(), names...)
		if err != nil {
			w.t.Fatal(err)
		}
		stable, err := admin.ListCommittedOffsets(w.t.Context(), names...)
		if err != nil {
			w.t.Fatal(err)
		}
		open := false
		high.Each(func(h kadm.ListedOffset) { open = open || stable[h.Topic][h.Partition].Offset < h.Offset })
		return !open
	})
}

func (w *world) await(what string, is func() bool) {
	w.t.Helper()
	for begun := time.Now(); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > awaitMax {
			w.t.Fatalf("waited %v in vain until %s", awaitMax, what)
		}
	}
}

// tailedLine is a line of Tail as a consumer reads it.
type tailedLine struct {
	Topic     string         `json:"topic"`
	Partition int32          `json:"partition"`
	Offset    int64          `json:"offset"`
	At        *string        `json:"at"`
	Key       *string        `json:"key"`
	Reason    string         `json:"reason"`
	Value     map[string]any `json:"value"`
	Bytes     []byte         `json:"bytes"`
}

// run is a certifier that runs until stop is called, which gives its error.
func (w *world) run(o RunOptions) (stop func() error) {
	w.t.Helper()
	return w.start(RunCertifier, o)
}

// runTimer is a timer that runs in the same way.
func (w *world) runTimer(o RunOptions) (stop func() error) {
	w.t.Helper()
	return w.start(RunTimer, o)
}

func (w *world) start(run func(context.Context, RunOptions) error, o RunOptions) (stop func() error) {
	w.t.Helper()
	o = w.options(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(awaitMax):
			return fmt.Errorf("it did not end within %v", awaitMax)
		}
	})
	w.t.Cleanup(func() { stop() })
	return stop
}

// timerMember is a timer that can be asked whether it is ready.
func (w *world) timerMember(o RunOptions) (m *member, stop func() error) {
	w.t.Helper()
	m, err := newTimer(w.t.Context(), w.options(o).withDefaults(TimerGroup))
	if err != nil {
		w.t.Fatal(err)
	}
	return m, w.start(func(ctx context.Context, _ RunOptions) error { return m.work(ctx) }, o)
}

// options are those of a process in this world.
func (w *world) options(o RunOptions) RunOptions {
	w.t.Helper()
	o.Brokers, o.Prefix, o.Logger = w.brokers, w.prefix, slog.New(slog.DiscardHandler)
	if o.State == "" {
		o.State = w.t.TempDir()
	}
	return o
}
