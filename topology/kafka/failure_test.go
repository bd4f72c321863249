package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A step that fails ends Run with the place of the record and the reason, of
// bounded length and without its key. Nothing of its transaction is seen, and
// the next start goes on with the same record.
func TestFailedStepEndsRun(t *testing.T) {
	for name, fail := range map[string]func(ctx goka.Context){
		"error": func(ctx goka.Context) { ctx.Fail(fmt.Errorf("the record of %s cannot be", ctx.Key())) },
		"panic": func(ctx goka.Context) { panic("the record of " + ctx.Key() + " cannot be") },
		"long":  func(ctx goka.Context) { panic("the record of cannot be" + strings.Repeat("x", 1<<20)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			values := w.some(0, 200)
			var ill atomic.Bool
			step := func(ctx goka.Context, value any) {
				w.count(ctx, value)
				if ill.Load() && string(value.([]byte)) == "250" {
					fail(ctx)
				}
			}
			m := w.member(w.configOn(w.tables, "a", step))
			w.awaitCaughtUp()
			out, rows := w.lines("out"), w.tables.rows()
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			ill.Store(true)
			add(values, w.some(200, 300)) // key28 is that of 250
			m = w.member(w.configOn(w.tables, "a", step))
			err := m.wait()
			if err == nil || !strings.Contains(err.Error(), "cannot be") || !strings.Contains(err.Error(), w.prefix+"one, offset ") {
				t.Fatalf("Run returned %v", err)
			}
			if text := err.Error(); strings.Contains(text, "key28") || len(text) > errorTextMax+1000 {
				t.Fatalf("the text has %d bytes: %.5000s", len(text), text)
			}
			w.same(w.lines("out"), out)
			if now := w.tables.rows(); fmt.Sprint(now) != fmt.Sprint(rows) {
				t.Fatalf("the rows have changed: %v", now)
			}
			ill.Store(false)
			w.start(w.configOn(w.tables, "a", step))
			w.awaitCaughtUp()
			w.same(w.lines("out"), counted(values))
		})
	}
}

// What cannot be opened, built or closed ends Run too.
func TestFailedSeamEndsRun(t *testing.T) {
	broken := errors.New("broken")
	for name, breaks := range map[string]func(c *Config){
		"Open": func(c *Config) { c.Open = func(int32) (Table, error) { return nil, broken } },
		"Processor": func(c *Config) {
			c.Processor = func(int32, []goka.ProcessorOption) (*goka.Processor, error) { return nil, broken }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.config("a")
			breaks(&c)
			if err := w.member(c).wait(); !errors.Is(err, broken) {
				t.Fatalf("Run returned %v", err)
			}
			for p, open := range w.tables.opened {
				if open {
					t.Errorf("the table of partition %d is left open", p)
				}
			}
		})
	}
}

// A transaction of which a record was not written is not committed, although
// the client would do it.
func TestUnwrittenRecordForbidsCommit(t *testing.T) {
	w := newWorld(t)
	c, err := w.config("a").withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	g := newGeneration(&c)
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	if err := g.connect(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer g.client.Close()
	g.produced.Store(1)
	g.acknowledged(&kgo.Record{Topic: "out"}, kerr.NotEnoughReplicas)
	if err := g.commit(nil, new(Transaction)); !errors.Is(err, kerr.NotEnoughReplicas) || g.committed > 0 {
		t.Fatalf("commit returned %v", err)
	}
}

// A record that the broker will never take ends Run, and says to which topic it
// should have gone.
func TestRefusedRecordEndsRun(t *testing.T) {
	w := newWorld(t)
	if _, err := w.admin.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr("1000")}}, w.prefix+"out"); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	w.await("the broker knows the limit that it has confirmed", func() bool {
		refusal := w.client.ProduceSync(context.Background(), w.record("out", "k", string(noise), 0)).FirstErr()
		return errors.Is(refusal, kerr.MessageTooLarge)
	})
	w.some(0, 1)
	err := w.member(w.configOn(w.tables, "a", func(ctx goka.Context, value any) {
		ctx.Emit(goka.Stream(w.prefix+"out"), ctx.Key(), noise)
	})).wait()
	if !errors.Is(err, kerr.MessageTooLarge) || !strings.Contains(err.Error(), w.prefix+"out") {
		t.Fatalf("Run returned %v", err)
	}
	if at := w.positions(); slices.ContainsFunc(slices.Collect(maps.Values(at)), func(offset int64) bool { return offset > 0 }) {
		t.Fatalf("positions were committed: %v", at)
	}
}

// A configuration that cannot work is refused with every complaint at once.
func TestConfigurationIsChecked(t *testing.T) {
	_, err := Config{Limits: Limits{SessionTimeout: sessionTimeoutMin - 1, Idle: -1}, Inputs: []string{"a", "a"}}.withDefaults()
	for _, complaint := range []string{"Brokers is empty", "Group is empty", "TableTopic is empty", "must be set", "input a is named twice", "brokers refuse less than 6s", "a limit is negative"} {
		if err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("no complaint that %s: %v", complaint, err)
		}
	}
}
