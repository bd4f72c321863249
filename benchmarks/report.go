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
}

// whatBroker says what the kinds are to a reader.
var whatBroker = map[string]string{
	BrokerEmbedded: "a broker in memory: these rows show that a measure works, and are no figures",
	BrokerLocal:    "a real Kafka on the same machine, whose cores it shares",
	BrokerGiven:    "a Kafka cluster",
}

func sectionsOf(results []Result) (sections []*section) {
	for _, s := range setsOf(results) {
		i := slices.IndexFunc(sections, func(known *section) bool { return known.broker == s.broker && known.machine == s.machine })
		if i < 0 {
			i = len(sections)
			sections = append(sections, &section{broker: s.broker, machine: s.machine})
		}
		sections[i].sets = append(sections[i].sets, s)
	}
	return sections
}

func (s *section) title() string {
	what := whatBroker[s.broker]
	if what == "" {
		what = "a broker of which the results say nothing"
	}
	return fmt.Sprintf("%s. Machine: %s", what, s.machine)
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

// circumstances are what one has to know to repeat results: each with its values.
func circumstances(results []Result) (all [][2]string) {
	collect := func(name string, of func(Result) string) {
		var values []string
		for _, r := range results {
			if v := of(r); v != "" && !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		all = append(all, [2]string{name, strings.Join(values, "; ")})
	}
	collect("commit", func(r Result) string { return r.Commit })
	collect("versions", func(r Result) string {
		var versions []string
		for _, name := range sortedNames(r.Versions) {
			versions = append(versions, name+" "+settingText(r.Versions[name]))
		}
		return strings.Join(versions, ", ")
	})
	collect("commands", func(r Result) string { command, _ := r.Settings["command"].(string); return command })
	return all
}

// table is one measure of a section: a row for every set.
func (s *section) table(measure string) table {
	t := table{head: []string{"system", "settings", "scale", "valid runs"}}
	for _, f := range figures {
		t.head = append(t.head, f.name+", "+f.unit)
	}
	for _, of := range s.sets {
		if of.measure != measure {
			continue
		}
		runs := fmt.Sprint(len(of.runs))
		if of.invalid > 0 {
			runs += fmt.Sprintf(" and %d wrong", of.invalid)
		}
		row := []cell{{text: of.system}, {text: of.settings}, {text: settingText(of.scale)}, {text: runs, strong: of.invalid > 0}}
		for _, f := range figures {
			row = append(row, cell{text: of.spread(f).String()})
		}
		t.rows = append(t.rows, row)
	}
	return t.withoutEmpty()
}

// reportNote says how to read the tables.
const reportNote = "Medians, and the lowest and the highest of several runs. Only runs whose outputs were right are counted. Memory is the peak of resident memory, CPU that of the system's own process."

// Markdown writes results as tables.
func Markdown(results []Result, to io.Writer) error {
	var b strings.Builder
	b.WriteString("# Measures\n\n" + reportNote + "\n\n")
	for _, c := range circumstances(results) {
		fmt.Fprintf(&b, "- %s: %s\n", c[0], markdownText(c[1]))
	}
	for _, s := range sectionsOf(results) {
		fmt.Fprintf(&b, "\n## On %s\n", markdownText(s.title()))
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
