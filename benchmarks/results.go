package benchmarks

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// lineBytesMax is the longest line of results: a latency curve and a timeline
// fit many times.
const lineBytesMax = 1 << 20

// ReadResults reads what Run has written. name is the file's, for errors.
func ReadResults(name string, from io.Reader) (results []Result, err error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, lineBytesMax)
	for number := 1; lines.Scan(); number++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var r Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("bench: %s, line %d is no result: %w", name, number, err)
		}
		if r.Name == "" || r.System == "" {
			return nil, fmt.Errorf("bench: %s, line %d is no result: it has no name or no system", name, number)
		}
		results = append(results, r)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("bench: read %s: %w", name, err)
	}
	return results, nil
}

// identifying are the settings that say what was measured. The others say what
// came of it.
var identifying = []string{
	"of", "phase", "pending", "evidence", "citizens", "lapses", "rate", "of_slowest_drain", "commit_interval_ms",
	"cache", "commit", "state-backend", "checkpoint", "partitions",
}

// set is what was measured in the same way: runs of one measure of one system
// with the same settings, at one scale, on one machine and one kind of broker.
// Only these are put side by side.
type set struct {
	measure, system, settings, broker, machine string
	scale                                      float64
	runs                                       []Result // the valid ones
	invalid                                    int
}

// key is what two sets of the same thing share.
func (s *set) key() string {
	return strings.Join([]string{s.measure, s.system, s.settings, s.broker, s.machine, fmt.Sprint(s.scale)}, "\x00")
}

// title names it in a sentence.
func (s *set) title() string {
	return strings.TrimSpace(fmt.Sprintf("%s of %s, %s", s.measure, s.system, s.settings))
}

func setOf(r Result) *set {
	var settings []string
	for _, name := range identifying {
		_, share := r.Settings["of_slowest_drain"]
		value, given := r.Settings[name]
		if given && !(name == "rate" && share) { // a share of what the machine did that day
			settings = append(settings, name+"="+settingText(value))
		}
	}
	text := func(name string) string { value, _ := r.Settings[name].(string); return value }
	return &set{measure: r.Name, system: r.System, settings: strings.Join(settings, " "), broker: text("broker"), machine: text("machine"), scale: r.Scale}
}

func settingText(value any) string {
	if number, is := value.(float64); is {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

// setsOf sorts results into sets, in the order of the measures, and of systems
// and settings as they first came.
func setsOf(results []Result) (sets []*set) {
	known := map[string]*set{}
	for _, r := range results {
		s := setOf(r)
		if known[s.key()] == nil {
			known[s.key()] = s
			sets = append(sets, s)
		}
		s = known[s.key()]
		if r.Valid {
			s.runs = append(s.runs, r)
		} else {
			s.invalid++
		}
	}
	slices.SortStableFunc(sets, func(a, b *set) int { return cmp.Compare(place(a.measure), place(b.measure)) })
	return sets
}

// place is that of the measure that wrote results of a name, among Measures:
// the one of the same name, or else the one that the name goes on from.
func place(name string) int {
	for end := len(name); end >= 0; end = strings.LastIndex(name[:end], "-") {
		if at := slices.IndexFunc(Measures(), func(m Measure) bool { return m.Name == name[:end] }); at >= 0 {
			return at
		}
	}
	return -1
}

// figure is something that is told of a set.
type figure struct {
	name   string
	unit   string
	higher bool // is better
	of     func(Result) *float64
}

// rated are the measures in which as much work as there is is done as fast as
// it can be; of the others the time tells.
var rated = []string{"drain", "growth", "growth-records", "timer-insert", "timer-fire"}

// paced are the measures whose time is given, not measured.
var paced = []string{"open-loop", "transaction", "storm"}

// costed says whether a measure's CPU is told by the record.
func costed(name string) bool { return slices.Contains(rated, name) || name == "transaction" }

func ratio(a float64, b *float64) *float64 {
	if b == nil || *b <= 0 {
		return nil
	}
	of := a / *b
	return &of
}

func mebibytes(v *int64) *float64 {
	if v == nil {
		return nil
	}
	of := float64(*v) / (1 << 20)
	return &of
}

// figures lists all.
var figures = []figure{
	{"speed", "records/s", true, func(r Result) *float64 {
		if !slices.Contains(rated, r.Name) {
			return nil
		}
		return ratio(float64(r.Records), r.Seconds)
	}},
	{"per CPU", "records/CPU-s", true, func(r Result) *float64 {
		if !costed(r.Name) {
			return nil
		}
		return ratio(float64(r.Records), r.CPUSeconds)
	}},
	{"time", "s", false, func(r Result) *float64 {
		if slices.Contains(rated, r.Name) || slices.Contains(paced, r.Name) {
			return nil
		}
		return r.Seconds
	}},
	{"CPU", "s", false, func(r Result) *float64 {
		if costed(r.Name) {
			return nil
		}
		return r.CPUSeconds
	}},
	{"p50", "ms", false, func(r Result) *float64 { return r.P50 }},
	{"p99", "ms", false, func(r Result) *float64 { return r.P99 }},
	{"p99.9", "ms", false, func(r Result) *float64 { return r.P999 }},
	{"memory", "MiB", false, func(r Result) *float64 { return mebibytes(r.RSSPeak) }},
	{"disk", "MiB", false, func(r Result) *float64 { return mebibytes(r.Disk) }},
}

// spread is a figure over the runs of a set.
type spread struct {
	runs              int // that have it
	median, low, high float64
}

func (s *set) spread(f figure) spread {
	var all []float64
	for _, r := range s.runs {
		if v := f.of(r); v != nil {
			all = append(all, *v)
		}
	}
	if len(all) == 0 {
		return spread{}
	}
	slices.Sort(all)
	middle := len(all) / 2
	median := all[middle]
	if len(all)%2 == 0 {
		median = (all[middle-1] + all[middle]) / 2
	}
	return spread{len(all), median, all[0], all[len(all)-1]}
}

// String is the median, and the lowest and the highest where runs differ.
func (s spread) String() string {
	switch {
	case s.runs == 0:
		return ""
	case s.low == s.high:
		return numberText(s.median)
	}
	return fmt.Sprintf("%s (%s–%s)", numberText(s.median), numberText(s.low), numberText(s.high))
}

// numberText gives three digits that count, a whole number without a fraction,
// and commas between thousands.
func numberText(v float64) string {
	if v == 0 {
		return "0" // which may be a negative one
	}
	decimals := 0
	if v != math.Trunc(v) {
		decimals = max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	}
	text := strconv.FormatFloat(v, 'f', min(decimals, 3), 64)
	whole, fraction, has := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if has {
		return whole + "." + fraction
	}
	return whole
}

// shareText says how many records a second a share of the slowest drain was.
func (s *set) shareText() string {
	if !strings.Contains(s.settings, "of_slowest_drain=") || len(s.runs) == 0 {
		return ""
	}
	return "(" + s.spread(figure{of: setting("rate")}).String() + "/s)"
}

// middle is the run of a set whose 99th percentile is the median: the one that
// is drawn.
func (s *set) middle() Result {
	runs := slices.Clone(s.runs)
	value := func(r Result) float64 {
		if r.P99 == nil {
			return 0
		}
		return *r.P99
	}
	slices.SortFunc(runs, func(a, b Result) int { return cmp.Compare(value(a), value(b)) })
	return runs[len(runs)/2]
}

// points are those of a curve among the settings of a result.
func (r Result) points(name string) (points [][2]float64) {
	list, _ := r.Settings[name].([]any)
	for _, p := range list {
		pair, _ := p.([]any)
		if len(pair) != 2 {
			continue
		}
		x, okX := pair[0].(float64)
		y, okY := pair[1].(float64)
		if okX && okY {
			points = append(points, [2]float64{x, y})
		}
	}
	return points
}
