package topology

import (
	"slices"

	"github.com/vouch-engine/vouch/processors/certify"
)

// tally counts what one partition made of the records that are not committed
// yet. Its partition's goroutine adds to it without a lock; while that is quiet
// it enters the metrics when its records are committed, or is forgotten when
// they are not, since they will be read again.
type tally struct {
	topics []string // inputs
	inputs [inputTopicsMax]struct {
		read    int
		counts  [countKinds]int
		refused [refusalKinds]int
	} // by the places in topics, certify.Counts and certify.Refusals
	sent   map[string]int // by topic
	passed int            // citizens gone over anew
}

// The sizes of a tally.
const (
	inputTopicsMax = 4
	countKinds     = 4
	refusalKinds   = 10
)

func newTally(topics []string) *tally { return &tally{topics: topics, sent: map[string]int{}} }

func (t *tally) read(topic string) { t.inputs[slices.Index(t.topics, topic)].read++ }

func (t *tally) count(topic string, count certify.Count) {
	t.inputs[slices.Index(t.topics, topic)].counts[slices.Index(certify.Counts, count)]++
}

func (t *tally) quarantined(topic string, reason certify.Refusal) {
	t.inputs[slices.Index(t.topics, topic)].refused[slices.Index(certify.Refusals, reason)]++
}

func (t *tally) emitted(topic string) { t.sent[topic]++ }

// forget makes it empty.
func (t *tally) forget() {
	clear(t.inputs[:])
	clear(t.sent)
	t.passed = 0
}
