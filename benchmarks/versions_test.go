package benchmarks

import (
	"debug/buildinfo"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

// Versions of peers are read from what was built, and left out where nothing
// was.
func TestVersionsOfPeersAsBuilt(t *testing.T) {
	folder, tools := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(tools, "java"): "#!/bin/sh\necho 'openjdk version \"17.0.15\" 2025-04-15' >&2\n",
		filepath.Join(folder, "java", "kafka-streams", "target", "jars", "kafka-streams-4.3.1.jar"):            "",
		filepath.Join(folder, "java", "kafka-streams", "target", "jars", "kafka-streams-test-utils-4.0.0.jar"): "",
		filepath.Join(folder, "bin", "goka"): "no program",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	want := map[string]any{"kafka-streams": "4.3.1", "java": "17.0.15"}
	b := &bench{Options: Options{PeersAt: folder, Peers: []string{"goka", "bare", "kafka-streams", "flink"}}}
	if got := b.peerVersions(t.Context()); !maps.Equal(got, want) {
		t.Errorf("the versions are %v, want %v", got, want)
	}
	info := &buildinfo.BuildInfo{Deps: []*debug.Module{{Path: "github.com/twmb/franz-go/pkg/kadm", Version: "v1.19.0"}, {Path: "github.com/twmb/franz-go", Version: "v1.22.3"}}}
	if got := moduleVersion(info, peerModules["bare"]); got != "v1.22.3" {
		t.Errorf("the version of franz-go is %q", got)
	}
	for _, name := range PeerNames() {
		if peerModules[name] == "" && peerJars[name] == "" {
			t.Errorf("nothing tells the version of %s", name)
		}
	}
}
