package topology

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/schemas/facts"
)

// examples are facts with the events they must give, made by a second,
// independent reading of the specification.
func examples(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/examples/*/*.facts.ndjson")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	return files
}

func exampleCatalogue(t testing.TB, factsFile string) *catalogue.Catalogue {
	t.Helper()
	file := filepath.Join(filepath.Dir(factsFile), "catalogue.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalogue.Load(file, text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// folded tells whether an event is one that the fold gives: any but those of
// payouts, payees and eligibility.
func folded(event map[string]any) bool {
	if event["topic"] != Alert {
		return true
	}
	rule := event["value"].(map[string]any)["rule"].(string)
	return !strings.HasPrefix(rule, "paid_") && rule != "payee_shared" && rule != "not_eligible"
}

func readEvents(t testing.TB, from io.Reader) (events []map[string]any) {
	t.Helper()
	decoder := json.NewDecoder(from)
	decoder.UseNumber()
	for {
		var event map[string]any
		err := decoder.Decode(&event)
		if errors.Is(err, io.EOF) {
			return events
		}
		if err != nil {
			t.Fatal(err)
		}
		if folded(event) {
			if value, is := event["value"].(map[string]any); is {
				delete(value, "catalogue")
			}
			events = append(events, event)
		}
	}
}

// fold decides a facts file offline.
func fold(t testing.TB, f *Fold, file string) []byte {
	t.Helper()
	from, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	var decided bytes.Buffer
	lines := facts.NewReader(from)
	for {
		line, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return decided.Bytes()
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, output := range f.Step(line) {
			if err := facts.Write(&decided, output); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestExamplesGiveTheirEvents(t *testing.T) {
	for _, file := range examples(t) {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/examples/"), ".facts.ndjson"), func(t *testing.T) {
			got := readEvents(t, bytes.NewReader(fold(t, NewFold(exampleCatalogue(t, file)), file)))
			events, err := os.Open(strings.Replace(file, ".facts.", ".events.", 1))
			if err != nil {
				t.Fatal(err)
			}
			defer events.Close()
			want := readEvents(t, events)
			for i := 0; i < max(len(got), len(want)); i++ {
				var g, w map[string]any
				if i < len(got) {
					g = got[i]
				}
				if i < len(want) {
					w = want[i]
				}
				if !reflect.DeepEqual(g, w) {
					gotText, _ := json.Marshal(g)
					wantText, _ := json.Marshal(w)
					t.Fatalf("event %d of %d is\n%s\nwant\n%s", i+1, len(want), gotText, wantText)
				}
			}
		})
	}
}
