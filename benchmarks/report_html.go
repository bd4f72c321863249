package benchmarks

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
)

const reportStyle = `body{font:15px/1.5 system-ui,sans-serif;max-width:90em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.5em 0;display:block;overflow-x:auto}td,th{border:1px solid #ccc;padding:.2em .6em;text-align:right}
td:nth-child(-n+3),th:nth-child(-n+3){text-align:left}td{white-space:nowrap}td code{white-space:normal}th{background:#f3f3f3}h2{margin-top:2em}
svg{margin:.5em 1em .5em 0;vertical-align:top;background:#fff}code{background:#f3f3f3}.none{color:#a00}`

// HTML writes results as one page that needs nothing else.
func HTML(results []Result, to io.Writer) error {
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>vouch: measures</title>\n<style>" + reportStyle + "</style>\n<h1>Measures of vouch</h1>\n<p>" + reportNote + "</p>\n")
	for _, s := range sectionsOf(results) {
		class := ""
		if s.broker == BrokerEmbedded {
			class = ` class="none"`
		}
		fmt.Fprintf(&b, "<h2%s>On %s</h2>\n", class, html.EscapeString(s.title()))
		b.WriteString("<table>\n")
		for _, c := range s.circumstances() {
			for _, value := range c.values {
				fmt.Fprintf(&b, "<tr><td>%s<td><code>%s</code>\n", c.name, html.EscapeString(value))
			}
		}
		b.WriteString("</table>\n")
		if mixed := s.mixed(); mixed != "" {
			fmt.Fprintf(&b, "<p class=\"none\">%s</p>\n", mixed)
		}
		if ratios := s.ratios(); len(ratios.rows) > 0 {
			fmt.Fprintf(&b, "<h3>Ratios</h3>\n<p>%s</p>\n%s<p>%s</p>\n", ratiosNote, ratios.html(), html.EscapeString(strings.Join(s.caveats(), " ")))
		}
		for _, measure := range s.measures() {
			fmt.Fprintf(&b, "<h3>%s</h3>\n<p>%s</p>\n", html.EscapeString(measure), html.EscapeString(aboutMeasure(measure)))
			for _, c := range s.charts(measure) {
				b.WriteString(c.svg())
			}
			b.WriteString(s.table(measure).html())
		}
	}
	b.WriteString("</html>\n")
	_, err := io.WriteString(to, b.String())
	return err
}

// charts are the plots of a measure.
func (s *section) charts(measure string) (charts []chart) {
	switch measure {
	case "open-loop":
		charts = []chart{s.latencyCurves(measure), s.throughputAgainstLatency()}
	case "transaction":
		charts = []chart{s.transactionAgainstLatency(), s.transactionAgainstCPU()}
	case "storm":
		charts = []chart{s.latencyCurves(measure)}
	case "growth":
		charts = []chart{s.growth(chart{title: "Speed by the number of citizens", x: "citizens", y: "records/s"}, measure, "citizens")}
	case "growth-records":
		charts = []chart{s.growth(chart{title: "Speed by the length of the log", x: "records of evidence", y: "records/s", logX: true}, measure, "evidence")}
	case "crash", "rebalance":
		charts = []chart{s.timelines(measure)}
	}
	return slices.DeleteFunc(charts, func(c chart) bool { return len(c.lines) == 0 })
}

// of are the sets of a measure that have a right run.
func (s *section) of(measure string) (sets []*set) {
	for _, set := range s.sets {
		if set.measure == measure && len(set.runs) > 0 {
			sets = append(sets, set)
		}
	}
	return sets
}

// legend names a set in a plot, without some of its settings: those that the
// plot shows otherwise, and one that is the same for all.
func (s *set) legend(without ...string) string {
	name := s.system
	for _, part := range strings.Fields(s.settings) {
		if setting, _, _ := strings.Cut(part, "="); setting != "partitions" && !slices.Contains(without, setting) {
			name += " " + part
		}
	}
	if !slices.Contains(without, "rate") {
		name += " " + s.shareText()
	}
	return strings.TrimSpace(name)
}

// latencyCurves show every quantile; the last ones are as wide as the first.
func (s *section) latencyCurves(measure string) chart {
	c := chart{title: "Latency by quantile", x: "nines of the quantile (1: 90 %, 2: 99 %, 3: 99.9 %)", y: "ms", logY: true}
	for _, set := range s.of(measure) {
		l := line{name: set.legend()}
		for _, p := range set.middle().points("curve") {
			if p[0] < 100 {
				l.points = append(l.points, [2]float64{-math.Log10(1 - p[0]/100), p[1]})
			}
		}
		c.add(l)
	}
	return c
}

// drawn adds a line for every system with the same settings but those that
// place its points.
func (s *section) drawn(c chart, measure string, placing []string, point func(*set) (x, y float64, known bool)) chart {
	lines := map[string]*line{}
	var names []string
	for _, set := range s.of(measure) {
		x, y, known := point(set)
		if !known {
			continue
		}
		name := set.legend(placing...)
		if lines[name] == nil {
			lines[name] = &line{name: name}
			names = append(names, name)
		}
		lines[name].points = append(lines[name].points, [2]float64{x, y})
	}
	for _, name := range names {
		c.add(*lines[name])
	}
	return c
}

func (s *section) throughputAgainstLatency() chart {
	c := chart{title: "Rate against the 99th percentile", x: "records/s", y: "ms", logY: true}
	return s.drawn(c, "open-loop", []string{"rate", "of_slowest_drain"}, func(set *set) (x, y float64, known bool) {
		r := set.middle()
		rate, known := r.Settings["rate"].(float64)
		if !known || r.P99 == nil {
			return 0, 0, false
		}
		return rate, *r.P99, true
	})
}

// transactionAgainstLatency has the median and the 99th percentile by the
// interval between commits.
func (s *section) transactionAgainstLatency() chart {
	c := chart{title: "Transaction length against latency", x: "least time between two commits, ms", y: "ms", logY: true}
	for _, quantile := range []struct {
		name string
		of   func(Result) *float64
	}{{"p50", func(r Result) *float64 { return r.P50 }}, {"p99", func(r Result) *float64 { return r.P99 }}} {
		before := len(c.lines)
		c = s.byInterval(c, quantile.of)
		for i := range c.lines[before:] {
			c.lines[before+i].name += ", " + quantile.name
		}
	}
	return c
}

func (s *section) transactionAgainstCPU() chart {
	c := chart{title: "Transaction length against CPU", x: "least time between two commits, ms", y: "CPU µs/record"}
	return s.byInterval(c, func(r Result) *float64 {
		if r.CPUSeconds == nil || r.Records == 0 {
			return nil
		}
		cost := *r.CPUSeconds * 1e6 / float64(r.Records)
		return &cost
	})
}

// byInterval is the median of a value by the interval between commits.
func (s *section) byInterval(c chart, of func(Result) *float64) chart {
	return s.drawn(c, "transaction", []string{"commit_interval_ms"}, func(set *set) (x, y float64, known bool) {
		interval, known := set.runs[0].Settings["commit_interval_ms"].(float64)
		value := set.spread(figure{of: of})
		return interval, value.median, known && value.runs > 0
	})
}

// growth is the speed by a size, which is the value of a setting.
func (s *section) growth(c chart, measure, size string) chart {
	return s.drawn(c, measure, []string{"citizens", size}, func(set *set) (x, y float64, known bool) {
		at, known := set.runs[0].Settings[size].(float64)
		speed := set.spread(figures[0])
		return at, speed.median, known && speed.runs > 0
	})
}

func (s *section) timelines(measure string) chart {
	c := chart{title: "The worst latency of every quarter of a second", x: "seconds after the event at which the record was due", y: "ms", logY: true}
	for _, set := range s.of(measure) {
		c.add(line{set.legend(), set.middle().points("timeline")})
	}
	return c
}
