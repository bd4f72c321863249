package benchmarks

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// section is what was measured on one kind of broker and one machine: figures
// of two sections are never put side by side.
type section struct {
	broker, machine string
	sets            []*set
	results         []Result // all, the wrong ones too
}

// whatBroker says what the kinds are to a reader.
var whatBroker = map[string]string{
	BrokerEmbedded: "a broker in memory: these rows show that a measure works, and are no figures",
	BrokerLocal:    "a real Kafka on the same machine, whose cores it shares",
	BrokerGiven:    "a Kafka cluster",
}

// sectionsOf are in the order of their first results, those of a broker in
// memory last.
func sectionsOf(results []Result) (sections []*section) {
	of := func(broker, machine string) *section {
		i := slices.IndexFunc(sections, func(known *section) bool { return known.broker == broker && known.machine == machine })
		if i < 0 {
			i = len(sections)
			sections = append(sections, &section{broker: broker, machine: machine})
		}
		return sections[i]
	}
	for _, r := range results {
		like := setOf(r)
		in := of(like.broker, like.machine)
		in.results = append(in.results, r)
	}
	for _, s := range setsOf(results) {
		in := of(s.broker, s.machine)
		in.sets = append(in.sets, s)
	}
	inMemory := func(s *section) bool { return s.broker == BrokerEmbedded }
	first := slices.DeleteFunc(slices.Clone(sections), inMemory)
	return append(first, slices.DeleteFunc(sections, func(s *section) bool { return !inMemory(s) })...)
}

func (s *section) title() string {
	if what := whatBroker[s.broker]; what != "" {
		return what
	}
	return "a broker of which the results say nothing"
}

// measures are the names of the results in a section, in order.
func (s *section) measures() (names []string) {
	for _, of := range s.sets {
		if !slices.Contains(names, of.measure) {
			names = append(names, of.measure)
		}
	}
	return names
}

// circumstance is something that one has to know to repeat results: as many
// values as they have.
type circumstance struct {
	name   string
	values []string
}

func (s *section) circumstances() (all []circumstance) {
	collect := func(name string, of func(Result) string) {
		c := circumstance{name: name}
		for _, r := range s.results {
			if v := of(r); v != "" && !slices.Contains(c.values, v) {
				c.values = append(c.values, v)
			}
		}
		all = append(all, c)
	}
	all = append(all, circumstance{"machine", []string{s.machine}})
	collect("commit", func(r Result) string { return r.Commit })
	collect("versions", func(r Result) string {
		var versions []string
		for _, name := range sortedNames(r.Versions) {
			versions = append(versions, name+" "+settingText(r.Versions[name]))
		}
		return strings.Join(versions, ", ")
	})
	collect("command", func(r Result) string { command, _ := r.Settings["command"].(string); return command })
	return all
}

// mixed says that a row may not be of one program.
func (s *section) mixed() string {
	if slices.ContainsFunc(s.results, func(r Result) bool { return r.Commit != s.results[0].Commit }) {
		return "These are runs of several commits, and a row may hold some of each."
	}
	return ""
}

// told are figures that a table shows and a comparison does not judge: how much
// there was of it, and what says more of a single run than of several.
var told = []figure{
	{"max", "ms", false, func(r Result) *float64 {
		points := r.points("curve")
		if len(points) == 0 || points[len(points)-1][0] < 100 {
			return nil
		}
		return &points[len(points)-1][1]
	}},
	{"latencies", "", true, setting("samples")},
	{"start to ready", "s", false, setting("ready_seconds")},
	{"ready to first", "s", false, setting("after_ready_seconds")},
	{"doubled", "", false, setting("doubled")},
	{"records", "", true, func(r Result) *float64 { records := float64(r.Records); return &records }},
}

// setting is a number among the settings.
func setting(name string) func(Result) *float64 {
	return func(r Result) *float64 {
		number, is := r.Settings[name].(float64)
		if !is {
			return nil
		}
		return &number
	}
}

// table is one measure of a section: a row for every set.
func (s *section) table(measure string) table {
	t := table{head: []string{"system", "settings", "scale", "valid runs"}}
	shown := slices.Concat(figures, told)
	for _, f := range shown {
		t.head = append(t.head, strings.TrimSuffix(f.name+", "+f.unit, ", "))
	}
	for _, of := range s.sets {
		if of.measure != measure {
			continue
		}
		runs := fmt.Sprint(len(of.runs))
		if of.invalid > 0 {
			runs += fmt.Sprintf(" and %d wrong", of.invalid)
		}
		row := []cell{{text: of.system}, {text: strings.TrimSpace(of.settings + " " + of.shareText())}, {text: settingText(of.scale)}, {text: runs, strong: of.invalid > 0}}
		for _, f := range shown {
			row = append(row, cell{text: of.spread(f).String()})
		}
		t.rows = append(t.rows, row)
	}
	return t.withoutEmpty()
}

// reportNote says how to read the tables.
const reportNote = "Medians, and the lowest and the highest of several runs. Only runs whose outputs were right are counted. Memory is the peak of resident memory, CPU that of the system's own process. Of fewer than 1,000 latencies, the 99.9th percentile is the longest. A curve is that of the run whose 99th percentile is the median."

// Markdown writes results as tables.
func Markdown(results []Result, to io.Writer) error {
	var b strings.Builder
	b.WriteString("# Measures of vouch\n\n" + reportNote + "\n")
	for _, s := range sectionsOf(results) {
		fmt.Fprintf(&b, "\n## On %s\n\n", s.title())
		for _, c := range s.circumstances() {
			for _, value := range c.values {
				fmt.Fprintf(&b, "- %s: `%s`\n", c.name, value)
			}
		}
		if mixed := s.mixed(); mixed != "" {
			fmt.Fprintf(&b, "\n**%s**\n", mixed)
		}
		if ratios := s.ratios(); len(ratios.rows) > 0 {
			fmt.Fprintf(&b, "\n### Ratios\n\n%s\n\n%s\n%s\n", ratiosNote, ratios.markdown(), strings.Join(s.caveats(), " "))
		}
		for _, measure := range s.measures() {
			fmt.Fprintf(&b, "\n### %s\n\n%s\n\n%s", measure, aboutMeasure(measure), s.table(measure).markdown())
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// aboutMeasure is the question of the measure that wrote results of a name.
func aboutMeasure(name string) string {
	if at := place(name); at >= 0 {
		return Measures()[at].About
	}
	return ""
}
