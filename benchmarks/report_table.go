package benchmarks

import (
	"html"
	"slices"
	"strings"
)

// table is what a report shows in rows.
type table struct {
	head []string
	rows [][]cell
}

// cell is one place of a table.
type cell struct {
	text   string
	strong bool // the reader must not miss it
}

// tableNames are the first columns, which say what a row is of.
const tableNames = 4

// withoutEmpty leaves out the figures that no row has.
func (t table) withoutEmpty() table {
	for i := len(t.head) - 1; i >= tableNames; i-- {
		if slices.ContainsFunc(t.rows, func(row []cell) bool { return row[i].text != "" }) {
			continue
		}
		t.head = slices.Delete(t.head, i, i+1)
		for n := range t.rows {
			t.rows[n] = slices.Delete(t.rows[n], i, i+1)
		}
	}
	return t
}

func (t table) markdown() string {
	var b strings.Builder
	b.WriteString("| " + strings.Join(t.head, " | ") + " |\n|" + strings.Repeat("---|", len(t.head)) + "\n")
	for _, row := range t.rows {
		for _, cell := range row {
			text := markdownText(cell.text)
			if cell.strong {
				text = "**" + text + "**"
			}
			b.WriteString("| " + text + " ")
		}
		b.WriteString("|\n")
	}
	return b.String()
}

func markdownText(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func (t table) html() string {
	var b strings.Builder
	b.WriteString("<table>\n<tr>")
	for _, name := range t.head {
		b.WriteString("<th>" + html.EscapeString(name))
	}
	for _, row := range t.rows {
		b.WriteString("\n<tr>")
		for _, cell := range row {
			text := html.EscapeString(cell.text)
			if cell.strong {
				text = "<strong>" + text + "</strong>"
			}
			b.WriteString("<td>" + text)
		}
	}
	b.WriteString("\n</table>\n")
	return b.String()
}
