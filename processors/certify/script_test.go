package certify_test

import (
	"path/filepath"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/vouch-engine/vouch/processors/certify/certifytest"
)

// TestScripts runs the scripts on the bare functions. This depth alone may
// write down what they say: go test ./processors/certify -run TestScripts -rewrite
// Those in testdata/next start the certifier again under another catalogue.
func TestScripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	next, _ := filepath.Glob("testdata/next/*.txt")
	if len(files) == 0 || len(next) == 0 {
		t.Fatal("there are no scripts")
	}
	for _, file := range append(files, next...) {
		t.Run(filepath.ToSlash(file), func(t *testing.T) {
			datadriven.RunTest(t, file, certifytest.Commands(certifytest.NewBare()))
		})
	}
}
