package benchmarks

import (
	"context"
	"slices"
	"time"
)

// transactionRate is records a second: enough that commits cost something, and
// one of the fixed rates of the open loop, so that the two can be compared.
const transactionRate = 5_000

// commitIntervals are what the engine is told of the least time between two
// commits.
var commitIntervals = []time.Duration{
	0, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
}

// transactionScale is the scale below which only the shortest and the longest
// interval are measured: to see that it works.
const transactionScale = 0.1

// transaction measures what transactions of a length cost, and how much later
// what they say is read: the open loop at one rate with one interval between
// commits after the other.
func transaction(ctx context.Context, b *bench, sys system) error {
	intervals := commitIntervals
	if b.Scale < transactionScale {
		intervals = []time.Duration{intervals[0], intervals[len(intervals)-1]}
	}
	for _, interval := range intervals {
		b.Say("transaction: commits at least %v apart", interval)
		s := sys
		s.args = append(slices.Clone(sys.args), "--commit-interval", interval.String())
		if err := b.openLoopAt(ctx, "transaction", s, transactionRate, sys.with("commit_interval_ms", interval.Milliseconds())); err != nil {
			return err
		}
	}
	return nil
}
