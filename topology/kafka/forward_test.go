package kafka

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A record that is forwarded with its headers keeps its key, value, headers and
// timestamp to the byte, absent ones and doubled names too, and also if it was
// handed over under another key. What the step adds stands behind them.
func TestForwardedRecordsAreExact(t *testing.T) {
	header := func(name string, value []byte) kgo.RecordHeader { return kgo.RecordHeader{Key: name, Value: value} }
	records := []*kgo.Record{
		{Key: nil, Value: []byte("no key")},
		{Key: []byte{}, Value: []byte("an empty key")},
		{Key: []byte("key"), Value: []byte("no headers")},
		{Key: []byte("key"), Value: nil},
		{Key: []byte("key"), Value: []byte{}},
		{Key: []byte{0xff, 0x00}, Value: []byte{0xfe}, Headers: []kgo.RecordHeader{header("null", nil), header("empty", []byte{}), header("", []byte("no name"))}},
		{Key: nil, Value: []byte("doubled"), Headers: []kgo.RecordHeader{header("b", []byte("1")), header("a", []byte("2")), header("b", []byte("3")), header("b", []byte("3"))}},
		{Key: []byte("key"), Value: []byte("again"), Headers: []kgo.RecordHeader{header("reason", []byte("an older one")), header("reason", []byte("bad"))}},
		{Key: []byte("key"), Value: []byte("forged"), Headers: []kgo.RecordHeader{header(headerOriginal, []byte{1, 1, 'x'}), header(headerPartition, []byte{0, 0, 0, 1})}},
	}
	for name, rekey := range map[string]func(string, int32) string{"under its key": nil, "under another key": func(string, int32) string { return "partition's" }} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for i, record := range records {
				record.Topic, record.Partition, record.Timestamp = w.prefix+"one", byKey, time.UnixMilli(int64(1_600_000_000_000+i))
			}
			w.put(records...)
			c := w.configOn(w.tables, "a", func(ctx goka.Context, value any) {
				if rekey != nil && ctx.Key() != "partition's" {
					t.Errorf("it was handed over under %q", ctx.Key())
				}
				ctx.Emit(goka.Stream(w.prefix+"out"), ctx.Key(), value, goka.WithCtxEmitHeaders(ctx.Headers().Merged(goka.Headers{"reason": []byte("bad"), "also": nil})))
			})
			c.Rekey = rekey
			w.start(c)
			w.awaitCaughtUp()
			got := w.read("out")
			slices.SortFunc(got, func(a, b *kgo.Record) int { return a.Timestamp.Compare(b.Timestamp) })
			if len(got) != len(records) {
				t.Fatalf("%d records came out of %d", len(got), len(records))
			}
			same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
			for i, want := range records {
				headers := append(slices.Clone(want.Headers), header("also", nil))
				if !slices.ContainsFunc(want.Headers, func(h kgo.RecordHeader) bool { return h.Key == "reason" && string(h.Value) == "bad" }) {
					headers = append(headers, header("reason", []byte("bad")))
				}
				r := got[i]
				if !same(r.Key, want.Key) || !same(r.Value, want.Value) || !r.Timestamp.Equal(want.Timestamp) ||
					!slices.EqualFunc(r.Headers, headers, func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && same(a.Value, b.Value) }) {
					t.Errorf("record %d: got key %q, value %q, headers %q at %v; want %q, %q, %q at %v", i, r.Key, r.Value, r.Headers, r.Timestamp, want.Key, want.Value, headers, want.Timestamp)
				}
			}
		})
	}
}
