package topology

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vouch-engine/vouch/processors/certify"
)

// timerOutputs are the topics that the timer writes and nobody else.
var timerOutputs = []string{ExpiryReminder, VisitRequested, Standing}

// sequences are records by topic and key, in their order.
func sequences(t testing.TB, all []string) map[string][]string {
	t.Helper()
	of := map[string][]string{}
	for _, record := range all {
		var parts []any
		if err := json.Unmarshal([]byte(record), &parts); err != nil {
			t.Fatal(err)
		}
		if topic := parts[0].(string); topic != Quarantine {
			name := topic + " of " + parts[1].(string)
			of[name] = append(of[name], record)
		}
	}
	return of
}

// compareSequences complains unless each citizen's records on each topic are the
// same in the same order.
// Those in quarantine are not looked at: a key that is nobody's has no order.
func compareSequences(t testing.TB, got, want []string) {
	t.Helper()
	one, other := sequences(t, got), sequences(t, want)
	for name := range one {
		if other[name] == nil {
			t.Errorf("on %s there should be nothing, and there are %d records", name, len(one[name]))
		}
	}
	for name, records := range other {
		for i := range max(len(records), len(one[name])) {
			is, should := "nothing", "nothing"
			if i < len(one[name]) {
				is = one[name][i]
			}
			if i < len(records) {
				should = records[i]
			}
			if is != should {
				t.Errorf("on %s there are %d records, want %d; the first that differs, %d, is\n%s\nwant\n%s", name, len(one[name]), len(records), i, is, should)
				break
			}
		}
	}
}

// emitted counts the records of a topic in committed transactions.
func emitted(t testing.TB, m *Metrics, topic string) (records int) {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.Metric {
			for _, label := range metric.Label {
				if family.GetName() == metricEmitted && label.GetName() == "topic" && label.GetValue() == topic {
					records += int(metric.Counter.GetValue())
				}
			}
		}
	}
	return records
}

// What certifier and timer write on a broker is, as a set, what the same facts
// give offline, and of each citizen in the same order; and what each of them
// counts adds up to what it read.
func TestExamplesOnABroker(t *testing.T) {
	for _, file := range examples(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".facts.ndjson"), func(t *testing.T) {
			w := newWorld(t)
			w.createTopics()
			text, c := readFile(t, file), exampleCatalogue(t, file)
			certifier, timer := NewMetrics(CertifierGroup), NewMetrics(TimerGroup)
			// First: the order of facts is promised for what lies there when the
			// certifier takes its partitions over.
			if err := w.produce(text); err != nil {
				t.Fatal(err)
			}
			stopTimer := w.runTimer(RunOptions{Catalogue: c, Metrics: timer})
			stop := w.run(RunOptions{Catalogue: c, Metrics: certifier})
			w.awaitRead(certifier, recordsOf(t, text))
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			scheduled := emitted(t, certifier, Schedule)
			w.awaitRead(timer, scheduled)
			if err := stopTimer(); err != nil {
				t.Fatal(err)
			}
			topics := slices.Concat(certifierOutputs, timerOutputs)
			got, want := w.written(topics), decided(t, c, text, topics)
			compareSets(t, got, want)
			compareSequences(t, got, want)
			nothingLost(t, certifier.Totals(), recordsOf(t, text))
			nothingLost(t, timer.Totals(), scheduled)
			if n := timer.Totals().Counts[certify.Applied]; n != scheduled {
				t.Errorf("of %d records that the certifier wrote the timer applied %d", scheduled, n)
			}
		})
	}
}
