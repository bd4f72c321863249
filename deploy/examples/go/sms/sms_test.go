package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/department/records"
)

// hours are quiet hours of Shanghai, and at is an instant there.
func hours(t *testing.T, text string) quietHours {
	t.Helper()
	q, err := parseQuietHours(text, "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func at(t *testing.T, clock string) time.Time {
	t.Helper()
	found, err := time.ParseInLocation("2006-01-02 15:04:05", "2026-11-25 "+clock, hours(t, "21:00-08:00").zone)
	if err != nil {
		t.Fatal(err)
	}
	return found.UTC() // whatever zone a host has
}

func TestQuietHoursGoOverMidnight(t *testing.T) {
	for _, c := range []struct{ quiet, clock, left string }{
		{"21:00-08:00", "20:59:59", "0s"},
		{"21:00-08:00", "21:00:00", "11h0m0s"},
		{"21:00-08:00", "23:59:59", "8h0m1s"},
		{"21:00-08:00", "00:00:00", "8h0m0s"},
		{"21:00-08:00", "03:00:00", "5h0m0s"},
		{"21:00-08:00", "07:59:59", "1s"},
		{"21:00-08:00", "08:00:00", "0s"},
		{"12:00-14:30", "11:59:59", "0s"},
		{"12:00-14:30", "12:00:00", "2h30m0s"},
		{"12:00-14:30", "14:30:00", "0s"},
		{"12:00-14:30", "00:00:00", "0s"},
		{"00:00-08:00", "23:59:59", "0s"},
		{"21:00-00:00", "22:00:00", "2h0m0s"},
		{"21:00-00:00", "00:00:00", "0s"},
	} {
		if got := hours(t, c.quiet).left(at(t, c.clock)).String(); got != c.left {
			t.Errorf("at %s the quiet hours %s last %s, not %s", c.clock, c.quiet, got, c.left)
		}
	}
	for _, wrong := range []string{"", "21:00", "21:00-21:00", "21-8", "21:00-24:00"} {
		if _, err := parseQuietHours(wrong, "Asia/Shanghai"); err == nil {
			t.Errorf("--quiet %q is accepted", wrong)
		}
	}
}

// TestPaceHasNoBurst: in no second more than the rate goes out, after a pause
// neither.
func TestPaceHasNoBurst(t *testing.T) {
	p, now := newPace(20), at(t, "12:00:00")
	var sent []time.Time
	for i := range 200 {
		if i == 70 {
			now = now.Add(time.Hour)
		}
		now = now.Add(p.next(now))
		sent = append(sent, now)
	}
	for i := range sent {
		within := 0
		for _, other := range sent[i:] {
			if other.Before(sent[i].Add(time.Second)) {
				within++
			}
		}
		if within > 20 {
			t.Fatalf("%d messages in the second after message %d", within, i)
		}
	}
	if took := sent[69].Sub(sent[0]); took != 69*time.Second/20 {
		t.Errorf("70 messages took %v", took)
	}
}

func id(n int) string { return fmt.Sprintf("%032x", n) }

func TestMemorySurvivesAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sent.ids")
	m, err := openMemoryOf(path, 3)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if err := m.add(id(n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.file.WriteString(id(2)[:20]); err != nil { // killed in the middle of a line
		t.Fatal(err)
	}
	for round := range 2 { // as killed, and as tidied
		if m, err = openMemoryOf(path, 3); err != nil {
			t.Fatal(err)
		}
		if !m.has(id(0)) || !m.has(id(1)) || m.has(id(2)) || m.has(id(2)[:20]) {
			t.Errorf("round %d: the memory holds %v", round, m.line)
		}
	}
	for n := 2; n < 5; n++ {
		if err := m.add(id(n)); err != nil {
			t.Fatal(err)
		}
	}
	if m, err = openMemoryOf(path, 3); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 3*(idBytes+1) || m.has(id(1)) || !m.has(id(2)) || !m.has(id(4)) {
		t.Errorf("of 5 with room for 3 it holds %v, in %d bytes, %v", m.line, info.Size(), err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("somebody's diary\n", 9)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openMemory(path); err == nil {
		t.Error("another program's file is taken for a memory")
	}
}

func TestGatewayKnowsItsKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.tsv")
	g, err := openFileGateway(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openFileGateway(path); err == nil {
		t.Error("two processes have the gateway at once")
	}
	for _, key := range []string{id(1), id(2), id(1)} {
		if err := g.send(key, "13800000000", "text"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.file.WriteString("2026-11-25T04:00:00.000Z\t" + id(3)); err != nil { // killed in the middle of a line
		t.Fatal(err)
	}
	if err := g.close(); err != nil {
		t.Fatal(err)
	}
	if g, err = openFileGateway(path); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{id(2), id(3)} {
		if err := g.send(key, "13800000000", "text"); err != nil {
			t.Fatal(err)
		}
	}
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(all), "\n")
	for n := 1; n <= 3 && len(lines) == 4; n++ {
		if _, after, _ := strings.Cut(lines[n-1], "\t"); after != id(n)+"\t13800000000\ttext\n" {
			t.Errorf("line %d is %q", n, lines[n-1])
		}
	}
	if len(lines) != 4 {
		t.Errorf("not three lines:\n%s", all)
	}
}

// told is a gateway that takes down what it is asked.
type told struct {
	lines []string
	fails error
}

func (g *told) send(key, phone, text string) error {
	if g.fails == nil {
		g.lines = append(g.lines, key+" "+phone+" "+text)
	}
	return g.fails
}

const reminderSchema = `{"type": "record", "name": "ExpiryReminder", "namespace": "vouch.v1", "fields": [
	{"name": "event_id", "type": "string"}, {"name": "phone", "type": ["null", "string"]},
	{"name": "benefits", "type": {"type": "array", "items": {"type": "record", "name": "DueBenefit", "fields": [
		{"name": "benefit", "type": "string"}, {"name": "due_on", "type": {"type": "int", "logicalType": "date"}}]}}}]}`

// newSender makes a sender whose clock stands at noon and moves when it sleeps.
func newSender(t *testing.T, g gateway, memoryFile string) (s *sender, clock *time.Time) {
	t.Helper()
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "reminder.avsc"), []byte(reminderSchema), 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := records.NewReader(directory, "")
	if err != nil {
		t.Fatal(err)
	}
	remembered, err := openMemory(memoryFile)
	if err != nil {
		t.Fatal(err)
	}
	noon := at(t, "12:00:00")
	clock = &noon
	return &sender{
		reader: reader, gateway: g, memory: remembered, quiet: hours(t, "21:00-08:00"), texts: texts["en"], pace: newPace(1),
		now: func() time.Time { return *clock }, sleep: func(_ context.Context, d time.Duration) { *clock = clock.Add(d) },
	}, clock
}

func reminderOf(t *testing.T, id string, phone any) []byte {
	t.Helper()
	value, err := avro.MustParse(reminderSchema).AppendSingleObject(nil, map[string]any{
		"event_id": id, "phone": phone, "benefits": []any{
			map[string]any{"benefit": "POOREC", "due_on": time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)},
			map[string]any{"benefit": "URRP", "due_on": time.Date(2023, 6, 30, 0, 0, 0, 0, time.UTC)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestEachEventIsSentOnce: whatever is read again, after a restart too; nobody
// without a phone; and what the gateway did not take is not remembered.
func TestEachEventIsSentOnce(t *testing.T) {
	g, file := &told{}, filepath.Join(t.TempDir(), "sent.ids")
	s, _ := newSender(t, g, file)
	take := func(n int, phone any, wanted error) {
		t.Helper()
		if err := s.take(t.Context(), reminder, reminderOf(t, id(n), phone)); !errors.Is(err, wanted) {
			t.Fatal(err)
		}
	}
	take(1, "13800000000", nil)
	take(1, "13800000000", nil)
	take(2, nil, nil)
	g.fails = errors.New("the gateway is away")
	take(3, "13800000000", g.fails)
	if want := (counts{sent: 1, sentBefore: 1, withoutPhone: 1}); s.counts != want {
		t.Errorf("counted %v, not %v", s.counts, want)
	}
	g.fails = nil
	s, _ = newSender(t, g, file)
	take(1, "13800000000", nil)
	take(3, "13800000000", nil)
	if want := (counts{sent: 1, sentBefore: 1}); s.counts != want {
		t.Errorf("after a restart counted %v, not %v", s.counts, want)
	}
	want := id(1) + " 13800000000 Your certification ends: POOREC 2024-02-29, URRP 2023-06-30. Please certify by phone or at a counter."
	if len(g.lines) != 2 || g.lines[0] != want || !strings.HasPrefix(g.lines[1], id(3)) {
		t.Errorf("the gateway was asked for %q", g.lines)
	}
	if err := s.take(t.Context(), reminder, reminderOf(t, "short", "13800000000")); err == nil || len(g.lines) != 2 {
		t.Error("an id that cannot be remembered is sent")
	}
}

// TestNightBeginsInTheMiddleOfATurn: the wait for the pace may end after nine.
func TestNightBeginsInTheMiddleOfATurn(t *testing.T) {
	g := &told{}
	s, clock := newSender(t, g, filepath.Join(t.TempDir(), "sent.ids"))
	*clock = at(t, "20:59:58").Add(500 * time.Millisecond)
	var night error
	for n := 1; n <= 4 && night == nil; n++ {
		night = s.take(t.Context(), reminder, reminderOf(t, id(n), "13800000000"))
	}
	if !errors.Is(night, errNight) || len(g.lines) != 2 || s.memory.has(id(3)) {
		t.Errorf("%v after %q", night, g.lines)
	}
}

// log is a consumer of one partition.
type log struct {
	records   []*kgo.Record
	next      int
	committed int64
}

func (l *log) PollRecords(_ context.Context, most int) kgo.Fetches {
	polled := l.records[l.next:min(len(l.records), l.next+most)]
	l.next += len(polled)
	return kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: "vouch." + reminder, Partitions: []kgo.FetchPartition{{Records: polled}}}}}}
}

func (l *log) CommitRecords(_ context.Context, records ...*kgo.Record) error {
	l.committed = records[len(records)-1].Offset + 1
	return nil
}

func (l *log) AllowRebalance() {}

// TestWhatIsCommittedWasSent: neither more, when the night begins in the middle
// of a turn, nor less; and after that there is no turn that would commit behind
// what was not sent.
func TestWhatIsCommittedWasSent(t *testing.T) {
	g, l := &told{}, &log{}
	for n := range 10 {
		l.records = append(l.records, &kgo.Record{Topic: "vouch." + reminder, Offset: int64(n), Value: reminderOf(t, id(n), "13800000000")})
	}
	s, clock := newSender(t, g, filepath.Join(t.TempDir(), "sent.ids"))
	*clock = at(t, "20:59:54").Add(500 * time.Millisecond)
	o := options{prefix: "vouch.", rate: 4}
	for turn, wanted := range []struct {
		more      bool
		committed int64
	}{{true, 4}, {false, 6}} {
		more, err := o.turn(t.Context(), l, s)
		if err != nil || more != wanted.more || l.committed != wanted.committed || len(g.lines) != int(wanted.committed) {
			t.Errorf("turn %d: %d sent, %d committed, more is %v, %v", turn, len(g.lines), l.committed, more, err)
		}
	}
	l.next = 6 // as after a failure, in the morning
	*clock, g.fails = at(t, "09:00:00").Add(24*time.Hour), errors.New("the gateway is away")
	if _, err := o.turn(t.Context(), l, s); !errors.Is(err, g.fails) || l.committed != 6 {
		t.Errorf("without a gateway %d are committed, %v", l.committed, err)
	}
}

// TestEveryTopicHasItsText: in each language, with the date that the topic means.
func TestEveryTopicHasItsText(t *testing.T) {
	e := event{Benefits: []benefit{{Benefit: "URRP", ValidUntil: time.Date(2024, 6, 30, 0, 0, 0, 0, time.UTC)}}}
	due := event{Benefits: []benefit{{Benefit: "URRP", DueOn: time.Date(2024, 6, 30, 0, 0, 0, 0, time.UTC)}}}
	for language, by := range texts {
		for topic, e := range map[string]event{completed: e, revoked: due, reminder: due} {
			if text := e.text(topic, by); !strings.Contains(text, "URRP 2024-06-30") || strings.Contains(text, "%") {
				t.Errorf("%s, %s: %q", language, topic, text)
			}
		}
	}
}

func TestMistakesOfTheCommandLine(t *testing.T) {
	if _, err := parse([]string{"--brokers", "b:9092"}); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{"--rate=0", "--rate=10001", "--language=fr", "--quiet=9-5", "--zone=Asia/Bozhou", "--brokers="} {
		if _, err := parse([]string{"--brokers", "b:9092", wrong}); err == nil {
			t.Errorf("%s is accepted", wrong)
		}
	}
}
