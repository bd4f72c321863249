package benchmarks

import (
	"bytes"
	"os"
	"regexp"
	"testing"
)

// figures.md is the report of figures.ndjson, whose lines are right, of a real
// broker and of a commit that has a name.
func TestFiguresAreTheReport(t *testing.T) {
	lines, err := os.Open("figures.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lines.Close() }()
	results, err := ReadResults("figures.ndjson", lines)
	if err != nil {
		t.Fatal(err)
	}
	commit := regexp.MustCompile("^[0-9a-f]{40}$")
	for _, r := range results {
		if !r.Valid || r.Settings["broker"] == BrokerEmbedded || !commit.MatchString(r.Commit) {
			t.Errorf("%s of %s: valid %t, broker %v, commit %q", r.Name, r.System, r.Valid, r.Settings["broker"], r.Commit)
		}
	}
	report, err := os.ReadFile("figures.md")
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := Markdown(results, &again); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), report) {
		t.Error("figures.md is not what `vouch bench report benchmarks/figures.ndjson` says")
	}
}
