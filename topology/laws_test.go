package topology

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/lovoo/goka/tester"
	"pgregory.net/rapid"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/processors/certify/certifytest"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/facts"
)

// drawFacts draws the text of a facts file of a few citizens, many of whose
// lines are spoiled in one way or another.
func drawFacts(t *rapid.T) string {
	var w strings.Builder
	for i := range rapid.IntRange(1, 40).Draw(t, "lines") {
		at := schemas.Instant(schemas.DateOf(2024, 5, 1))*schemas.Day + schemas.Instant(i)*schemas.Minute
		fmt.Fprintf(&w, `{"topic":"evidence","at":%q,"value":%s}`+"\n", at, drawEvidence(t, at))
		fmt.Fprintf(&w, `{"topic":"roster","at":%q%s,"value":%s}`+"\n", at, drawKey(t), drawEntry(t, at))
		if rapid.IntRange(0, 5).Draw(t, "tick") == 0 {
			ahead := rapid.SampledFrom([]schemas.Instant{0, -schemas.Day, 6 * schemas.Minute}).Draw(t, "tick ahead")
			fmt.Fprintf(&w, `{"topic":"clock","at":%q,"value":{"at":%q}}`+"\n", at, at+ahead)
		}
		if rapid.IntRange(0, 2).Draw(t, "payout") == 0 {
			period := rapid.SampledFrom([]string{"2024-04", "2024-4"}).Draw(t, "period")
			fmt.Fprintf(&w, `{"topic":"payout","at":%q,"value":{"payout_id":"p%d","citizen_id":"c1","benefit":"PENSION","period":%q,"amount_fen":1,"paid_at":%q}}`+"\n",
				at, i%7, period, at)
		}
	}
	return w.String()
}

// drawKey draws a key that a line may say, most often none.
func drawKey(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", "", `,"key":null`, `,"key":"c9"`}).Draw(t, "key")
}

// drawSpoiled draws a value that is no record: null, or not of its schema.
func drawSpoiled(t *rapid.T, value string) string {
	switch rapid.IntRange(0, 9).Draw(t, "spoiled") {
	case 0:
		return "null"
	case 1:
		return rapid.SampledFrom([]string{`{}`, `7`, `"text"`, `[]`, `{"citizen_id":"c1"}`, `{"citizen_id":7}`}).Draw(t, "instead")
	case 2:
		return strings.Replace(value, `_id":`, `_ID":`, 1)
	}
	return value
}

func drawEvidence(t *rapid.T, at schemas.Instant) string {
	kind := rapid.SampledFrom([]string{"WARD", "FACE", "CARD", "PRISON", "DEATH_CERT", "NO_SUCH"}).Draw(t, "kind")
	source := rapid.SampledFrom([]string{"HEALTH", "LABOUR"}).Draw(t, "source")
	occurred := at - schemas.Instant(rapid.IntRange(-3, 400).Draw(t, "days before"))*schemas.Day
	return drawSpoiled(t, fmt.Sprintf(`{"evidence_id":"e%d","citizen_id":"c%d","kind":%q,"source":%q,"occurred_at":%q,"recorded_at":%q}`,
		rapid.IntRange(0, 9).Draw(t, "id"), rapid.IntRange(1, 2).Draw(t, "citizen"), kind, source, occurred, at))
}

func drawEntry(t *rapid.T, at schemas.Instant) string {
	benefit := rapid.SampledFrom([]string{"PENSION", "WORKERS", "CARE", "NO_SUCH"}).Draw(t, "benefit")
	citizen := rapid.SampledFrom([]string{"c1", "c2", ""}).Draw(t, "citizen")
	effective := rapid.SampledFrom([]string{"2023-05-01", "1849-05-01"}).Draw(t, "effective")
	return drawSpoiled(t, fmt.Sprintf(`{"entry_id":"r","citizen_id":%q,"benefit":%q,"recorded_at":%q,"effective_on":%q}`,
		citizen, benefit, at-schemas.Instant(rapid.IntRange(0, 1).Draw(t, "day before"))*schemas.Day, effective))
}

// linesOf reads a facts file.
func linesOf(t rapid.TB, text string) (all []facts.Line) {
	reader := facts.NewReader(strings.NewReader(text))
	for {
		line, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
}

// nothingLostOffline folds lines and complains unless each is counted once, or
// lies in quarantine with its reason, its key and its value as it came.
func nothingLostOffline(t rapid.TB, text string) Totals {
	fold := NewFold(certifytest.Catalogue())
	lines := linesOf(t, text)
	for _, line := range lines {
		refusedBefore := sum(fold.Totals().Quarantined)
		outputs := fold.Step(line)
		if sum(fold.Totals().Quarantined) == refusedBefore {
			continue
		}
		if len(outputs) != 1 || outputs[0].Topic != Quarantine || outputs[0].Reason == "" {
			t.Fatalf("line %d is refused, and leads to %+v", line.Number, outputs)
		}
		value := outputs[0].Value.(json.RawMessage)
		if key, keyed := line.RecordKey(); keyed != (outputs[0].Key != nil) || keyed && *outputs[0].Key != key ||
			line.Value != nil && string(value) != string(line.Value) || line.Value == nil && string(value) != "null" {
			t.Fatalf("line %d lies in quarantine as %+v", line.Number, outputs[0])
		}
	}
	totals := fold.Totals()
	if counted := sum(totals.Counts) + sum(totals.Quarantined); totals.Read != len(lines) || counted != len(lines) {
		t.Fatalf("of %d lines %d were read, and %d counted or refused", len(lines), totals.Read, counted)
	}
	return totals
}

func sum[K comparable](counts map[K]int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

// TestLawNothingLostOffline: whatever stands in a facts file, each of its lines
// is counted once or lies in quarantine untouched.
func TestLawNothingLostOffline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { nothingLostOffline(t, drawFacts(t)) })
}

// TestLawNothingLostOfflineReachesEverything: the files that the law is tried
// on come to every count and every reason. (Facts have no schema that might be
// unknown: see TestUnknownSchemaIsQuarantined.)
func TestLawNothingLostOfflineReachesEverything(t *testing.T) {
	const files = 60
	file := rapid.Custom(drawFacts)
	reached := map[string]int{}
	for seed := range files {
		totals := nothingLostOffline(t, file.Example(seed))
		for count, n := range totals.Counts {
			reached[string(count)] += n
		}
		for reason, n := range totals.Quarantined {
			reached[string(reason)] += n
		}
	}
	t.Log(reached)
	for _, count := range certify.Counts {
		if reached[string(count)] == 0 {
			t.Errorf("%s was never reached in %d files", count, files)
		}
	}
	for _, reason := range certify.Refusals {
		if reason != certify.UnknownSchema && reached[string(reason)] == 0 {
			t.Errorf("%s was never reached in %d files", reason, files)
		}
	}
}

// TestUnknownSchemaIsQuarantined: a fingerprint that nobody knows, and an id
// without a registry to ask, are refused by name, before all else.
func TestUnknownSchemaIsQuarantined(t *testing.T) {
	d := newOnTester(t)
	for _, value := range []string{"\xc3\x01fingerpr", "\x00\x00\x00\x00\x07body"} {
		d.tester.Consume(DefaultPrefix+Evidence, "c1", []byte(value), tester.WithTime(time.UnixMilli(0)))
		headers, key, got, more := d.written[Quarantine].NextRawWithHeaders()
		if !more || string(headers[headerReason]) != string(certify.UnknownSchema) || key != "c1" || string(got) != value {
			t.Errorf("%q lies in quarantine as %q under %q, for %q", value, got, key, headers[headerReason])
		}
	}
}
