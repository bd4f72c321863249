package benchmarks

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// chart is a plot of lines, drawn as SVG.
type chart struct {
	title, x, y string
	logX, logY  bool
	lines       []line
}

type line struct {
	name   string
	points [][2]float64
}

// add leaves out a line of nothing, and on a scale of powers what has no
// logarithm.
func (c *chart) add(l line) {
	l.points = slices.DeleteFunc(slices.Clone(l.points), func(p [2]float64) bool { return c.logX && p[0] <= 0 || c.logY && p[1] <= 0 })
	slices.SortStableFunc(l.points, func(a, b [2]float64) int { return cmp.Compare(a[0], b[0]) })
	if len(l.points) > 0 {
		c.lines = append(c.lines, l)
	}
}

// Sizes in pixels.
const (
	chartWidth   = 560
	chartHeight  = 300
	chartLeft    = 64
	chartBottom  = 44
	chartTop     = 42 // the title above the unit
	chartRight   = 36 // the last label is as wide on both sides
	chartLegend  = 16 // a line of it
	chartTicks   = 6  // at most
	chartPowers  = 10.0
	chartMinimum = 1e-3
	chartBeyond  = 0.005 // of a decade, by which points may lie outside a scale of powers
)

var chartColours = []string{"#0b62a4", "#d1495b", "#3a7d44", "#8a4fff", "#c98a00", "#00798c", "#7a4b2a", "#555555"}

// axis maps values to pixels.
type axis struct {
	low, high float64
	from, to  float64
	log       bool
}

func (a axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log10(max(v, chartMinimum)), math.Log10(low), math.Log10(high)
	}
	return a.from + (v-low)/(high-low)*(a.to-a.from)
}

// toPowers widens a scale of powers to the next ones, since the labels are
// there. What is almost a power lies at it.
func (a *axis) toPowers() {
	if !a.log {
		return
	}
	low, high := math.Floor(math.Log10(max(a.low, chartMinimum))+chartBeyond), math.Ceil(math.Log10(max(a.high, chartMinimum))-chartBeyond)
	a.low, a.high = math.Pow(chartPowers, low), math.Pow(chartPowers, max(high, low+1))
}

// ticks are where the axis is labelled.
func (a axis) ticks() (all []float64) {
	if a.log {
		for v := a.low; v <= a.high*1.001; v *= chartPowers {
			all = append(all, v)
		}
		return all
	}
	step := math.Pow(chartPowers, math.Floor(math.Log10((a.high-a.low)/chartTicks)))
	for _, times := range []float64{1, 2, 5, 10} { // a reader's steps
		if (a.high-a.low)/(step*times) <= chartTicks {
			step *= times
			break
		}
	}
	for n := math.Ceil(a.low / step); n*step <= a.high; n++ {
		all = append(all, n*step)
	}
	return all
}

// tickText is the label of a tick: no more digits than it has.
func tickText(v float64) string {
	text := numberText(v)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// axes fit all points.
func (c *chart) axes() (x, y axis) {
	x = axis{low: math.Inf(1), high: math.Inf(-1), from: chartLeft, to: chartWidth - chartRight, log: c.logX}
	y = axis{low: math.Inf(1), high: math.Inf(-1), from: chartHeight - chartBottom, to: chartTop, log: c.logY}
	for _, l := range c.lines {
		for _, p := range l.points {
			x.low, x.high = min(x.low, p[0]), max(x.high, p[0])
			y.low, y.high = min(y.low, p[1]), max(y.high, p[1])
		}
	}
	if x.low == x.high && !c.logX {
		x.low, x.high = x.low-1, x.high+1
	}
	x.toPowers()
	y.toPowers()
	if !c.logY {
		y.low = min(y.low, 0)
	}
	if y.low == y.high {
		y.high = y.low + max(chartPowers*y.low, 1)
	}
	return x, y
}

// svg draws it, the names of the lines below.
func (c chart) svg() string {
	var b strings.Builder
	height := chartHeight + chartLegend*len(c.lines)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11" role="img">`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<text x="%d" y="16" font-size="13" font-weight="bold">%s</text>`+"\n", chartLeft, html.EscapeString(c.title))
	x, y := c.axes()
	for _, v := range x.ticks() {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#eee"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x.at(v), chartTop, x.at(v), chartHeight-chartBottom, x.at(v), chartHeight-chartBottom+14, tickText(v))
	}
	for _, v := range y.ticks() {
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#eee"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			chartLeft, y.at(v), chartWidth-chartRight, y.at(v), chartLeft-6, y.at(v)+4, tickText(v))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text><text x="%d" y="%d">%s</text>`+"\n",
		(chartLeft+chartWidth)/2, chartHeight-chartBottom+32, html.EscapeString(c.x), 8, chartTop-6, html.EscapeString(c.y))
	for i, l := range c.lines {
		colour, dashes := chartColours[i%len(chartColours)], ""
		if i >= len(chartColours) { // the colours come again
			dashes = ` stroke-dasharray="5 3"`
		}
		var path []string
		for _, p := range l.points {
			path = append(path, fmt.Sprintf("%.1f,%.1f", x.at(p[0]), y.at(p[1])))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="2.2" fill="%s"/>`, x.at(p[0]), y.at(p[1]), colour)
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.6"%s points="%s"/>`+"\n", colour, dashes, strings.Join(path, " "))
		at := chartHeight + chartLegend*i
		fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="3"%s/><text x="%d" y="%d">%s</text>`+"\n",
			chartLeft, at+5, chartLeft+22, at+5, colour, dashes, chartLeft+28, at+9, html.EscapeString(l.name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}
