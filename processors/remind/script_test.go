package remind_test

import (
	"path/filepath"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/vouch-engine/vouch/processors/remind/remindtest"
)

// TestScripts runs the scripts on the bare functions. This depth alone may
// write down what they say: go test ./processors/remind -run TestScripts -rewrite
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			datadriven.RunTest(t, file, remindtest.Commands(remindtest.NewBare()))
		})
	}
}
