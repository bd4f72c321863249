package benchmarks

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every peer is measured under each of its settings, which it is told as flags.
func TestPeersUnderTheirSettings(t *testing.T) {
	folder := t.TempDir()
	for _, p := range peers {
		path := filepath.Join(folder, p.program)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{Options: Options{Program: "vouch", PeersAt: folder, Peers: []string{"kafka-streams", "goka"}}}
	systems, err := b.systems()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range systems {
		got = append(got, s.title()+": "+strings.Join(s.args, " "))
	}
	want := []string{
		"vouch: run certifier",
		"kafka-streams cache=10MB commit=100ms: kafka-streams --cache 10MB --commit 100ms",
		"kafka-streams cache=off commit=100ms: kafka-streams --cache off --commit 100ms",
		"kafka-streams cache=10MB commit=10ms: kafka-streams --cache 10MB --commit 10ms",
		"goka: ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the systems are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	b.Peers = []string{"nonsense"}
	if _, err := b.systems(); err == nil || !strings.Contains(err.Error(), "there is no peer nonsense") {
		t.Errorf("it says %v", err)
	}
}
