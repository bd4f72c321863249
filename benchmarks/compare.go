package benchmarks

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// What counts as noise between two sets of runs. Where both have enough runs to
// show their own spread, a figure has moved if the two ranges do not meet and
// the medians are apart; with fewer runs the medians must be further apart.
const (
	noiseRuns    = 3
	noiseKnown   = 0.05
	noiseUnknown = 0.25
)

// moved says by which share of a the median of b is worse (above 0) or better
// (below), and whether that is more than noise.
func moved(f figure, a, b spread) (worse float64, beyond bool) {
	if a.median == 0 {
		return 0, false
	}
	worse = b.median/a.median - 1
	if f.higher {
		worse = a.median/max(b.median, 1e-9) - 1
	}
	apart := max(worse, a.median/max(b.median, 1e-9)-1, b.median/a.median-1)
	if min(a.runs, b.runs) < noiseRuns {
		return worse, apart > noiseUnknown
	}
	return worse, apart > noiseKnown && (a.low > b.high || b.low > a.high)
}

// Compare says what differs between two lists of results by more than noise,
// and returns how many figures got worse. Only what was measured in the same
// way is compared: never an embedded broker with a real one, and never two
// machines.
func Compare(before, after []Result, to io.Writer) (worse int, err error) {
	old := map[string]*set{}
	for _, s := range setsOf(before) {
		old[s.key()] = s
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	compared, better, alone := 0, 0, 0
	for _, b := range setsOf(after) {
		a := old[b.key()]
		if a == nil {
			alone++
			continue
		}
		delete(old, b.key())
		if b.invalid > 0 && a.invalid == 0 {
			worse++
			fmt.Fprintf(table, "worse\t%s\toutputs\tright → wrong in %d of %d runs\t\n", b.title(), b.invalid, b.invalid+len(b.runs))
		}
		for _, f := range figures {
			was, is := a.spread(f), b.spread(f)
			if was.runs == 0 || is.runs == 0 {
				continue
			}
			compared++
			by, beyond := moved(f, was, is)
			switch {
			case !beyond:
				continue
			case by > 0:
				worse++
				fmt.Fprint(table, "worse")
			default:
				better++
				fmt.Fprint(table, "better")
			}
			fmt.Fprintf(table, "\t%s\t%s\t%s → %s %s\t%+.0f %%\n", b.title(), f.name, was, is, f.unit, 100*(is.median/was.median-1))
		}
	}
	if err := table.Flush(); err != nil {
		return worse, err
	}
	if compared == 0 {
		return 0, fmt.Errorf("bench: the two have nothing in common that was measured in the same way: same measure, system, settings, scale, kind of broker and machine")
	}
	_, err = fmt.Fprintf(to, "%d figures compared: %d worse, %d better, the others within noise; %d sets of runs are only in the first, %d only in the second\n", compared, worse, better, len(old), alone)
	return worse, err
}
