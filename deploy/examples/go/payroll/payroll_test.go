package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/department/records"
)

func day(text string) time.Time {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return at
}

func TestThePayDayBeginsWhereItIsPaid(t *testing.T) {
	o, err := parse([]string{"--brokers", "b:9092", "--pay-day", "2023-07-15"})
	if err != nil {
		t.Fatal(err)
	}
	if got := o.start.UTC().Format(time.RFC3339); got != "2023-07-14T16:00:00Z" {
		t.Errorf("15 July begins in Shanghai at %s", got)
	}
	for _, wrong := range [][]string{
		{"--brokers", "b:9092"}, {"--pay-day", "2023-07-15"},
		{"--brokers", "b:9092", "--pay-day", "15 July"}, {"--brokers", "b:9092", "--pay-day", "2023-07-15", "--zone", "Asia/Bozhou"},
	} {
		if _, err := parse(wrong); err == nil {
			t.Errorf("%v is accepted", wrong)
		}
	}
}

// TestPayWaits: as long as the status names no instant, an earlier one, nothing
// that can be understood, or fails, nothing is paid.
func TestPayWaits(t *testing.T) {
	answers := []string{
		"fails",
		"GROUP  STATE\nvouch.certifier  Stable\n",
		"standing is complete up to no time yet\n",
		"GROUP  STATE\n\nstanding is complete up to 2023-07-14T15:59:59.999Z\n",
		"standing is complete up to soon\n",
		"standing is complete up to 2023-07-14T16:00:00.000Z\n",
		"asked too often",
	}
	asked := 0
	status := func(context.Context) (string, error) {
		asked++
		if answers[asked-1] == "fails" {
			return "", errors.New("the brokers are away")
		}
		return answers[asked-1], nil
	}
	if err := await(t.Context(), time.UnixMilli(1689350400000), status, time.Microsecond); err != nil {
		t.Fatal(err)
	}
	if asked != 6 {
		t.Errorf("it was over after %d of 6 answers", asked)
	}
}

func TestPatienceEnds(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	err := await(ctx, day("2023-07-15"), func(context.Context) (string, error) { return complete + "no time yet", nil }, time.Millisecond)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no time yet") {
		t.Errorf("the end of patience says %v", err)
	}
}

// TestOnlyGoodIsPaid: and a status of a later version withholds.
func TestOnlyGoodIsPaid(t *testing.T) {
	rows := table{
		"b": {"b", []benefit{{"URRP", "LAPSED", []string{"lapsed"}, day("2023-06-30")}, {"POOREC", "GOOD", nil, day("2024-02-29")}}},
		"a": {"a", []benefit{{"URRP", "TERMINATED", []string{"deceased"}, day("2023-12-31")}, {"VDOC", "SUSPENDED", []string{"in_custody", "missing"}, day("2023-12-31")}}},
		"c": {"c", []benefit{{"URRP", "PAUSED", nil, day("2023-12-31")}}},
	}
	path := filepath.Join(t.TempDir(), "list.csv")
	if err := writeList(path, payList(rows)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `citizen_id,benefit,decision,why
a,URRP,withhold,TERMINATED: deceased
a,VDOC,withhold,SUSPENDED: in_custody;missing
b,POOREC,pay,GOOD: certified until 2024-02-29
b,URRP,withhold,LAPSED: lapsed
c,URRP,withhold,PAUSED: 
`
	if string(got) != want {
		t.Errorf("the list is\n%s, not\n%s", got, want)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
		t.Errorf("beside the list there is %v", left)
	}
	if err := writeList(filepath.Join(path, "below-a-file"), nil); err == nil {
		t.Error("a list that cannot be written is written")
	}
}

const standingSchema = `{"type": "record", "name": "Standing", "namespace": "vouch.v1", "fields": [
	{"name": "citizen_id", "type": "string"},
	{"name": "benefits", "type": {"type": "array", "items": {"type": "record", "name": "BenefitStanding", "fields": [
		{"name": "benefit", "type": "string"}, {"name": "status", "type": "string"},
		{"name": "reasons", "type": {"type": "array", "items": "string"}},
		{"name": "due_on", "type": {"type": "int", "logicalType": "date"}}]}}}]}`

// TestTheTableIsTheLastOfEach: of a citizen the last record holds, a tombstone
// ends the standing, and what is not a standing of its key stops the pay run.
func TestTheTableIsTheLastOfEach(t *testing.T) {
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "standing.avsc"), []byte(standingSchema), 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := records.NewReader(directory, "")
	if err != nil {
		t.Fatal(err)
	}
	value := func(citizen, status string) []byte {
		of := standing{citizen, []benefit{{"URRP", status, []string{}, day("2023-06-30")}}}
		bytes, err := avro.MustParse(standingSchema).AppendSingleObject(nil, &of)
		if err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	rows := table{}
	for _, record := range []*kgo.Record{
		{Key: []byte("a"), Value: value("a", "GOOD")}, {Key: []byte("b"), Value: value("b", "GOOD")},
		{Key: []byte("a"), Value: value("a", "LAPSED")}, {Key: []byte("b")},
	} {
		if err := rows.take(t.Context(), reader, record); err != nil {
			t.Fatal(err)
		}
	}
	if list := payList(rows); len(list) != 1 || list[0].citizen != "a" || list[0].pays {
		t.Errorf("the list is %v", list)
	}
	for name, wrong := range map[string]*kgo.Record{
		"another's key": {Key: []byte("c"), Value: value("a", "GOOD")},
		"no standing":   {Key: []byte("c"), Value: []byte("{}")},
	} {
		if err := rows.take(t.Context(), reader, wrong); err == nil {
			t.Errorf("%s is passed over", name)
		}
	}
}
