package topology

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/vouch-engine/vouch/"

// layer is what the packages of a folder and below it may import, apart from
// the standard library and themselves.
type layer struct {
	folders []string
	may     []string // folders of this module, with "/..." for all below, and prefixes of other modules' paths
	pure    bool     // nothing that touches the world, of the standard library either
	remedy  string
}

// impure is what a decision does not touch: a disk, a lock, a log, a broker.
var impure = []string{"os", "net", "log", "sync", "io", "context", "math/rand", "syscall", "unsafe", "runtime", "testing"}

// tellsTime is what a decision does not ask of package time, which it may name
// for its types.
var tellsTime = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation"}

// layers say who may import whom. A package lies in the one that names the
// longest part of its path.
var layers = []layer{
	{folders: []string{"schemas"},
		remedy: "nouns need the standard library only: move what needs more to whoever does something with them"},
	{folders: []string{"schemas/facts"}, may: []string{"schemas"},
		remedy: "facts are records as JSON, and need schemas and the standard library only"},
	{folders: []string{"schemas/avro"}, may: []string{"schemas", "github.com/linkedin/goavro/v2", "github.com/twmb/avro", "github.com/twmb/franz-go/pkg/sr"},
		remedy: "avro turns nouns into bytes: decide in processors, talk to brokers in topology/kafka"},
	{folders: []string{"schemas/catalogue"}, may: []string{"schemas", "gopkg.in/yaml.v3", "github.com/gowebpki/jcs", "github.com/google/cel-go"},
		remedy: "the catalogue hands processors values and compiled functions: what asks others belongs to topology, what reads files to cmd"},
	{folders: []string{"processors"}, may: []string{"schemas", "schemas/catalogue"}, pure: true,
		remedy: "a decision is a pure function of row, input and clock: hand what it needs in as an argument, from topology"},
	{folders: []string{"processors/certify/certifytest", "processors/remind/remindtest", "processors/guard/guardtest"},
		may:    []string{"schemas", "schemas/catalogue", "processors/...", "github.com/cockroachdb/datadriven"},
		remedy: "a script runner knows its processor and nothing that runs it: a depth of its scripts belongs to the tests of topology"},
	{folders: []string{"topology/kafka"}, may: []string{"topology/pieces", "github.com/lovoo/goka", "github.com/IBM/sarama", "github.com/twmb/franz-go"},
		remedy: "topology/kafka knows no citizen and no store: topology/run.go introduces them"},
	{folders: []string{"topology/pieces"},
		remedy: "topology/pieces is memory, and knows nothing of what lies in it"},
	{folders: []string{"topology/store"}, may: []string{"topology/pieces", "github.com/lovoo/goka/storage", "github.com/cockroachdb", "github.com/edsrzf/mmap-go"},
		remedy: "topology/store knows no citizen and no broker: topology/run.go introduces them"},
	{folders: []string{"topology"},
		may: []string{"schemas/...", "processors/...", "topology/...", "github.com/prometheus", "github.com/lovoo/goka",
			"github.com/IBM/sarama", "github.com/twmb/franz-go", "github.com/cockroachdb/pebble/v2", "golang.org/x/sync"},
		remedy: "topology wires what is below it: what reads flags belongs to cmd, what decides to processors"},
	{folders: []string{"benchmarks"},
		may:    []string{"schemas/...", "processors/...", "topology", "benchmarks/...", "github.com/twmb/franz-go", "github.com/HdrHistogram", "golang.org/x/sync"},
		remedy: "a benchmark drives the engine through topology, like any caller"},
	{folders: []string{"cmd"},
		may:    []string{"schemas/...", "topology", "benchmarks", "cmd/...", "github.com/spf13", "github.com/knadh/koanf", "github.com/twmb/franz-go", "github.com/KimMachineGun/automemlimit"},
		remedy: "cmd reads flags and calls topology: what decides or wires belongs there"},
	{folders: []string{"deploy"}, may: []string{"github.com/twmb/franz-go"},
		remedy: "deploy gives the engine a place and knows nothing of it"},
	{folders: []string{"deploy/examples"}, may: []string{"github.com/twmb/franz-go", "github.com/twmb/avro", "example.com/department"},
		remedy: "a department's program knows schemas and topics, and has nothing of the engine in it"},
}

// layerOf finds the layer of a package's folder, nil if it lies in none.
func layerOf(folder string) (found *layer) {
	longest := 0
	for i := range layers {
		for _, f := range layers[i].folders {
			if (folder == f || strings.HasPrefix(folder, f+"/")) && len(f) > longest {
				found, longest = &layers[i], len(f)
			}
		}
	}
	return found
}

// allowed tells whether a package of the layer may import a path.
func (l *layer) allowed(path string) bool {
	within := func(prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }
	first, _, _ := strings.Cut(path, "/")
	if !strings.Contains(first, ".") { // of the standard library
		return !l.pure || !slices.ContainsFunc(impure, within)
	}
	return slices.ContainsFunc(l.may, func(allowed string) bool {
		if first, _, _ := strings.Cut(allowed, "/"); strings.Contains(first, ".") {
			return within(allowed)
		}
		if folder, all := strings.CutSuffix(allowed, "/..."); all {
			return within(module + folder)
		}
		return path == module+allowed
	})
}

// hasModule tells whether a folder is a module of its own.
func hasModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

// TestWhoMayImportWhom: packages import downwards only, and decisions touch
// nothing of the world.
func TestWhoMayImportWhom(t *testing.T) {
	found := map[*layer]bool{}
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != ".." && (name == "testdata" || strings.HasPrefix(name, ".")):
			return filepath.SkipDir
		case entry.IsDir() && file != ".." && hasModule(file): // programs that use the engine from outside
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		folder := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(file), ".."+string(filepath.Separator)))
		l := layerOf(folder)
		if l == nil {
			t.Errorf("%s lies in no layer: name its folder in topology/layering_test.go, or move it", file)
			return nil
		}
		found[l] = true
		for _, breach := range l.breaches(t, file) {
			t.Errorf("%s %s: %s", file, breach, l.remedy)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"schemas", "schemas/facts", "processors/certify", "processors/certify/certifytest", "topology/kafka", "topology/store", "topology", "cmd/vouch"} {
		if !found[layerOf(folder)] {
			t.Errorf("no package of the layer of %s was found", folder)
		}
	}
}

// breaches lists what a file does that its layer may not.
func (l *layer) breaches(t *testing.T, file string) (all []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if !l.allowed(path) {
			all = append(all, "imports "+path+", which its layer may not")
		}
	}
	if !l.pure {
		return all
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if selector, is := n.(*ast.SelectorExpr); is && slices.Contains(tellsTime, selector.Sel.Name) {
			if of, is := selector.X.(*ast.Ident); is && of.Name == "time" {
				all = append(all, "asks time."+selector.Sel.Name)
			}
		}
		return true
	})
	return all
}

// TestLayersRefuse: the test above would find each kind of breach.
func TestLayersRefuse(t *testing.T) {
	for folder, paths := range map[string][]string{
		"schemas":            {module + "schemas/catalogue", "gopkg.in/yaml.v3"},
		"schemas/facts":      {module + "schemas/catalogue", "github.com/twmb/avro"},
		"processors/certify": {"os", "io/fs", "math/rand/v2", "log/slog", module + "schemas/avro", module + "topology", module + "processors/remind"},
		"topology/kafka":     {module + "schemas", module + "topology/store", "github.com/cockroachdb/pebble/v2"},
		"topology/store":     {module + "topology/kafka", "github.com/lovoo/goka"},
		"cmd/vouch":          {module + "processors/certify", module + "topology/kafka"},
		"benchmarks":         {module + "cmd/vouch", module + "topology/store"},
		"deploy/examples":    {module + "schemas", module + "schemas/avro"},
	} {
		for _, path := range paths {
			if layerOf(folder).allowed(path) {
				t.Errorf("%s may import %s", folder, path)
			}
		}
	}
	if layerOf("tools") != nil || layerOf("schemasother") != nil {
		t.Error("a folder that no layer names lies in one")
	}
}
