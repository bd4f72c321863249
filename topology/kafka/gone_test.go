package kafka

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// losses are what may be gone, how it goes, and what is said of it.
var losses = map[string]struct {
	lose func(w *world) error
	says string
}{
	"the group": {func(w *world) error {
		_, err := w.admin.DeleteGroup(context.Background(), w.prefix+"group")
		return err
	}, "the group has no committed offset there, but its table is not empty"},
	"an input's beginning": {func(w *world) error {
		w.some(300, 400)
		deleted, err := w.admin.DeleteRecords(context.Background(), w.all("one", -1))
		return errors.Join(err, deleted.Error())
	}, "lies before the log's start"},
	"an input": {func(w *world) error { return w.recreate("two", "delete") }, // and its offsets with it
		"the group has no committed offset there, but its table is not empty"},
	"an input's end": {func(w *world) error {
		committed, err := w.admin.CommitOffsets(context.Background(), w.prefix+"group", w.all("two", 1_000_000))
		return errors.Join(err, committed.Error())
	}, "the topic was truncated or made anew"},
	"the changelog": {func(w *world) error { return w.recreate("group-table", "compact") },
		"the topic was truncated or made anew"},
	"the changelog's beginning, and the disk": {func(w *world) error {
		w.tables.lose()
		_, err := w.admin.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: kadm.StringPtr("compact,delete")}}, w.prefix+"group-table")
		if err != nil {
			return err
		}
		w.await("the beginning is deleted", func() bool { // a broker hears of the new policy after it has confirmed it
			deleted, err := w.admin.DeleteRecords(context.Background(), w.all("group-table", -1))
			return err == nil && deleted.Error() == nil
		})
		return nil
	}, "rows were deleted that the table does not hold"},
}

// all is the same offset in every partition of a topic.
func (w *world) all(topic string, offset int64) kadm.Offsets {
	at := kadm.Offsets{}
	for p := range int32(partitions) {
		at.AddOffset(w.prefix+topic, p, offset, -1)
	}
	return at
}

// Where the broker no longer has what the group or the table goes on from, Run
// says so and ends. It changes nothing and begins nothing anew.
func TestWhatIsGoneIsSaid(t *testing.T) {
	for name, c := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.some(0, 300)
			m := w.member(w.config("a"))
			w.awaitCaughtUp()
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			if err := c.lose(w); err != nil {
				t.Fatal(err)
			}
			before, out := w.positions(), w.lines("out")
			rows := w.tables.rows()
			m = w.member(w.config("a"))
			err := m.wait()
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("it ended with %v, want %q", err, c.says)
			}
			if after := w.positions(); !maps.Equal(before, after) {
				t.Errorf("the positions were %v and are %v", before, after)
			}
			if !maps.Equal(rows, w.tables.rows()) {
				t.Error("the rows have changed")
			}
			w.same(w.lines("out"), out)
		})
	}
}

// recreate deletes a topic and makes it anew, empty.
func (w *world) recreate(topic, policy string) error {
	background := context.Background()
	if _, err := w.admin.DeleteTopics(background, w.prefix+topic); err != nil {
		return err
	}
	var err error
	w.await("the topic is made anew", func() bool { // a broker deletes it after it has confirmed that
		var made kadm.CreateTopicResponse
		made, err = w.admin.CreateTopic(background, partitions, 1, map[string]*string{"cleanup.policy": &policy}, w.prefix+topic)
		return err == nil || !errors.Is(made.Err, kerr.TopicAlreadyExists)
	})
	w.await("the new topic is there, and the old one's offsets are not", func() bool {
		ends, err := w.admin.ListEndOffsets(background, w.prefix+topic)
		gone := err == nil && ends.Error() == nil
		ends.Each(func(end kadm.ListedOffset) { gone = gone && end.Offset == 0 })
		for at := range w.positions() {
			gone = gone && at.topic != w.prefix+topic
		}
		return gone
	})
	return err
}

type place struct {
	topic     string
	partition int32
}

// positions are the group's committed offsets.
func (w *world) positions() map[place]int64 {
	w.t.Helper()
	offsets, err := w.admin.FetchOffsets(context.Background(), w.prefix+"group")
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		w.t.Fatal(err)
	}
	at := map[place]int64{}
	offsets.Each(func(o kadm.OffsetResponse) { at[place{o.Topic, o.Partition}] = o.At })
	return at
}

// An offset out of range ends Run at work too: the client was told never to go
// on elsewhere.
func TestOffsetOutOfRangeAtWork(t *testing.T) {
	err := fetchError(kgo.FetchTopicPartition{Topic: "one", FetchPartition: kgo.FetchPartition{Partition: 3, Err: kerr.OffsetOutOfRange}})
	if !errors.As(err, new(fatal)) || !strings.Contains(err.Error(), "one, partition 3") || !strings.Contains(err.Error(), "deleted before they were processed") {
		t.Fatalf("got %v", err)
	}
}

// Every partition of every input is committed with the first transaction, or
// when it is quiet: so an offset that is missing later was lost.
func TestEmptyPartitionsAreCommitted(t *testing.T) {
	for name, records := range map[string]int{"with the first transaction": 1, "when it is quiet": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.some(0, records)
			c := w.config("a")
			if records > 0 {
				c.Limits.Idle = time.Hour
			}
			w.start(c)
			w.await("all positions are committed", func() bool { return len(w.positions()) == 2*partitions })
		})
	}
}
