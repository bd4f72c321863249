package benchmarks

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// resultsOf reads results as a file would give them.
func resultsOf(t *testing.T, results ...Result) []Result {
	t.Helper()
	var lines bytes.Buffer
	for _, r := range results {
		if err := json.NewEncoder(&lines).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	read, err := ReadResults("results", &lines)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// drainedIn gives runs of a drain, of a million records in so many seconds each.
func drainedIn(broker string, seconds ...float64) (runs []Result) {
	for _, s := range seconds {
		cpu, peak := s/2, int64(100<<20)
		runs = append(runs, Result{Name: "drain", System: "vouch", Scale: 1, Records: 1_000_000, Seconds: &s, CPUSeconds: &cpu, RSSPeak: &peak, Valid: true,
			Settings: map[string]any{"broker": broker, "machine": "m", "citizens": 10, "command": "vouch bench run <drain>"}, Versions: map[string]any{"go": "go1"}, Commit: "abc"})
	}
	return runs
}

func TestCompareToldFromNoise(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after []float64
		worse         int
		says          string
	}{
		{"slower beyond the spread", []float64{10, 10.2, 10.4}, []float64{11.5, 11.6, 11.7}, 2, "worse  drain of vouch, citizens=10  speed"},
		{"faster beyond the spread", []float64{11.5, 11.6, 11.7}, []float64{10, 10.2, 10.4}, 0, "better  drain of vouch, citizens=10  speed"},
		{"within the spread", []float64{10, 11, 13}, []float64{11.5, 12.5, 13}, 0, "0 worse, 0 better"},
		{"disjoint, but hardly", []float64{10, 10.1, 10.2}, []float64{10.3, 10.35, 10.4}, 0, "0 worse, 0 better"},
		{"one run each, little", []float64{10}, []float64{12}, 0, "0 worse, 0 better"},
		{"one run each, much", []float64{10}, []float64{14}, 2, "-29 %"},
	} {
		var said bytes.Buffer
		worse, err := Compare(resultsOf(t, drainedIn(BrokerLocal, c.before...)...), resultsOf(t, drainedIn(BrokerLocal, c.after...)...), &said)
		if err != nil || worse != c.worse || !strings.Contains(said.String(), c.says) {
			t.Errorf("%s: %d are worse, want %d (%v)\n%s", c.name, worse, c.worse, err, said.String())
		}
	}
}

// What was not measured in the same way is not compared.
func TestCompareNeverMixes(t *testing.T) {
	local := resultsOf(t, drainedIn(BrokerLocal, 10)...)
	other := drainedIn(BrokerLocal, 20)
	other[0].Settings["machine"] = "another"
	smaller := drainedIn(BrokerLocal, 20)
	smaller[0].Scale = 0.1
	for name, after := range map[string][]Result{"broker": drainedIn(BrokerEmbedded, 20), "machine": other, "scale": smaller} {
		if _, err := Compare(local, resultsOf(t, after...), io.Discard); err == nil {
			t.Errorf("results of another %s are compared", name)
		}
	}
}

// A run whose outputs are wrong has no figures, and is told.
func TestWrongOutputsAreTold(t *testing.T) {
	before, after := drainedIn(BrokerLocal, 10, 10), drainedIn(BrokerLocal, 10, 1)
	after[1].Valid = false
	var said bytes.Buffer
	if worse, err := Compare(resultsOf(t, before...), resultsOf(t, after...), &said); err != nil || worse != 1 || !strings.Contains(said.String(), "right → wrong in 1 of 2 runs") {
		t.Errorf("%d are worse (%v)\n%s", worse, err, said.String())
	}
	said.Reset()
	if err := Markdown(resultsOf(t, after...), &said); err != nil || !strings.Contains(said.String(), "| **1 and 1 wrong** | 100,000 |") {
		t.Errorf("%v\n%s", err, said.String())
	}
}

func TestMarkdownHasMedians(t *testing.T) {
	var said bytes.Buffer
	if err := Markdown(resultsOf(t, append(drainedIn(BrokerLocal, 10, 20, 8), drainedIn(BrokerEmbedded, 1)...)...), &said); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"- machine: `m`\n", "- commit: `abc`\n", "- versions: `go go1`\n", "- command: `vouch bench run <drain>`\n",
		"| vouch | citizens=10 | 1 | 3 | 100,000 (50,000–125,000) | 200,000 (100,000–250,000) | 100 | 1,000,000 |",
		"## On a real Kafka on the same machine", "## On a broker in memory",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in\n%s", want, said.String())
		}
	}
}

// beside gives runs of a peer in the sitting of drainedIn.
func beside(peer string, settings map[string]any, runs []Result) []Result {
	for i := range runs {
		runs[i].System = peer
		for name, value := range settings {
			runs[i].Settings[name] = value
		}
	}
	return runs
}

// What a reader needs to repeat rows stands with them, those of a broker in
// memory last; and runs of several commits are not passed off as of one.
func TestSectionsTellTheirCircumstances(t *testing.T) {
	results := append(drainedIn(BrokerEmbedded, 1), drainedIn(BrokerLocal, 10, 20)...)
	results[0].Commit, results[1].Commit = "xyz", "def"
	results[2].Valid = false
	var said, page bytes.Buffer
	if err := errors.Join(Markdown(resultsOf(t, results...), &said), HTML(resultsOf(t, results...), &page)); err != nil {
		t.Fatal(err)
	}
	local, memory, found := strings.Cut(said.String(), "## On a broker in memory")
	if !found || !strings.Contains(local, "- commit: `def`\n- commit: `abc`\n") || strings.Contains(local, "xyz") || !strings.Contains(memory, "- commit: `xyz`\n") {
		t.Errorf("the sections do not tell their commits:\n%s", said.String())
	}
	if !strings.Contains(local, "several commits") || strings.Contains(memory, "several commits") || strings.Count(page.String(), "several commits") != 1 {
		t.Errorf("several commits are told where they are not, or not where they are:\n%s", said.String())
	}
}

// A share of the slowest drain is told as a rate too, and a single run's
// extremes are beside its quantiles.
func TestOpenLoopTellsItsRate(t *testing.T) {
	p := 2.0
	r := Result{Name: "open-loop", System: "vouch", Records: 20, P50: &p, Valid: true,
		Settings: map[string]any{"rate": 5_000, "of_slowest_drain": 0.5, "samples": 166, "curve": [][2]float64{{50, 2}, {100, 30}}}}
	var said, page bytes.Buffer
	if err := errors.Join(Markdown(resultsOf(t, r), &said), HTML(resultsOf(t, r), &page)); err != nil {
		t.Fatal(err)
	}
	if want := "| vouch | of_slowest_drain=0.5 (5,000/s) | 0 | 1 | 2 | 30 | 166 | 20 |"; !strings.Contains(said.String(), want) {
		t.Errorf("%q is not in\n%s", want, said.String())
	}
	if want := ">vouch of_slowest_drain=0.5 (5,000/s)</text>"; !strings.Contains(page.String(), want) {
		t.Errorf("%q is in no legend", want)
	}
}

// Latency and CPU are drawn by the interval between commits, and a table has
// what a record cost.
func TestTransactionLengthIsDrawn(t *testing.T) {
	var results []Result
	for interval, p50 := range map[int]float64{0: 5, 100: 60, 500: 300} {
		p99, cpu, seconds := 2*p50, 0.5, 30.0
		results = append(results, Result{Name: "transaction", System: "vouch", Records: 5_000 + interval, Seconds: &seconds, CPUSeconds: &cpu, P50: &p50, P99: &p99, Valid: true,
			Settings: map[string]any{"rate": 5_000, "commit_interval_ms": interval}})
	}
	var said, page bytes.Buffer
	if err := errors.Join(Markdown(resultsOf(t, results...), &said), HTML(resultsOf(t, results...), &page)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"### transaction\n\nWhat do longer transactions save", "| vouch | rate=5000 commit_interval_ms=0 | 0 | 1 | 10,000 | 5 | 10 | 5,000 |"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in\n%s", want, said.String())
		}
	}
	charts := sectionsOf(resultsOf(t, results...))[0].charts("transaction")
	var got []string
	for _, c := range charts {
		if !strings.Contains(page.String(), c.title) {
			t.Errorf("the page has no plot %q", c.title)
		}
		for _, l := range c.lines {
			got = append(got, fmt.Sprintf("%s: %s %.1f", c.title, l.name, l.points))
		}
	}
	want := []string{
		"Transaction length against latency: vouch rate=5000, p50 [[0.0 5.0] [100.0 60.0] [500.0 300.0]]",
		"Transaction length against latency: vouch rate=5000, p99 [[0.0 10.0] [100.0 120.0] [500.0 600.0]]",
		"Transaction length against CPU: vouch rate=5000 [[0.0 100.0] [100.0 98.0] [500.0 90.9]]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("drawn are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What a table tells beside the figures has a name of its own there.
func TestTablesTellMore(t *testing.T) {
	seconds := 3.0
	r := Result{Name: "timer-first-fire", System: "vouch", Records: 20, Seconds: &seconds, Valid: true, Settings: map[string]any{"ready_seconds": 2, "after_ready_seconds": 1, "doubled": 7}}
	var said bytes.Buffer
	want := "| time, s | start to ready, s | ready to first, s | doubled | records |\n|---|---|---|---|---|---|---|---|---|\n| vouch |  | 0 | 1 | 3 | 2 | 1 | 7 | 20 |"
	if err := Markdown(resultsOf(t, r), &said); err != nil || !strings.Contains(said.String(), want) {
		t.Errorf("%q is not in\n%s (%v)", want, said.String(), err)
	}
}

// A peer is told as ratios to the engine in the same sitting, and where the
// engine is behind it says so.
func TestRatiosAreOfOneSitting(t *testing.T) {
	earlier := drainedIn(BrokerLocal, 1)
	earlier[0].Commit = "earlier"
	smaller := drainedIn(BrokerLocal, 1)
	smaller[0].Scale = 0.1
	results := append(earlier, drainedIn(BrokerLocal, 9, 10, 11)...)
	results = append(results, beside("flink", map[string]any{"checkpoint": "1s"}, drainedIn(BrokerLocal, 25, 20, 22))...)
	results = append(results, beside("bare", nil, drainedIn(BrokerLocal, 5))...)
	results = append(results, beside("goka", nil, smaller)...)
	results = append(results, beside("kafka-streams", map[string]any{"citizens": 20}, drainedIn(BrokerLocal, 5))...)
	var said, page bytes.Buffer
	if err := errors.Join(Markdown(resultsOf(t, results...), &said), HTML(resultsOf(t, results...), &page)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| measure | settings | against | scale | speed ↑ | per CPU ↑ | memory ↓ |",
		"| drain | citizens=10 | flink checkpoint=1s | 1 | 2.20× (1.82–2.78) | 2.20× (1.82–2.78) | 1× |",
		"| drain | citizens=10 | bare | 1 | **0.500× (0.455–0.556)** |",
		"flink keeps its state on its own disk only",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in\n%s", want, said.String())
		}
	}
	for what, row := range map[string]string{"at another scale": "| goka | 0.1", "of more citizens": "| drain | citizens=20 |"} {
		if strings.Contains(said.String(), row) {
			t.Errorf("what was measured %s is compared:\n%s", what, said.String())
		}
	}
	if want := "<td><strong>0.500× (0.455–0.556)</strong>"; !strings.Contains(page.String(), want) {
		t.Errorf("%q is not in the page", want)
	}
}

// Rows of a broker in memory are no figures, and no ratios are made of them.
func TestNoRatiosInMemory(t *testing.T) {
	var said bytes.Buffer
	results := append(drainedIn(BrokerEmbedded, 10), beside("bare", nil, drainedIn(BrokerEmbedded, 5))...)
	if err := Markdown(resultsOf(t, results...), &said); err != nil || strings.Contains(said.String(), "×") {
		t.Errorf("%v\n%s", err, said.String())
	}
}

// The page holds a plot for each measure that has one, and nothing from
// elsewhere.
func TestPageDrawsItself(t *testing.T) {
	var results []Result
	for i, rate := range []int{1_000, 5_000} {
		p99 := float64(10 * (i + 1))
		results = append(results, Result{Name: "open-loop", System: "vouch", P50: &p99, P99: &p99, P999: &p99, Valid: true,
			Settings: map[string]any{"rate": rate, "curve": [][2]float64{{0, 1}, {50, 2}, {99, p99}, {100, 30}}}})
	}
	for _, citizens := range []int{10, 100} {
		r := drainedIn(BrokerLocal, float64(citizens))[0]
		r.Name, r.Settings = "growth", map[string]any{"citizens": citizens}
		results = append(results, r)
		r.Name, r.Settings = "growth-records", map[string]any{"citizens": 10, "evidence": citizens}
		results = append(results, r)
	}
	seconds := 1.5
	results = append(results, Result{Name: "crash", System: "<b>", Seconds: &seconds, Valid: true, Settings: map[string]any{"timeline": [][2]float64{{-1, 5}, {0, 800}, {1, 6}}}})
	var page bytes.Buffer
	if err := HTML(resultsOf(t, results...), &page); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, title := range []string{"Latency by quantile", "Rate against the 99th percentile", "Speed by the number of citizens", "Speed by the length of the log", "The worst latency of every quarter"} {
		if !strings.Contains(text, title) {
			t.Errorf("the page has no plot %q", title)
		}
	}
	if strings.Contains(text, "<b>") || strings.Contains(text, "src=") || strings.Contains(text, "href=") {
		t.Error("the page holds what is not its own")
	}
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "<svg")
		if !found {
			break
		}
		drawing, after, _ := strings.Cut(after, "</svg>")
		if err := wellFormed("<svg" + drawing + "</svg>"); err != nil {
			t.Errorf("a plot is not well formed: %v", err)
		}
		if strings.Contains(drawing, "NaN") || strings.Contains(drawing, "Inf") {
			t.Error("a plot has points that are no numbers")
		}
		rest = after
	}
}

func wellFormed(text string) error {
	for tokens := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := tokens.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestNumbersRead(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1234567: "1,234,567", 103_995: "103,995", 12.345: "12.3", 0.01234: "0.012", 999: "999", 20: "20", 1000: "1,000", -1234.5: "-1,234"} {
		if got := numberText(v); got != want {
			t.Errorf("%v reads %s, want %s", v, got, want)
		}
	}
	if got := numberText(math.Copysign(0, -1)); got != "0" {
		t.Errorf("a negative zero reads %s", got)
	}
}

func TestResultsThatAreNone(t *testing.T) {
	for _, text := range []string{"{", `{"name":"drain"}`, "[]"} {
		if _, err := ReadResults("r.ndjson", strings.NewReader("\n"+text)); err == nil || !strings.Contains(err.Error(), "r.ndjson, line 2") {
			t.Errorf("%s: it says %v", text, err)
		}
	}
}

// A single point, or points that are all the same, have a place.
func TestChartOfOnePoint(t *testing.T) {
	for _, log := range []bool{false, true} {
		c := chart{logX: log, logY: log}
		c.add(line{"one", [][2]float64{{10, 10}}})
		if drawing := c.svg(); strings.Contains(drawing, "NaN") || strings.Contains(drawing, "Inf") {
			t.Errorf("it has points that are no numbers:\n%s", drawing)
		}
	}
}

// An axis is labelled with round numbers within it.
func TestTicksAreRound(t *testing.T) {
	for _, c := range []struct {
		axis axis
		want string
	}{
		{axis{low: 1_000, high: 10_794}, "2,000 4,000 6,000 8,000 10,000"},
		{axis{low: -1, high: 4}, "-1 0 1 2 3 4"},
		{axis{low: 0, high: 0.35}, "0 0.1 0.2 0.3"},
		{axis{low: 10, high: 10_000, log: true}, "10 100 1,000 10,000"},
	} {
		var got []string
		for _, v := range c.axis.ticks() {
			got = append(got, tickText(v))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("from %v to %v: %s, want %s", c.axis.low, c.axis.high, text, c.want)
		}
	}
}

// A scale of powers reaches from one power to another, and what is almost a
// power does not cost a decade.
func TestPowersThatAreAlmostReached(t *testing.T) {
	for _, c := range []struct {
		axis      axis
		low, high float64
	}{
		{axis{low: 996, high: 10_008, log: true}, 1_000, 10_000},
		{axis{low: 900, high: 11_000, log: true}, 100, 100_000},
		{axis{low: 10, high: 10, log: true}, 10, 100},
		{axis{low: 996, high: 10_008}, 996, 10_008},
	} {
		a := c.axis
		if a.toPowers(); math.Abs(a.low/c.low-1) > 1e-9 || math.Abs(a.high/c.high-1) > 1e-9 {
			t.Errorf("from %v to %v reaches from %v to %v, want %v to %v", c.axis.low, c.axis.high, a.low, a.high, c.low, c.high)
		}
	}
}
