package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBenchWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"run", "nonsense"}, {"run", "--scale", "0"}, {"run", "--scale", "11"}, {"run", "--runs", "0"}, {"run", "--peers", "nonsense"},
		{"run", "--local-kafka", "--brokers", "x"}, {"report"}, {"compare", "one"},
	} {
		if out, err := call(t, append([]string{"bench"}, args...)...); !errors.As(err, new(usageError)) {
			t.Errorf("vouch bench %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// A peer that is not built is named, before anything is started.
func TestBenchPeerThatIsNotBuilt(t *testing.T) {
	_, err := call(t, "bench", "run", "drain", "--peers", "goka", "--peers-at", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "the peer goka is not built") {
		t.Errorf("it says %v", err)
	}
}

func TestBenchReportAndCompare(t *testing.T) {
	folder := t.TempDir()
	file := func(name, seconds string) string {
		path := filepath.Join(folder, name)
		line := `{"name":"drain","system":"vouch","scale":1,"records":1000,"seconds":` + seconds + `,"valid":true,"settings":{"broker":"local"},"versions":{},"commit":"c"}`
		if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fast, slow, page := file("fast", "1"), file("slow", "2"), filepath.Join(folder, "page.html")
	if out, err := call(t, "bench", "report", "--html", page, fast, slow); err != nil || !strings.Contains(out, "| vouch |  | 1 | 2 | 750 (500–1,000) |") {
		t.Errorf("%v\n%s", err, out)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "<td>750 (500–1,000)") {
		t.Errorf("%v\n%s", err, text)
	}
	if out, err := call(t, "bench", "compare", slow, fast); err != nil || !strings.Contains(out, "1 better") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := call(t, "bench", "compare", fast, slow); err == nil || errors.As(err, new(usageError)) || !strings.Contains(out, "-50 %") {
		t.Errorf("%v\n%s", err, out)
	}
}
