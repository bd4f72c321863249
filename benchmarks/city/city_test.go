package city

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/schemas/facts"
	"github.com/vouch-engine/vouch/topology"
)

func build(t testing.TB, config Config) *City {
	t.Helper()
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func text(t *testing.T, config Config) []byte {
	t.Helper()
	var text bytes.Buffer
	if _, err := build(t, config).Facts().WriteFacts(&text, math.MaxInt); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// TestSameSeed: the same seed gives the same bytes, on any machine and in any
// year: those whose digest stands here.
func TestSameSeed(t *testing.T) {
	first, again, other := text(t, Config{Seed: 7, Citizens: 300}), text(t, Config{Seed: 7, Citizens: 300}), text(t, Config{Seed: 8, Citizens: 300})
	if !bytes.Equal(first, again) || bytes.Equal(first, other) {
		t.Error("the same seed gave other bytes, or another one the same")
	}
	const want = "cd02b5a8bbede5ce"
	if sum := sha256.Sum256(first); fmt.Sprintf("%x", sum[:8]) != want {
		t.Errorf("the bytes of seed 7 have the digest %x, had %s", sum[:8], want)
	}
}

// TestFacts: every line is a fact, times rise strictly, nothing is refused but
// what was meant to be, for every reason that a facts file can express, and
// every count and alert comes about.
func TestFacts(t *testing.T) {
	const citizens = 2_000
	reader := facts.NewReader(bytes.NewReader(text(t, Config{Citizens: citizens})))
	fold := topology.NewFold(build(t, Config{}).Catalogue())
	last, alerts := schemas.Instant(0), map[string]int{}
	topics, ways, revoked := map[string]int{}, map[string]map[string]bool{}, 0
	for {
		line, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if line.At <= last {
			t.Fatalf("line %d is at %s, the one before at %s", line.Number, line.At, last)
		}
		last = line.At
		topics[line.Topic]++
		for _, output := range fold.Step(line) {
			switch record := output.Value.(type) {
			case *schemas.Alert:
				alerts[record.Rule]++
			case *schemas.CertificationRevoked:
				revoked++
			case *schemas.CertificationCompleted:
				if ways[record.Channel] == nil {
					ways[record.Channel] = map[string]bool{}
				}
				ways[record.Channel][record.CitizenID] = true
			}
		}
	}
	totals := fold.Totals()
	t.Log(topics, totals, alerts, revoked)
	for _, reason := range certify.Refusals {
		if reached := totals.Quarantined[reason] > 0; reached != (reason != certify.UnknownSchema) {
			t.Errorf("%s: %d records", reason, totals.Quarantined[reason])
		}
	}
	for _, count := range []certify.Count{certify.Applied, certify.Superseded, certify.NotHeld} {
		if totals.Counts[count] == 0 {
			t.Errorf("nothing was counted %s", count)
		}
	}
	for _, rule := range []string{"death_conflict", "posthumous_use", "needs_review", "exclusive_benefits"} {
		if alerts[rule] == 0 {
			t.Errorf("no alert %s: %v", rule, alerts)
		}
	}
	if revoked == 0 {
		t.Error("nothing was revoked")
	}
	near(t, "records a citizen and year", float64(topics["roster"]+topics["evidence"]+topics["payout"])/citizens, 25.7, 0.01)
	near(t, "of citizens certified by data", float64(len(ways["AUTOMATIC"]))/citizens, 0.80, 0.03)
	near(t, "of citizens certified by phone", float64(len(ways["SELF_SERVICE"]))/citizens, 0.115, 0.1)
	near(t, "of citizens certified by a visit", float64(len(ways["HOME_VISIT"]))/citizens, 0.03, 0.15)
	near(t, "of records bad", float64(quarantined(totals))/float64(totals.Read), 0.0007, 0.3)
}

func quarantined(totals topology.Totals) (all int) {
	for _, number := range totals.Quarantined {
		all += number
	}
	return all
}

// near fails if a number is further from what it should be than a part of it.
func near(t *testing.T, what string, is, want, within float64) {
	t.Helper()
	t.Logf("%.5f %s", is, what)
	if math.Abs(is-want) > want*within {
		t.Errorf("%.4f %s, want %.4f", is, what, want)
	}
}

// TestEvidence: late, out of order, again, corrected, retracted.
func TestEvidence(t *testing.T) {
	late, early, seen := 0, 0, map[string]schemas.Evidence{}
	repeated, corrected, retracted, all := 0, 0, 0, 0
	newest := map[string]schemas.Instant{}
	var f Fact
	for stream := build(t, Config{Citizens: 1_000}).Facts(); stream.Next(&f); {
		e, is := f.Record.(*schemas.Evidence)
		if !is {
			continue
		}
		all++
		if f.At-e.OccurredAt > schemas.Day {
			late++
		}
		if e.OccurredAt < newest[e.CitizenID] {
			early++
		}
		newest[e.CitizenID] = max(newest[e.CitizenID], e.OccurredAt)
		earlier, known := seen[e.Source+e.EvidenceID]
		switch {
		case !known:
		case e.Op == schemas.Retract:
			retracted++
		case e.OccurredAt != earlier.OccurredAt:
			corrected++
		default:
			repeated++
		}
		seen[e.Source+e.EvidenceID] = *e
	}
	part := func(number int) float64 { return float64(number) / float64(all) }
	near(t, "of evidence late by a day and more", part(late), 0.38, 0.1)
	near(t, "of evidence out of order", part(early), 0.1, 0.2)
	near(t, "of evidence repeated", part(repeated), 0.023, 0.2)
	near(t, "of evidence corrected", part(corrected), 0.0097, 0.25)
	near(t, "of evidence retracted", part(retracted), 0.0059, 0.3)
}

// TestTheDead: who has died is seen by no department, save that a card may go
// on being used.
func TestTheDead(t *testing.T) {
	c, dies, died, seen := build(t, Config{Citizens: 2_000}), map[string]bool{}, map[string]schemas.Instant{}, map[string]schemas.Instant{}
	for rank := range c.Citizens() {
		if p := c.Person(rank); p.Fate == Dies {
			dies[p.ID] = true
		}
	}
	var f Fact
	for stream := c.Facts(); stream.Next(&f); {
		e, is := f.Record.(*schemas.Evidence)
		if !is || !dies[e.CitizenID] {
			continue
		}
		kind, known := c.rules.KindIndex(e.Kind)
		switch {
		case !known || e.OccurredAt > f.At: // a bad record
		case c.rules.Kinds[kind].Effect == catalogue.Death:
			died[e.CitizenID] = e.OccurredAt
		case c.rules.Kinds[kind].Strength == catalogue.Strong && !strings.HasPrefix(e.Source, "NO_SUCH"):
			seen[e.CitizenID] = max(seen[e.CitizenID], e.OccurredAt)
		}
	}
	if len(dies) < 20 || len(died) < 15 {
		t.Errorf("of %d who die, %d are reported", len(dies), len(died))
	}
	for id, at := range died {
		if seen[id] > at+schemas.Minute {
			t.Errorf("somebody died at %s and was seen at %s", at, seen[id])
		}
	}
}

// TestStorms: at a month's end four times as much evidence comes a day.
func TestStorms(t *testing.T) {
	c := build(t, Config{Citizens: 1_000})
	days := map[bool]float64{}
	var f Fact
	for stream := c.Facts(); stream.Next(&f); {
		if day := c.rules.Zone.Date(f.At); f.Topic == "evidence" && day < c.config.To {
			days[day > day.EndOfMonth()-stormDays]++
		}
	}
	near(t, "times as much on a storm's day", days[true]/(12*stormDays)/(days[false]/(366-12*stormDays)), stormWeight, 0.1)
}

// TestUnseen: those whom nobody sees are in the roster and nowhere else, and
// what is due to one of them is due to nearly all by the same tick: on five
// days, on the last of which they lapse.
func TestUnseen(t *testing.T) {
	const unseen = 500
	c := build(t, Config{Citizens: 100, Unseen: unseen})
	heard, entered := map[string]int{}, map[string]bool{}
	var f Fact
	for stream := c.Facts(); stream.Next(&f); {
		heard[f.Key]++
		if e, is := f.Record.(*schemas.RosterEntry); is && *cmp.Or(e.DueOn, new(schemas.Date)) == c.UnseenDueOn() {
			entered[e.CitizenID] = true
		}
	}
	once := 0
	for id := range entered {
		if heard[id] == 1 {
			once++
		}
	}
	if once < unseen || once > unseen+5 {
		t.Errorf("of %d people whom nobody sees, %d are heard of once", unseen, once)
	}
	fold, storms := topology.NewFold(c.Catalogue()), map[schemas.Date]int{}
	for lines := facts.NewReader(bytes.NewReader(text(t, Config{Citizens: 100, Unseen: unseen}))); ; {
		line, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if fires := len(fold.Step(line)); fires > unseen*3/4 {
			storms[c.rules.Zone.Date(line.At)] = fires
		}
	}
	if _, lapse := storms[c.UnseenDueOn()+1]; len(storms) != 5 || !lapse {
		t.Errorf("storms are on %v, want five, the last on %s", storms, c.UnseenDueOn()+1)
	}
}

// TestSkew: with Zipf the first of a thousand has far more than the middle one.
func TestSkew(t *testing.T) {
	most := func(skew Skew) int {
		records := map[string]int{}
		var f Fact
		for stream := build(t, Config{Citizens: 1_000, Skew: skew}).Facts(); stream.Next(&f); {
			records[f.Key]++
		}
		delete(records, "")
		return slices.Max(slices.Collect(maps.Values(records)))
	}
	if uniform, zipf := most(Uniform), most(Zipf); uniform > 80 || zipf < 500 {
		t.Errorf("the most records of one citizen are %d when uniform, %d when not", uniform, zipf)
	}
}

// TestWire: what no facts file can express is on the wire and is refused
// there; a facts file of such a city is an error.
func TestWire(t *testing.T) {
	c := build(t, Config{Citizens: 300, Wire: true})
	encoder, err := NewEncoder(t.Context(), avro.New(nil), "")
	if err != nil {
		t.Fatal(err)
	}
	codec, unknown, undecodable := avro.New(nil), 0, 0
	var f Fact
	var value []byte
	for stream := c.Facts(); stream.Next(&f); {
		value = encoder.Append(value[:0], &f)
		record, err := codec.DecodeAny(t.Context(), value)
		switch {
		case f.Record != nil:
			if err != nil {
				t.Fatalf("a good record of %s: %v", f.Topic, err)
			}
			if e, is := record.(*schemas.Evidence); is && e.EvidenceID != f.evidence.EvidenceID {
				t.Fatal("another record was read than was written")
			}
		case errors.As(err, new(*avro.UnknownSchemaError)):
			unknown++
		case f.Bytes != nil && errors.As(err, new(*avro.UndecodableError)):
			undecodable++
		}
	}
	if unknown == 0 || undecodable == 0 {
		t.Errorf("%d of an unknown schema, %d cut off", unknown, undecodable)
	}
	if _, err := c.Facts().WriteFacts(io.Discard, math.MaxInt); !errors.Is(err, errNotJSON) {
		t.Errorf("%v", err)
	}
}

// TestSlices: a stream that is written in slices gives the same as at once.
func TestSlices(t *testing.T) {
	stream, sliced := build(t, Config{Seed: 3, Citizens: 100}).Facts(), new(bytes.Buffer)
	for written := 1; written > 0; {
		var err error
		before := bytes.Count(sliced.Bytes(), []byte("\n"))
		if written, err = stream.WriteFacts(sliced, 97); err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(sliced.Bytes(), []byte("\n")) - before; lines != written || lines > 97 {
			t.Fatalf("a slice of at most 97 facts has %d, and is said to have %d", lines, written)
		}
	}
	if !bytes.Equal(sliced.Bytes(), text(t, Config{Seed: 3, Citizens: 100})) {
		t.Error("the slices give other facts")
	}
}

// TestIDs: no two people have one id.
func TestIDs(t *testing.T) {
	c, seen := build(t, Config{Citizens: 5_000}), map[string]bool{}
	for rank := range 5_000 {
		id := c.Person(rank).ID
		if seen[id] {
			t.Fatalf("rank %d has the id of another", rank)
		}
		seen[id] = true
	}
}

// TestMemory: ten times the city take no more memory to tell of.
func TestMemory(t *testing.T) {
	took := func(citizens int) uint64 {
		c := build(t, Config{Citizens: citizens, From: schemas.DateOf(2024, 1, 1), To: schemas.DateOf(2024, 2, 1)})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		stream, f := c.Facts(), new(Fact)
		for stream.Next(f) {
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(stream)
		return max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc
	}
	took(1_000) // warms up what is made once
	if small, large := took(1_000), took(10_000); large > small+64<<10 {
		t.Errorf("a small city holds %d bytes, a large one %d", small, large)
	}
}

// TestComplaints: every mistake of a configuration is told at once.
func TestComplaints(t *testing.T) {
	_, err := New(Config{Citizens: 3, From: 20_000, To: 19_000, Tick: time.Second, Unseen: -1})
	for _, want := range []string{"3 citizens", "it ends on", "ticks every 1s", "-1 people"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
}

// TestTicks: ticks come at every multiple of the interval, to the end.
func TestTicks(t *testing.T) {
	c := build(t, Config{Citizens: 20, From: schemas.DateOf(2024, 1, 1), To: schemas.DateOf(2024, 1, 3), Tick: 12 * time.Hour})
	var ticks []string
	var f Fact
	for stream := c.Facts(); stream.Next(&f); {
		if tick, is := f.Record.(*schemas.ClockTick); is {
			ticks = append(ticks, tick.At.String())
			if f.At < tick.At {
				t.Errorf("a tick of %s is in the log at %s", tick.At, f.At)
			}
		}
	}
	if want := []string{"2024-01-01T04:00:00.000Z", "2024-01-01T16:00:00.000Z", "2024-01-02T04:00:00.000Z", "2024-01-02T16:00:00.000Z"}; !slices.Equal(ticks, want) {
		t.Errorf("%v, want %v", ticks, want)
	}
}

// BenchmarkFacts asks how many facts a core makes up, encoded, a second: a
// benchmark of the engine must not wait for its city. It goes through whole
// years.
func BenchmarkFacts(b *testing.B) {
	encoder, err := NewEncoder(b.Context(), avro.New(nil), "")
	if err != nil {
		b.Fatal(err)
	}
	c := build(b, Config{Citizens: 10_000})
	stream, f := c.Facts(), new(Fact)
	var value []byte
	b.ReportAllocs()
	for b.Loop() {
		if !stream.Next(f) {
			stream = c.Facts()
		}
		value = encoder.Append(value[:0], f)
	}
}
