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

// table is one measure of a section: a head, and a row for every set.
func (s *section) table(measure string) (head []string, rows [][]string) {
	var used []figure
	for _, f := range figures {
		if slices.ContainsFunc(s.sets, func(of *set) bool { return of.measure == measure && of.spread(f).runs > 0 }) {
			used = append(used, f)
		}
	}
	head = []string{"system", "settings", "scale", "runs"}
	for _, f := range used {
		head = append(head, f.name+", "+f.unit)
	}
	for _, of := range s.sets {
		if of.measure != measure {
			continue
		}
		runs := fmt.Sprint(len(of.runs))
		if of.invalid > 0 {
			runs += fmt.Sprintf(" and %d wrong", of.invalid)
		}
		row := []string{of.system, of.settings, settingText(of.scale), runs}
		for _, f := range used {
			row = append(row, of.spread(f).String())
		}
		rows = append(rows, row)
	}
	return head, rows
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
		for _, measure := range s.measures() {
			head, rows := s.table(measure)
			fmt.Fprintf(&b, "\n### %s\n\n%s\n", measure, aboutMeasure(measure))
			fmt.Fprintf(&b, "\n| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
			for _, row := range rows {
				for i := range row {
					row[i] = markdownText(row[i])
				}
				fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
			}
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}

func markdownText(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

// aboutMeasure is the question of the measure that wrote results of a name.
func aboutMeasure(name string) string {
	if at := place(name); at >= 0 {
		return Measures()[at].About
	}
	return ""
}
