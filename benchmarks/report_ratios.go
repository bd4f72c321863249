package benchmarks

import (
	"fmt"
	"slices"
	"strings"
)

// ratiosNote says how to read the table of ratios.
const ratiosNote = "The engine's median divided by the peer's, and the least and the most that the runs of the two allow, of runs that one command made at one commit. " +
	"Above 1 is better for the engine where the head says ↑, below 1 where it says ↓. Where the engine is behind, it is bold."

// ofPeers says whether a setting is one that a peer is measured under.
func ofPeers(setting string) bool {
	for _, p := range peers {
		for _, settings := range p.settings {
			if _, is := settings[setting]; is {
				return true
			}
		}
	}
	return false
}

// split tells the settings of the system from those of the measure.
func (s *set) split() (system, measure string) {
	parts := [2][]string{{s.system}, nil}
	for _, part := range strings.Fields(s.settings) {
		name, _, _ := strings.Cut(part, "=")
		to := 1
		if ofPeers(name) {
			to = 0
		}
		parts[to] = append(parts[to], part)
	}
	return strings.Join(parts[0], " "), strings.Join(parts[1], " ")
}

// sitting tells runs apart that were not made in turn with each other, as far
// as results know: what one command made at one commit.
func (r Result) sitting() string { return settingText(r.Settings["command"]) + "\x00" + r.Commit }

// beside is what the engine did in the same measure under the same settings
// in the sittings of a peer's runs, and what the peer did in those of the
// engine's; nil if they have none in common.
func (s *section) beside(peer *set) (engine, of *set) {
	_, measured := peer.split()
	for _, own := range s.sets {
		if _, same := own.split(); own.system != vouch || own.measure != peer.measure || own.scale != peer.scale || same != measured {
			continue
		}
		if engine, of = own.among(peer), peer.among(own); len(engine.runs) > 0 && len(of.runs) > 0 {
			return engine, of
		}
	}
	return nil, nil
}

// among is the set with the runs only that were made in a sitting of another.
func (s *set) among(other *set) *set {
	within := *s
	within.runs = nil
	for _, r := range s.runs {
		if slices.ContainsFunc(other.runs, func(o Result) bool { return o.sitting() == r.sitting() }) {
			within.runs = append(within.runs, r)
		}
	}
	return &within
}

// over is how many times a peer's figure the engine's is: strong where the
// engine is behind, and nothing where one of the two has none.
func (f figure) over(engine, peer spread) cell {
	if min(engine.runs, peer.runs) == 0 || peer.low <= 0 {
		return cell{}
	}
	ratio := engine.median / peer.median
	text := numberText(ratio) + "×"
	if engine.low < engine.high || peer.low < peer.high {
		text = fmt.Sprintf("%s (%s–%s)", text, numberText(engine.low/peer.high), numberText(engine.high/peer.low))
	}
	return cell{text, f.higher && ratio < 1 || !f.higher && ratio > 1}
}

// ratios is a table of every peer's rows against the engine's. A broker in
// memory has none: its rows are no figures.
func (s *section) ratios() (t table) {
	if s.broker == BrokerEmbedded {
		return t
	}
	t.head = []string{"measure", "settings", "against", "scale"}
	for _, f := range figures {
		t.head = append(t.head, f.name+map[bool]string{true: " ↑", false: " ↓"}[f.higher])
	}
	for _, peer := range s.sets {
		if peer.system == vouch {
			continue
		}
		engine, of := s.beside(peer)
		if engine == nil {
			continue
		}
		against, measured := of.split()
		row := []cell{{text: of.measure}, {text: measured}, {text: against}, {text: settingText(of.scale)}}
		for _, f := range figures {
			row = append(row, f.over(engine.spread(f), of.spread(f)))
		}
		t.rows = append(t.rows, row)
	}
	return t.withoutEmpty()
}

// caveats are what a reader of ratios must know of the peers in a section.
func (s *section) caveats() (all []string) {
	for _, p := range peers {
		if !slices.ContainsFunc(s.sets, func(of *set) bool { return of.system == p.name }) {
			continue
		}
		if p.local {
			all = append(all, p.name+" keeps its state on its own disk only: it pays for no replica, and with the disk it loses it.")
		}
		if p.atLeastOnce {
			all = append(all, p.name+" promises no more than at least once, which costs it no transactions.")
		}
	}
	return append(all, "What each peer does and leaves out is told in benchmarks/peers/README.md.")
}
