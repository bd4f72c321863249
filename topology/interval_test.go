package topology

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// With an interval the certifier decides what it decides without, and no two
// commits are closer to one another. The time that counts is that of the
// requests, which the embedded broker tells.
func TestCommitInterval(t *testing.T) {
	const interval, parts = 150 * time.Millisecond, 6
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	w := newWorldOn(t, cluster.ListenAddrs())
	w.createTopics()
	var mu sync.Mutex
	var ended []time.Time
	cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		ended = append(ended, time.Now())
		return nil, nil, false
	})
	file := "testdata/examples/awkward/1.facts.ndjson"
	text, c := readFile(t, file), exampleCatalogue(t, file)
	lines, read := strings.SplitAfter(text, "\n"), 0
	m := NewMetrics(CertifierGroup)
	stop := w.run(RunOptions{Catalogue: c, Metrics: m, CommitInterval: interval})
	for i := range parts {
		part := strings.Join(lines[i*len(lines)/parts:(i+1)*len(lines)/parts], "")
		if err := w.produce(part); err != nil {
			t.Fatal(err)
		}
		read += recordsOf(t, part)
		w.awaitRead(m, read)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	compareSets(t, w.written(certifierOutputs), decided(t, c, text, certifierOutputs))
	mu.Lock()
	defer mu.Unlock()
	if len(ended) < parts/2 {
		t.Fatalf("%d commits say nothing of an interval", len(ended))
	}
	for i := range ended[1:] {
		if apart := ended[i+1].Sub(ended[i]); apart < interval {
			t.Errorf("commit %d came %v after the one before it, and the interval is %v", i+1, apart, interval)
		}
	}
}

func TestCommitIntervalHasALimit(t *testing.T) {
	for _, interval := range []time.Duration{-1, CommitIntervalMax + 1} {
		err := RunCertifier(t.Context(), RunOptions{Brokers: []string{"localhost:1"}, State: t.TempDir(), CommitInterval: interval})
		if err == nil || !strings.Contains(err.Error(), "must be from 0 to 5s") {
			t.Errorf("with an interval of %v it ended with %v", interval, err)
		}
	}
}
