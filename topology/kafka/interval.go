package kafka

import (
	"context"
	"slices"
	"time"
)

// rest is how long no transaction may begin yet. Nothing waits for the interval
// while a partition lags by more than it buffers, or goes over its table or
// fires a step in several transactions: these are as large as they may be
// anyway.
func (g *generation) rest() time.Duration {
	l := &g.config.Limits
	left := l.Interval - time.Since(g.ended)
	if left <= 0 || slices.ContainsFunc(g.held(), func(p *partition) bool { return p.hurries(int64(l.BufferedRecords)) }) {
		return 0
	}
	return left
}

// hurries says whether a partition has more to do than comes in an interval.
func (p *partition) hurries(buffered int64) bool {
	return p.first || p.alone != nil || slices.ContainsFunc(p.queues, func(q queue) bool { return max(q.end, q.until)-q.next > buffered })
}

// restMin is a rest that is not divided any more.
const restMin = 2 * time.Millisecond

// sitOut waits, with rebalances allowed, for half of a rest. Between the halves
// what has come is fetched, so that little is missing when the transaction
// begins, and yet a long interval costs few fetches.
func (g *generation) sitOut(ctx context.Context, rest time.Duration) {
	if rest == 0 {
		return
	}
	waiting, stop := context.WithTimeout(g.ctx, min(rest, max(rest/2, restMin)))
	defer stop()
	g.wake.Store(&stop)
	defer context.AfterFunc(ctx, stop)()
	<-waiting.Done()
}
