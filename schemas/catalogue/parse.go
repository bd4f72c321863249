package catalogue

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/vouch-engine/vouch/schemas"
)

// Mistake is one thing that is wrong with a catalogue.
type Mistake struct {
	File  string
	Line  int    // 0 where the file as a whole is meant
	Field string // such as benefits[URRP].cycle_months
	What  string
}

func (m Mistake) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", m.File, m.Line, m.Field, m.What)
}

// Mistakes is all that is wrong with a catalogue, in the order of the file.
type Mistakes []Mistake

// Error lists every mistake, one a line.
func (ms Mistakes) Error() string {
	text := fmt.Sprintf("the catalogue has %d mistakes", len(ms))
	if len(ms) == 1 {
		text = "the catalogue has a mistake"
	}
	for _, m := range ms {
		text += "\n  " + m.String()
	}
	return text
}

// parser walks a YAML document and collects what is wrong with it.
type parser struct {
	file     string
	mistakes Mistakes
}

func (p *parser) complain(node *yaml.Node, field, what string, args ...any) {
	p.mistakes = append(p.mistakes, Mistake{p.file, node.Line, field, fmt.Sprintf(what, args...)})
}

// object is a YAML mapping whose keys are read one by one; those that nobody
// reads are mistakes.
type object struct {
	*parser
	field string
	node  *yaml.Node
	keys  map[string]*yaml.Node
	names map[string]*yaml.Node // the keys' own nodes, of those not yet read
}

func (p *parser) object(node *yaml.Node, field string) *object {
	o := &object{parser: p, field: field, node: node, keys: map[string]*yaml.Node{}, names: map[string]*yaml.Node{}}
	if node = resolve(node); node.Kind != yaml.MappingNode {
		p.complain(node, field, "must be a mapping of keys to values")
		return o
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i]
		if _, twice := o.keys[name.Value]; twice {
			p.complain(name, o.path(name.Value), "stands here a second time")
			continue
		}
		o.keys[name.Value], o.names[name.Value] = resolve(node.Content[i+1]), name
	}
	return o
}

// done complains of every key that nobody has read.
func (o *object) done() {
	delete(o.names, "provenance")
	for name, node := range o.names {
		o.complain(node, o.path(name), "is no key of a catalogue")
	}
}

func (o *object) path(name string) string {
	return strings.TrimPrefix(o.field+"."+name, ".")
}

// get finds a key's value; null counts as absent.
func (o *object) get(name string) (*yaml.Node, bool) {
	node, found := o.keys[name]
	delete(o.names, name)
	return node, found && node.Tag != "!!null"
}

// at is where to complain of a key: at its value, or at the object without it.
func (o *object) at(name string) *yaml.Node {
	if node, found := o.keys[name]; found {
		return node
	}
	return o.node
}

func (o *object) wrong(name, what string, args ...any) {
	o.complain(o.at(name), o.path(name), what, args...)
}

// text reads a scalar; required complains of one that is absent.
func (o *object) text(name string, required bool) string {
	node, found := o.get(name)
	switch {
	case !found && required:
		o.wrong(name, "is missing")
	case found && (node.Kind != yaml.ScalarNode || node.Value == ""):
		o.wrong(name, "must be a text")
	case found:
		return node.Value
	}
	return ""
}

// oneOf reads one of some words; without it, the first one.
func (o *object) oneOf(name string, words ...string) string {
	word := o.text(name, false)
	if word == "" {
		return words[0]
	}
	if !slices.Contains(words, word) {
		o.wrong(name, "is %s, must be one of %s", word, strings.Join(words, ", "))
		return words[0]
	}
	return word
}

var codeForm = regexp.MustCompile(`^[A-Z0-9_]{1,32}$`)

// code reads a code that is required.
func (o *object) code(name string) string {
	code := o.text(name, true)
	if code != "" && !codeForm.MatchString(code) {
		o.wrong(name, "is %q, must be 1 to 32 of A-Z, 0-9 and _", code)
	}
	return code
}

// number reads a whole number within bounds; without it, the default.
func (o *object) number(name string, without, least, most int) int {
	node, found := o.get(name)
	if !found {
		return without
	}
	n, err := strconv.Atoi(node.Value)
	if node.Kind != yaml.ScalarNode || node.Tag != "!!int" || err != nil {
		o.wrong(name, "must be a whole number")
		return without
	}
	if n < least || n > most {
		o.wrong(name, "is %d, must be %d to %d", n, least, most)
		return without
	}
	return n
}

// date reads a date, nil without one.
func (o *object) date(name string) *schemas.Date {
	node, found := o.get(name)
	if !found {
		return nil
	}
	d, err := schemas.ParseDate(node.Value)
	if err != nil || !d.InRange() {
		o.wrong(name, "must be a date YYYY-MM-DD of 1850 to 2199")
		return nil
	}
	return &d
}

func (o *object) name(name string) (n Name) {
	node, found := o.get(name)
	if !found {
		o.wrong(name, "is missing: {zh: …, en: …}")
		return n
	}
	both := o.object(node, o.path(name))
	n = Name{Zh: both.text("zh", true), En: both.text("en", true)}
	both.done()
	return n
}

// list reads a list, empty without one.
func (o *object) list(name string, required bool) []*yaml.Node {
	node, found := o.get(name)
	switch {
	case !found && required:
		o.wrong(name, "is missing")
	case found && node.Kind != yaml.SequenceNode:
		o.wrong(name, "must be a list")
	case found:
		return node.Content
	}
	return nil
}

// codes reads a list of distinct codes, sorted.
func (o *object) codes(name string) (codes []string) {
	for _, node := range o.list(name, false) {
		node = resolve(node)
		switch {
		case node.Kind != yaml.ScalarNode || !codeForm.MatchString(node.Value):
			o.complain(node, o.path(name), "must be codes, 1 to 32 of A-Z, 0-9 and _ each")
		case slices.Contains(codes, node.Value):
			o.complain(node, o.path(name), "names %s twice", node.Value)
		default:
			codes = append(codes, node.Value)
		}
	}
	slices.Sort(codes)
	return codes
}

// numbers reads a list of distinct whole numbers within bounds, falling.
func (o *object) numbers(name string, least, most int) (numbers []int) {
	for _, node := range o.list(name, false) {
		node = resolve(node)
		n, err := strconv.Atoi(node.Value)
		switch {
		case err != nil || node.Tag != "!!int" || n < least || n > most:
			o.complain(node, o.path(name), "must be whole numbers from %d to %d", least, most)
		case slices.Contains(numbers, n):
			o.complain(node, o.path(name), "names %d twice", n)
		default:
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, func(a, b int) int { return b - a })
	return numbers
}

// resolve follows an alias to what it stands for.
func resolve(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}
