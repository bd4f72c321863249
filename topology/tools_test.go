package topology

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/facts"
)

func TestTopicsAreCreatedOnce(t *testing.T) {
	w := newWorld(t)
	created, replicas, err := CreateTopics(t.Context(), w.client, w.prefix, partitionsOfTests, 0)
	if err != nil || len(created) != len(topicSpecs()) || replicas < 1 {
		t.Fatalf("created %v, %d replicas: %v", created, replicas, err)
	}
	again, _, err := CreateTopics(t.Context(), w.client, w.prefix, partitionsOfTests+1, 0)
	if err != nil || len(again) > 0 {
		t.Errorf("the second time it created %v: %v", again, err)
	}
	if err := CheckTopics(t.Context(), w.client, w.prefix); err != nil {
		t.Errorf("what was created is not as it must be: %v", err)
	}
}

// Every setting that would lose data or order is named, each by itself.
func TestTopicsCheckNamesEachMistake(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	admin := kadm.NewClient(w.client)
	for _, wrong := range []struct{ topic, setting, value, says string }{
		{Evidence, "cleanup.policy", "compact", "has cleanup.policy=compact, must be delete"},
		{Standing, "cleanup.policy", "delete", "has cleanup.policy=delete, must be compact"},
		{Roster, "message.timestamp.type", "LogAppendTime", "has message.timestamp.type=LogAppendTime, must be CreateTime"},
		{Schedule, "retention.ms", "1000", "has retention.ms=1000, must be -1"},
		{Payee, "retention.bytes", "1000", "has retention.bytes=1000, must be -1"},
		{Clock, "message.timestamp.after.max.ms", "9000000", "has message.timestamp.after.max.ms=9000000, must be 300000"},
		{Quarantine, "max.message.bytes", "1000000", "has max.message.bytes=1000000, must be at least"},
		{CertifierTable, "unclean.leader.election.enable", "true", "has unclean.leader.election.enable=true, must be false"},
	} {
		alter := func(op kadm.IncrementalOp) {
			answers, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: op, Name: wrong.setting, Value: &wrong.value}}, w.prefix+wrong.topic)
			if err == nil {
				err = answers[0].Err
			}
			if err != nil {
				t.Fatalf("%s: %v", wrong.setting, err)
			}
		}
		settings, err := admin.DescribeTopicConfigs(t.Context(), w.prefix+wrong.topic)
		if err != nil {
			t.Fatal(err)
		}
		before := settingsOf(settings, w.prefix+wrong.topic)[wrong.setting]
		alter(kadm.SetConfig)
		w.await("the setting has changed", func() bool { return CheckTopics(t.Context(), w.client, w.prefix) != nil })
		err = CheckTopics(t.Context(), w.client, w.prefix)
		if text := fmt.Sprint(err); !strings.Contains(text, "topic "+w.prefix+wrong.topic+" "+wrong.says) || strings.Contains(text, "\n") || !strings.Contains(text, "kafka-configs --alter") {
			t.Errorf("%s of %s: it says %v", wrong.setting, wrong.topic, err)
		}
		wrong.value = before
		alter(kadm.SetConfig)
		w.await("the setting is as before", func() bool { return CheckTopics(t.Context(), w.client, w.prefix) == nil })
	}
}

// A replicated topic that one broker alone acknowledges is refused. (One broker
// has no replicated topics, so that the sentence is tested on what it would tell.)
func TestReplicatedTopicsNeedTwoInSync(t *testing.T) {
	topic := kadm.TopicDetail{Partitions: kadm.PartitionDetails{0: {Replicas: []int32{1, 2, 3}}}}
	mistakes := checkReplicas("vouch.evidence", topic, map[string]string{"min.insync.replicas": "1"})
	if len(mistakes) != 1 || !strings.Contains(mistakes[0].Error(), "topic vouch.evidence has 3 replicas and min.insync.replicas=1, must be at least 2") {
		t.Errorf("it says %v", mistakes)
	}
	if mistakes := checkReplicas("vouch.evidence", topic, map[string]string{"min.insync.replicas": "2"}); len(mistakes) > 0 {
		t.Errorf("it says %v", mistakes)
	}
}

const twoFacts = `{"topic":"roster","at":"2023-06-01T01:02:03.000Z","value":{"entry_id":"r1","citizen_id":"c1","benefit":"URRP","recorded_at":"2023-06-01T01:02:03.000Z","effective_on":"2019-04-20","region":"341602"}}
{"topic":"evidence","at":"2023-06-01T02:02:03.456Z","key":null,"value":{"evidence_id":"公","citizen_id":"c1","kind":"K","source":"S","op":"RETRACT","occurred_at":"2023-05-01T00:00:00.000Z","recorded_at":"2023-05-01T00:00:00.000Z","attributes":{"a":"<b>"}}}
`

// What is produced is what is there, in both wire formats.
func TestProduceAndTail(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	registry, err := avro.NewRegistry(fake.URL())
	if err != nil {
		t.Fatal(err)
	}
	for name, codec := range map[string]*avro.Codec{"single": avro.New(nil), "confluent": avro.New(registry)} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.codec = codec
			w.createTopics()
			if name == "confluent" {
				for _, topic := range RegisteredTopics() {
					if _, err := Register(t.Context(), registry, w.prefix, topic); err != nil {
						t.Fatal(err)
					}
				}
			}
			undecodable := `{"topic":"payout","at":"2023-06-01T03:02:03.000Z","key":"c2","value":{"payout_id":7}}` + "\n"
			null := `{"topic":"payout","at":"2023-06-01T03:02:04.000Z","key":"c3","value":null}` + "\n"
			tick := `{"topic":"clock","at":"2023-06-02T00:00:00.000Z","value":{"at":"2023-06-02T00:00:00.000Z"}}` + "\n"
			text := twoFacts + undecodable + null + tick
			if err := w.produce(text); err != nil {
				t.Fatal(err)
			}
			roundTrip(t, w, text)
		})
	}
}

func roundTrip(t *testing.T, w *world, text string) {
	t.Helper()
	reader := facts.NewReader(strings.NewReader(text))
	got := map[string][]tailedLine{}
	for _, line := range w.tail(Inputs...) {
		got[line.Topic] = append(got[line.Topic], line)
	}
	slices.SortFunc(got[Payout], func(a, b tailedLine) int { return strings.Compare(*a.Key, *b.Key) })
	for range strings.Count(text, "\n") {
		fact, err := reader.Read()
		if err != nil {
			t.Fatal(err)
		}
		copies := 1
		if fact.Topic == Clock {
			copies = partitionsOfTests
		}
		for copy := range copies {
			if len(got[fact.Topic]) == 0 {
				t.Fatalf("line %d is not there", fact.Number)
			}
			line := got[fact.Topic][0]
			got[fact.Topic] = got[fact.Topic][1:]
			if at := fact.At.String(); line.At == nil || *line.At != at {
				t.Errorf("line %d is there at %v, want %s", fact.Number, line.At, at)
			}
			key, keyed := fact.RecordKey()
			if fact.Topic == Clock {
				key, keyed = TickKeys(partitionsOfTests)[line.Partition], true
			}
			if keyed != (line.Key != nil) || keyed && *line.Key != key {
				t.Errorf("line %d, copy %d, has the key %v, want %q", fact.Number, copy, line.Key, key)
			}
			checkValue(t, fact, line)
		}
	}
}

func checkValue(t *testing.T, fact facts.Line, line tailedLine) {
	t.Helper()
	record, err := DecodeFact(fact)
	if fact.Value == nil || err != nil {
		if line.Value != nil || string(line.Bytes) != string(fact.Value) {
			t.Errorf("line %d is there as %v and %q, want its bytes", fact.Number, line.Value, line.Bytes)
		}
		return
	}
	want, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	var whole map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(want)))
	decoder.UseNumber()
	if err := decoder.Decode(&whole); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(line.Value, whole) {
		t.Errorf("line %d is there as\n%v\nwant\n%v", fact.Number, line.Value, whole)
	}
}

func TestProduceNamesLineAndLimit(t *testing.T) {
	w := newWorld(t)
	if err := w.produce(twoFacts); err == nil || !strings.Contains(err.Error(), "topic "+w.prefix+Roster+" is missing") {
		t.Errorf("without topics it says %v", err)
	}
	w.createTopics()
	huge := strings.Replace(twoFacts, "<b>", strings.Repeat("x", 10<<20), 1)
	if err := w.produce(huge); err == nil || !strings.Contains(err.Error(), "line 2: its record would have 10486") || !strings.Contains(err.Error(), fmt.Sprint("more than the ", valueBytesMax)) {
		t.Errorf("it says %v", err)
	}
	if err := w.produce(twoFacts + "{}"); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("it says %v", err)
	}
}

// transaction writes one record to a partition in a transaction, which ends by
// commit, by abort, or not at all.
func (w *world) transaction(topic string, partition int32, value string) (end func(kgo.TransactionEndTry)) {
	w.t.Helper()
	client, err := w.connect(kgo.TransactionalID(w.prefix+value), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	if err := client.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	if err := client.ProduceSync(w.t.Context(), &kgo.Record{Topic: w.prefix + topic, Partition: partition, Value: []byte(value)}).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	return func(commit kgo.TransactionEndTry) {
		if err := client.EndTransaction(context.Background(), commit); err != nil {
			w.t.Errorf("end the transaction: %v", err)
		}
	}
}

// Whatever stands last before an end, it is found: markers, aborted records
// behind which a transaction is open still, partitions that hold nothing.
func TestTailFindsItsEnd(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	w.transaction(Alert, 0, "one")(kgo.TryCommit)
	w.transaction(Alert, 1, "two")(kgo.TryAbort)
	aborted := w.transaction(Alert, 2, "three")
	open := w.transaction(Alert, 2, "four")
	aborted(kgo.TryAbort) // its marker lies behind the first record of one that is open
	defer open(kgo.TryAbort)
	committed := w.transaction(Alert, 3, "five")
	later := w.transaction(Alert, 3, "six")
	committed(kgo.TryCommit)
	defer later(kgo.TryAbort)
	admin := kadm.NewClient(w.client)
	w.await("the markers are written", func() bool {
		stable, err := admin.ListCommittedOffsets(t.Context(), w.prefix+Alert)
		if err != nil {
			t.Fatal(err)
		}
		ends := stable[w.prefix+Alert]
		return ends[0].Offset == 2 && ends[1].Offset == 2 && ends[2].Offset == 1 && ends[3].Offset == 1
	})
	var text strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := Tail(ctx, w.connect, w.codec, TailOptions{Prefix: w.prefix, Topics: []string{Alert}, UntilEnd: true}, &text); err != nil {
		t.Fatalf("it did not end: %v", err)
	}
	var values []string
	for decoder := json.NewDecoder(strings.NewReader(text.String())); decoder.More(); {
		var line tailedLine
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		values = append(values, string(line.Bytes))
	}
	slices.Sort(values)
	if !slices.Equal(values, []string{"five", "one"}) {
		t.Errorf("it read %v", values)
	}
}

func TestTailOfWhatIsNotThere(t *testing.T) {
	w := newWorld(t)
	err := Tail(t.Context(), w.connect, w.codec, TailOptions{Prefix: w.prefix, Topics: []string{"nothing"}, UntilEnd: true}, new(strings.Builder))
	if err == nil || !strings.Contains(err.Error(), "topic "+w.prefix+"nothing is missing") {
		t.Errorf("it says %v", err)
	}
}

// From the end it shows what comes, as it comes, and nothing before.
func TestTailFromTheEnd(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	if err := w.produce(twoFacts); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, ended := make(chan string, 100), make(chan error, 1)
	go func() {
		ended <- Tail(ctx, w.connect, w.codec, TailOptions{Prefix: w.prefix, Topics: []string{Roster}, FromEnd: true}, writes(func(b []byte) { lines <- string(b) }))
	}()
	var seen string
	w.await("a new record is shown", func() bool {
		if err := w.produce(strings.ReplaceAll(twoFacts, "r1", "r2")); err != nil {
			t.Fatal(err)
		}
		select {
		case seen = <-lines:
			return true
		case <-time.After(50 * time.Millisecond):
			return false
		}
	})
	if !strings.Contains(seen, `"r2"`) || strings.Contains(seen, `"r1"`) {
		t.Errorf("it shows %s", seen)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

type writes func([]byte)

// Write passes on what is written.
func (w writes) Write(b []byte) (int, error) { w(b); return len(b), nil }

// murmur2 as Kafka's clients have it, written a second time from its definition.
func murmur2(data []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	for i := len(data) - 1; i >= 0; i-- {
		h ^= uint32(data[i]) << (8 * i)
	}
	if len(data) > 0 {
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

// The key of a partition's ticks is the smallest number that any client's
// default partitioner puts there.
func TestTickKeys(t *testing.T) {
	for _, partitions := range []int{1, 4, 12, 100} {
		want := make([]string, partitions)
		for n, missing := 0, partitions; missing > 0; n++ {
			key := strconv.Itoa(n)
			if p := int(murmur2([]byte(key))&0x7fffffff) % partitions; want[p] == "" {
				want[p] = key
				missing--
			}
		}
		if got := TickKeys(partitions); !slices.Equal(got, want) {
			t.Errorf("of %d partitions they are %v, want %v", partitions, got, want)
		}
	}
}

// The clock writes the same tick on every partition, a multiple of its interval.
func TestClock(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	encoders, err := NewClockEncoders(t.Context(), w.codec, w.prefix)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	if err := RunClock(ctx, w.client, w.prefix, encoders, time.Second, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	ticks := map[string]int{}
	for _, line := range w.tail(Clock) {
		at, err := time.Parse(time.RFC3339, line.Value["at"].(string))
		if err != nil || at.Nanosecond() != 0 || *line.At != line.Value["at"] || *line.Key != TickKeys(partitionsOfTests)[line.Partition] {
			t.Errorf("a tick is %v at %v under %v: %v", line.Value, *line.At, *line.Key, err)
		}
		ticks[line.Value["at"].(string)]++
	}
	if len(ticks) < 2 {
		t.Errorf("in 2.5 s it ticked %d times", len(ticks))
	}
	for at, n := range ticks {
		if n != partitionsOfTests {
			t.Errorf("the tick of %s is on %d partitions", at, n)
		}
	}
	if status := w.status(); time.Since(status.LastTick) > time.Minute {
		t.Errorf("the status says the last tick was %v", status.LastTick)
	}
}

func (w *world) status() Status {
	w.t.Helper()
	status, err := ReadStatus(w.t.Context(), w.client, w.prefix)
	if err != nil || len(status.Groups) != 2 {
		w.t.Fatalf("%+v: %v", status, err)
	}
	return status
}

// group is the status of one group.
func (w *world) group(name string) GroupStatus {
	w.t.Helper()
	for _, group := range w.status().Groups {
		if group.Name == w.prefix+name {
			return group
		}
	}
	w.t.Fatalf("there is no group %s", name)
	return GroupStatus{}
}

func TestStatus(t *testing.T) {
	w := newWorld(t)
	if _, err := ReadStatus(t.Context(), w.client, w.prefix); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("without topics it says %v", err)
	}
	w.createTopics()
	if s := w.group(CertifierGroup); !s.CaughtUp() || s.Members != 0 || !s.Applied.IsZero() {
		t.Errorf("of nothing it says %+v", s)
	}
	if s := w.status(); !s.LastTick.IsZero() || !s.StandingUntil.IsZero() {
		t.Errorf("of nothing it says %+v", s)
	}
	text := readFile(t, "testdata/examples/stories/1-silent.facts.ndjson")
	if err := w.produce(text); err != nil {
		t.Fatal(err)
	}
	lag := int64(0)
	for _, topic := range w.group(CertifierGroup).Topics {
		lag += topic.Lag
	}
	if records := recordsOf(t, text); int(lag) != records || w.group(CertifierGroup).CaughtUp() {
		t.Errorf("of %d records it says %+v", records, w.group(CertifierGroup))
	}
	stop := w.run(RunOptions{Catalogue: exampleCatalogue(t, "testdata/examples/stories/1-silent.facts.ndjson")})
	w.await("it has caught up", func() bool {
		s := w.group(CertifierGroup)
		return s.CaughtUp() && s.Members == 1 && s.State == "Stable"
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := w.group(CertifierGroup); s.Members != 0 || !s.CaughtUp() || !s.Applied.Equal(w.status().LastTick) {
		t.Errorf("after its end it says %+v", s)
	}
	if s := w.status(); s.Groups[1].CaughtUp() || !s.StandingUntil.IsZero() {
		t.Errorf("of the timer, which has not run, it says %+v", s)
	}
}

// A schema that could not read what stands in a topic is not registered, even
// where the registry would take it.
func TestRegisterRefusesWhatCannotRead(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	fake.SeedSchema("x.clock-value", 1, 1, sr.Schema{Schema: `{"type":"record","name":"ClockTick","namespace":"vouch.v1","fields":[{"name":"at","type":"string"}]}`})
	registry, err := avro.NewRegistry(fake.URL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Register(t.Context(), registry, "x.", RegisteredTopic{Clock, "ClockTick"}); err == nil || !strings.Contains(err.Error(), "cannot read what version 1 before it wrote") {
		t.Errorf("it says %v", err)
	}
	if _, err := Register(t.Context(), registry, "x.", RegisteredTopic{Alert, "Alert"}); err != nil {
		t.Error(err)
	}
}
