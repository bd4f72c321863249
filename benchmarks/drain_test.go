package benchmarks

import (
	"testing"

	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// What differs between two lengths of the log is the length: the same share of
// the records certifies, of no more citizens than the city has.
func TestGrowthByRecordsDiffersInLengthOnly(t *testing.T) {
	const scale = 0.001
	last := 0
	for _, w := range logs(scale) {
		evidence := w.citizens * w.months
		if evidence <= last || w.citizens > growthCity*scale {
			t.Errorf("%d records of %d citizens come after %d records", evidence, w.citizens, last)
		}
		if certified := len(w.expected(catalogue.Default())); certified*monthsBetween != evidence {
			t.Errorf("%d of %d records certify, and not one in %d", certified, evidence, monthsBetween)
		}
		last = evidence
	}
	if whole := logs(1); len(whole) != len(growthEvidence) || whole[5].citizens*whole[5].months < 39_999_000 {
		t.Errorf("at scale 1 the logs are %v", whole)
	}
}

// A result is told with the question of the measure that wrote it, not of one
// whose name begins alike.
func TestResultsKnowTheirMeasure(t *testing.T) {
	for name, want := range map[string]string{"growth": "growth", "growth-records": "growth-records", "timer-first-fire": "timer"} {
		if at := place(name); at < 0 || Measures()[at].Name != want {
			t.Errorf("%s is a result of measure %d, want %s", name, at, want)
		}
	}
	if at := place("unheard-of"); at >= 0 {
		t.Errorf("a name that no measure writes is a result of %s", Measures()[at].Name)
	}
}
