package topology

import "github.com/vouch-engine/vouch/processors/certify"

// tally counts what one partition made of the records of the open transaction.
// Its owner adds to it without a lock; it enters the metrics when the
// transaction is committed, and is forgotten when it is not, so that what the
// metrics say is what the log says: no record counts twice, whatever crashes.
type tally struct {
	counts  map[counted]int
	refused map[refused]int
	sent    map[string]int
}

type counted struct {
	topic string
	count certify.Count
}

type refused struct {
	topic  string
	reason certify.Refusal
}

func newTally() *tally {
	return &tally{map[counted]int{}, map[refused]int{}, map[string]int{}}
}

func (t *tally) count(topic string, count certify.Count) { t.counts[counted{topic, count}]++ }

func (t *tally) quarantined(topic string, reason certify.Refusal) {
	t.refused[refused{topic, reason}]++
}

func (t *tally) emitted(topic string) { t.sent[topic]++ }
