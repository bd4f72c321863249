package benchmarks

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vouch-engine/vouch/topology"
)

// vouch is the name of the engine among the systems.
const vouch = "vouch"

// system is a program that decides the workload, with the settings that it is
// measured under: the engine, or a peer of it. What a peer must do is told in
// benchmarks/peers/README.md.
type system struct {
	name     string
	program  string
	args     []string // before those that every system gets
	settings map[string]string

	atLeastOnce bool // it promises no more
	local       bool // its state is on its own disk only, and lost with it
}

// title tells two settings of a system apart.
func (s system) title() string {
	title := s.name
	for _, name := range sortedNames(s.settings) {
		title += " " + name + "=" + s.settings[name]
	}
	return title
}

// with are the settings of a result: those of the system, and pairs of a name
// and a value.
func (s system) with(pairs ...any) map[string]any {
	all := map[string]any{}
	for name, value := range s.settings {
		all[name] = value
	}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i].(string)] = pairs[i+1]
	}
	return all
}

// peers are the systems that can be measured beside the engine: where their
// program is, below the folder in which they were built, and the settings that
// they are measured under, each in turn.
var peers = []struct {
	system
	settings []map[string]string
}{
	{system{name: "goka", program: "bin/goka", atLeastOnce: true}, []map[string]string{nil}},
	{system{name: "bare", program: "bin/bare"}, []map[string]string{nil}},
	{system{name: "kafka-streams", program: "java/run", args: []string{"kafka-streams"}}, []map[string]string{
		{"cache": "10MB", "commit": "100ms"}, {"cache": "off", "commit": "100ms"}, {"cache": "10MB", "commit": "10ms"},
	}},
	{system{name: "flink", program: "java/run", args: []string{"flink"}, local: true}, []map[string]string{
		{"state-backend": "heap", "checkpoint": "1s"}, {"state-backend": "rocksdb", "checkpoint": "1s"},
		{"state-backend": "heap", "checkpoint": "100ms"}, {"state-backend": "rocksdb", "checkpoint": "100ms"},
	}},
}

// PeerNames are the systems that can be measured beside the engine.
func PeerNames() (names []string) {
	for _, p := range peers {
		names = append(names, p.name)
	}
	return names
}

// systems are those of this run, the engine first.
func (b *bench) systems() ([]system, error) {
	all := []system{{name: vouch, program: b.Program, args: []string{"run", topology.CertifierGroup}}}
	for _, name := range b.Peers {
		found := false
		for _, p := range peers {
			if p.name != name {
				continue
			}
			found = true
			program := filepath.Join(b.PeersAt, p.program)
			if _, err := os.Stat(program); err != nil {
				return nil, fmt.Errorf("bench: the peer %s is not built: %w; %s/README.md says how", name, err, b.PeersAt)
			}
			for _, settings := range p.settings {
				s := p.system
				s.program, s.args, s.settings = program, slices.Clone(p.args), settings
				for _, flag := range sortedNames(settings) {
					s.args = append(s.args, "--"+flag, settings[flag])
				}
				all = append(all, s)
			}
		}
		if !found {
			return nil, fmt.Errorf("bench: there is no peer %s, only %s", name, strings.Join(PeerNames(), ", "))
		}
	}
	return all, nil
}

// member is one process of a system: what it is started with, again and again.
type member struct {
	system
	prefix   string
	instance string
	state    string // its directory
}

// member makes the first member of a system, with a state of its own.
func (b *bench) member(s system, prefix, instance string) member {
	b.serial++
	return member{s, prefix, instance, filepath.Join(b.directory, fmt.Sprint("state-", b.serial))}
}

// timer is a member of the engine's other group.
func (b *bench) timer(prefix string) member {
	return b.member(system{name: vouch, program: b.Program, args: []string{"run", topology.TimerGroup}}, prefix, "bench")
}

func (b *bench) catalogueFile() string { return filepath.Join(b.directory, "catalogue.json") }

// start starts a member's process. Its log is kept as long as the run.
func (b *bench) start(m member) (*subject, error) {
	b.serial++
	log := filepath.Join(b.directory, fmt.Sprint("log-", b.serial))
	args := append(slices.Clone(m.args), "--brokers", strings.Join(b.Brokers, ","), "--prefix", m.prefix, "--state", m.state)
	if m.name != vouch {
		s, err := startSubject(log, m.program, append(args, "--catalogue", b.catalogueFile())...)
		if err == nil {
			s.ready = s.saidReady
		}
		return s, err
	}
	listen, err := freeAddress()
	if err != nil {
		return nil, fmt.Errorf("bench: find a port for %s: %w", m.name, err)
	}
	s, err := startSubject(log, m.program, append(args, "--instance", m.instance, "--listen", listen)...)
	if err == nil {
		s.ready = func(ctx context.Context) bool { return answersReady(ctx, listen) }
	}
	return s, err
}

// answersReady asks the engine's own listener.
func answersReady(ctx context.Context, listen string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/ready", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// saidReady looks for the line that a peer prints.
func (s *subject) saidReady(context.Context) bool {
	text, err := os.ReadFile(s.log)
	return err == nil && strings.Contains("\n"+string(text), "\nready\n")
}

func sortedNames[V any](m map[string]V) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}
