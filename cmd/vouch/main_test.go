package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// call runs vouch in this process and gives its standard output.
func call(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	command := root()
	command.SetArgs(args)
	command.SetOut(&out)
	command.SetErr(&out)
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

func embedded(t *testing.T) string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return strings.Join(cluster.ListenAddrs(), ",")
}

func TestEveryCommandHelps(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(command *cobra.Command) {
		for _, below := range command.Commands() {
			walk(below)
		}
		if command.Short == "" {
			t.Errorf("%s has no help", command.CommandPath())
		}
		if command.Runnable() && !command.HasSubCommands() && command.Example == "" {
			t.Errorf("%s has no example", command.CommandPath())
		}
		for _, line := range strings.Split(command.Example, "\n") {
			if line != "" && !strings.Contains(line, "vouch ") {
				t.Errorf("%s: the example %q calls something else", command.CommandPath(), line)
			}
		}
	}
	walk(root())
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"}, {"topics"}, {"topics", "nonsense"}, {"topics", "create", "--partitions", "0", "--brokers", "x"}, {"topics", "create", "extra"},
		{"produce"}, {"produce", "-"}, {"produce", "--format", "xml", "-"}, {"produce", "--format", "confluent", "-"}, {"tail", "--from", "middle"}, {"tail"}, {"status"}, {"status", "--nonsense"},
		{"schemas", "show", "Nothing"}, {"schemas", "register"}, {"schemas", "check", "one"}, {"run"}, {"run", "certifier"}, {"run", "clock", "--tick", "1ms"}, {"decide"},
		{"run", "timer", "--brokers", "127.0.0.1:1", "--state", "x", "--commit-interval", "-1s"}, {"run", "all", "--brokers", "127.0.0.1:1", "--state", "x", "--commit-interval", "6s"},
		{"status", "--brokers", "x", "--sasl", "plain"}, {"status", "--brokers", "x", "--sasl", "nonsense", "--sasl-user", "u", "--sasl-password-file", os.DevNull},
	} {
		if out, err := call(t, args...); !errors.As(err, new(usageError)) {
			t.Errorf("vouch %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// A flag beats the environment, which beats the configuration file.
func TestWhereFlagsComeFrom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vouch.yaml")
	if err := os.WriteFile(file, []byte("prefix: of-the-file.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	list := func(want string, args ...string) {
		t.Helper()
		if out, err := call(t, append([]string{"schemas", "list"}, args...)...); err != nil || !strings.Contains(out, want+".evidence-value") {
			t.Errorf("want %s: %v\n%s", want, err, out)
		}
	}
	list("vouch")
	list("of-the-file", "--config", file)
	t.Setenv("VOUCH_PREFIX", "of-the-environment.")
	list("of-the-environment", "--config", file)
	list("of-the-flag", "--config", file, "--prefix", "of-the-flag.")
}

func TestNobodyAnswers(t *testing.T) {
	_, err := call(t, "topics", "check", "--brokers", "127.0.0.1:1")
	if err == nil || errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "connect to Kafka at 127.0.0.1:1: no broker answers") {
		t.Errorf("it says %v", err)
	}
}

// From topics to records and back by the commands alone.
func TestFromFactsToTail(t *testing.T) {
	brokers := embedded(t)
	registry := srfake.New()
	defer registry.Close()
	facts := filepath.Join(t.TempDir(), "facts.ndjson")
	const fact = `{"topic":"evidence","at":"2023-06-01T02:02:03.456Z","value":{"evidence_id":"e1","citizen_id":"c1","kind":"K","source":"S","occurred_at":"2023-05-01T00:00:00.000Z","recorded_at":"2023-05-01T00:00:00.000Z"}}`
	if err := os.WriteFile(facts, []byte(fact), 0o600); err != nil {
		t.Fatal(err)
	}
	step := func(want string, args ...string) string {
		t.Helper()
		out, err := call(t, append(args, "--prefix", "v.")...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("vouch %s: %v, want %q\n%s", strings.Join(args, " "), err, want, out)
		}
		return out
	}
	step("created v.evidence", "topics", "create", "--brokers", brokers, "--partitions", "2")
	if out := step("all topics are as they must be", "topics", "create", "--brokers", brokers); strings.Contains(out, "created") {
		t.Errorf("the second time it says\n%s", out)
	}
	step("all topics are as they must be", "topics", "check", "--brokers", brokers)
	step("Evidence has id", "schemas", "register", "--registry", registry.URL())
	step("1 lines written", "produce", "--brokers", brokers, facts)
	step("1 lines written", "produce", "--brokers", brokers, "--registry", registry.URL(), facts)
	if out := step(`"evidence_id":"e1"`, "tail", "--brokers", brokers, "--registry", registry.URL(), "--until-end", "evidence"); strings.Count(out, "\n") != 2 || strings.Contains(out, `"bytes"`) {
		t.Errorf("tail says\n%s", out)
	}
	if out := step(`"bytes":"A`, "tail", "--brokers", brokers, "--until-end", "evidence"); strings.Count(out, `"e1"`) != 1 {
		t.Errorf("without a registry tail says\n%s", out)
	}
	step("v.certifier  Dead   0        v.roster    0", "status", "--brokers", brokers)
}

func TestSchemasCheck(t *testing.T) {
	folder := t.TempDir()
	file := func(name, fields string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(`{"type":"record","name":"R","fields":[`+fields+`]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := file("one.avsc", `{"name":"a","type":"long"}`)
	two := file("two.avsc", `{"name":"a","type":"long"},{"name":"b","type":"string"}`)
	if out, err := call(t, "schemas", "check", "--mode", "forward", one, two); err != nil || !strings.Contains(out, "two.avsc is FORWARD compatible") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := call(t, "schemas", "check", one, two); err == nil || errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "two.avsc is not BACKWARD compatible") {
		t.Errorf("it says %v", err)
	}
	if out, err := call(t, "schemas", "show", "ClockTick"); err != nil || !strings.Contains(out, `"name": "ClockTick"`) {
		t.Errorf("%v\n%s", err, out)
	}
}
