package catalogue

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/vouch-engine/vouch/schemas"
)

// The bounds of a catalogue; beyond each it is refused.
const (
	fileBytesMax    = 4 << 20
	benefitsMax     = 32 // sets of benefits are 32 bits
	kindsMax        = 256
	windowsMax      = 4
	cycleMonthsMax  = 120
	graceDaysMax    = 3650
	ageMax          = 150
	lineagesMax     = 16
	minutesOfADay   = 24 * 60
	daysOfAMonth    = 28 // of every month; reminders lie within a cycle
	versionMax      = 1<<31 - 1
	payeeLimitMax   = 63 // the guard holds 64 citizens of a payee
	spreadByDefault = 480
	visitByDefault  = 15
)

// Load reads a catalogue of YAML, of which JSON is a part. file is its name
// for complaints. An error of type Mistakes lists all that is wrong with it.
func Load(file string, text []byte) (*Catalogue, error) {
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("load the catalogue %s: it has %d bytes, at most %d can be read", file, len(text), fileBytesMax)
	}
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return nil, fmt.Errorf("load the catalogue %s: %w", file, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("load the catalogue %s: it holds more than one document", file)
	}
	l := loader{parser: &parser{file: file}, c: &Catalogue{benefits: map[string]int{}, kinds: map[string]int{}}}
	l.load(document.Content[0])
	if len(l.mistakes) > 0 {
		slices.SortStableFunc(l.mistakes, func(a, b Mistake) int { return cmp.Or(a.Line-b.Line, strings.Compare(a.Field, b.Field)) })
		return nil, l.mistakes
	}
	l.c.canonical = l.canonical()
	l.c.hash = hashOf(l.c.canonical)
	return l.c, nil
}

// loader builds a catalogue in two steps: each entry by itself, then what one
// entry says of another.
type loader struct {
	*parser
	c        *Catalogue
	benefits []benefitEntry // beside c.Benefits
	kinds    []kindEntry    // beside c.Kinds
}

// benefitEntry and kindEntry keep what names other entries, as it was written.
type benefitEntry struct {
	*object
	accepts any // "all", "own" or sorted codes
}

type kindEntry struct {
	*object
	liftedBy any // "strong", sorted codes or nil
}

func (l *loader) load(document *yaml.Node) {
	o := l.object(document, "")
	l.c.Version = int64(o.number("version", 0, 1, versionMax))
	if _, found := o.get("version"); !found {
		o.wrong("version", "is missing: a whole number that rises with every change")
	}
	l.zone(o)
	l.c.SendAt = l.timeOfDay(o)
	l.c.SpreadMinutes = o.number("spread_minutes", spreadByDefault, 1, minutesOfADay)
	if l.c.SendAt+l.c.SpreadMinutes > minutesOfADay {
		o.wrong("spread_minutes", "spreads messages past midnight: send_at and it together must lie within a day")
	}
	l.c.DeathNeeds = o.number("death_needs", 2, 1, lineagesMax)
	l.c.PayeeLimit = o.number("payee_limit", 3, 1, payeeLimitMax)
	l.departments(o)
	l.readKinds(o)
	l.readBenefits(o)
	l.noLapse(o)
	o.done()
	if len(l.c.Kinds) > kindsMax || len(l.c.Benefits) > benefitsMax {
		return // there are no sets of so many
	}
	l.linkKinds()
	l.linkBenefits()
}

func (l *loader) zone(o *object) {
	name := o.text("zone", false)
	if name == "" {
		name = "Asia/Shanghai"
	}
	zone, err := schemas.LoadZone(name)
	if err != nil {
		o.wrong("zone", "is %s, must be a zone of the IANA database such as Asia/Shanghai", name)
	}
	l.c.Zone = zone
}

func (l *loader) timeOfDay(o *object) int {
	text := o.text("send_at", false)
	if text == "" {
		return 9 * 60
	}
	var hour, minute int
	if n, err := fmt.Sscanf(text, "%2d:%2d", &hour, &minute); n != 2 || err != nil || len(text) != 5 || hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		o.wrong("send_at", "must be a time of day HH:MM, in quotes")
		return 9 * 60
	}
	return hour*60 + minute
}

// entries reads a list of coded things, each with its own object, sorted.
func (l *loader) entries(o *object, list string, most int) []*object {
	var all []*object
	for i, node := range o.list(list, true) {
		entry := l.object(node, fmt.Sprintf("%s[%d]", list, i))
		if code := entry.keys["code"]; code != nil && code.Kind == yaml.ScalarNode {
			entry.field = fmt.Sprintf("%s[%s]", list, code.Value)
		}
		entry.code("code")
		all = append(all, entry)
	}
	if len(all) > most {
		o.wrong(list, "has %d entries, must be at most %d", len(all), most)
	}
	code := func(e *object) string {
		if node := e.keys["code"]; node != nil {
			return node.Value
		}
		return ""
	}
	slices.SortStableFunc(all, func(a, b *object) int { return strings.Compare(code(a), code(b)) })
	for i := 1; i < len(all); i++ {
		if code(all[i]) == code(all[i-1]) {
			all[i].wrong("code", "is defined twice, first in line %d", all[i-1].at("code").Line)
		}
	}
	return all
}

func (l *loader) departments(o *object) {
	for _, e := range l.entries(o, "departments", versionMax) {
		l.c.Departments = append(l.c.Departments, Department{Code: e.text("code", false), Name: e.name("name")})
		e.done()
	}
}

func (l *loader) readBenefits(o *object) {
	for i, e := range l.entries(o, "benefits", benefitsMax) {
		b := Benefit{Code: e.text("code", false), Name: e.name("name"), Department: e.code("department")}
		b.CycleMonths = e.number("cycle_months", 12, 1, cycleMonthsMax)
		b.Rule = Rule(e.oneOf("rule", string(RollingMonthEnd), string(RollingDay), string(FixedWindow), string(Anniversary)))
		b.Windows = l.windows(e, b.Rule)
		b.RenewAfterMonths = e.number("renew_after_months", max(1, b.CycleMonths/2), 1, cycleMonthsMax)
		b.GraceDays = e.number("grace_days", 0, 0, graceDaysMax)
		within := daysOfAMonth*b.CycleMonths - 1
		b.Reminders = e.numbers("reminders", 0, within)
		if _, given := e.get("reminders"); !given {
			for _, days := range []int{60, 30, 7} {
				if days <= within {
					b.Reminders = append(b.Reminders, days)
				}
			}
		}
		b.VisitDays = e.number("visit_days", visitByDefault, 0, within)
		b.CountsFrom = e.date("counts_from")
		if _, given := e.get("exempt_until_age"); given {
			age := e.number("exempt_until_age", 0, 0, ageMax)
			b.ExemptUntilAge = &age
		}
		b.ExclusiveWith = e.codes("exclusive_with")
		b.Eligibility = e.text("eligibility", false)
		l.benefits = append(l.benefits, benefitEntry{e, words(e, "accepts", "all", "own")})
		l.c.Benefits, l.c.benefits[b.Code] = append(l.c.Benefits, b), i
		e.done()
	}
}

// words reads one of some words, of which the first is the default, or codes.
func words(e *object, name string, allowed ...string) any {
	node, found := e.get(name)
	switch {
	case !found:
		return allowed[0]
	case node.Kind == yaml.SequenceNode:
		return e.codes(name)
	case !slices.Contains(allowed, node.Value):
		e.wrong(name, "must be %s or a list of codes", strings.Join(allowed, ", "))
	}
	return node.Value
}

func (l *loader) windows(e *object, rule Rule) (windows []Window) {
	nodes := e.list("windows", rule == FixedWindow)
	if rule != FixedWindow && nodes != nil {
		e.wrong("windows", "belong to the rule fixed_window only")
	}
	for i, node := range nodes {
		w := l.object(node, fmt.Sprintf("%s.windows[%d]", e.field, i))
		windows = append(windows, Window{From: monthDay(w, "from"), To: monthDay(w, "to")})
		w.done()
		if last := windows[i]; last.To.before(last.From) {
			w.wrong("to", "lies before from: a window does not pass the end of the year")
		}
	}
	if rule == FixedWindow && (len(windows) == 0 || len(windows) > windowsMax) {
		e.wrong("windows", "are %d, must be 1 to %d", len(windows), windowsMax)
	}
	slices.SortFunc(windows, func(a, b Window) int { return cmp.Or(a.From.Month-b.From.Month, a.From.Day-b.From.Day) })
	for i := 1; i < len(windows); i++ {
		if !windows[i-1].To.before(windows[i].From) {
			e.wrong("windows", "overlap: they must be disjoint")
		}
	}
	return windows
}

func (m MonthDay) before(o MonthDay) bool {
	return m.Month < o.Month || m.Month == o.Month && m.Day < o.Day
}

func (m MonthDay) String() string { return fmt.Sprintf("%02d-%02d", m.Month, m.Day) }

func monthDay(o *object, name string) MonthDay {
	text := o.text(name, true)
	d, err := schemas.ParseDate("2023-" + text) // no leap year, so that 02-29 is none
	if err != nil {
		if text != "" {
			o.wrong(name, "must be a day of every year MM-DD, in quotes; 02-29 is none")
		}
		return MonthDay{1, 1}
	}
	_, month, day := d.Civil()
	return MonthDay{month, day}
}

func (l *loader) readKinds(o *object) {
	for i, e := range l.entries(o, "evidence_kinds", kindsMax) {
		k := Kind{Code: e.text("code", false), Name: e.name("name"), Source: e.code("source")}
		if _, given := e.get("strength"); !given {
			e.wrong("strength", "is missing: strong, weak or adverse")
		}
		k.Strength = Strength(e.oneOf("strength", string(Strong), string(Weak), string(Adverse)))
		if k.Strength == Strong {
			k.Channel = strings.ToUpper(e.oneOf("channel", "automatic", "self_service", "counter", "home_visit"))
		}
		entry := kindEntry{object: e}
		if k.Strength == Adverse {
			entry.liftedBy = l.effect(e, &k)
		} else if assurance := e.text("assurance", true); assurance != "" {
			if len(assurance) != 1 || assurance[0] < 'A' || assurance[0] > 'D' {
				e.wrong("assurance", "is %s, must be A, B, C or D", assurance)
			}
			k.Assurance = assurance[0]
		}
		l.kinds = append(l.kinds, entry)
		l.c.Kinds, l.c.kinds[k.Code] = append(l.c.Kinds, k), i
		e.done()
	}
}

// effect reads what only adverse kinds have.
func (l *loader) effect(e *object, k *Kind) (liftedBy any) {
	if _, given := e.get("effect"); !given {
		e.wrong("effect", "is missing: death, suspend, lift or review")
	}
	k.Effect = Effect(e.oneOf("effect", string(Death), string(Suspend), string(Lift), string(Review)))
	switch k.Effect {
	case Death:
		k.Lineage = e.text("lineage", false)
	case Suspend:
		k.Reason = e.text("reason", true)
		if slices.Contains([]string{"deceased", "death_reported", "lapsed"}, k.Reason) {
			e.wrong("reason", "is %s, a word that has its own meaning", k.Reason)
		}
		if _, given := e.get("lifted_by"); !given {
			e.wrong("lifted_by", "is missing: strong, or the kinds that lift the suspension")
			return "strong"
		}
		return words(e, "lifted_by", "strong")
	}
	return nil
}

func (l *loader) noLapse(o *object) {
	for i, node := range o.list("no_lapse", false) {
		s := l.object(node, fmt.Sprintf("no_lapse[%d]", i))
		span := Span{Benefit: s.text("benefit", false)}
		if _, known := l.c.benefits[span.Benefit]; span.Benefit != "" && !known {
			s.wrong("benefit", "names %s, which is no benefit of this catalogue", span.Benefit)
		}
		from, to := s.date("from"), s.date("to")
		switch {
		case from == nil || to == nil:
			s.wrong("from", "and to are both needed")
		case *to < *from:
			s.wrong("to", "lies before from")
		default:
			span.From, span.To = *from, *to
		}
		l.c.NoLapse = append(l.c.NoLapse, span)
		s.done()
	}
}

// linkKinds checks and resolves what kinds say of departments and of kinds.
func (l *loader) linkKinds() {
	for i := range l.kinds {
		e, k := l.kinds[i], &l.c.Kinds[i]
		l.department(e.object, "source", k.Source)
		k.LiftedByStrong = e.liftedBy == "strong"
		codes, _ := e.liftedBy.([]string)
		for _, code := range codes {
			by, known := l.c.kinds[code]
			switch {
			case !known:
				e.wrong("lifted_by", "names %s, which is no kind of this catalogue", code)
			case l.c.Kinds[by].Strength == Weak:
				e.wrong("lifted_by", "names %s, which is weak: it shows nothing by itself", code)
			default:
				k.LiftedBy.Add(by)
				l.c.Kinds[by].NamedInLiftedBy = true
			}
		}
	}
}

// linkBenefits checks and resolves what benefits say of departments, kinds and
// benefits.
func (l *loader) linkBenefits() {
	for i := range l.benefits {
		e, b := l.benefits[i], &l.c.Benefits[i]
		l.department(e.object, "department", b.Department)
		for _, code := range b.ExclusiveWith {
			if _, known := l.c.benefits[code]; !known || code == b.Code {
				e.wrong("exclusive_with", "names %s, which is no other benefit of this catalogue", code)
			}
		}
		codes, _ := e.accepts.([]string)
		for _, code := range codes {
			if _, known := l.c.kinds[code]; !known {
				e.wrong("accepts", "names %s, which is no kind of this catalogue", code)
			}
		}
		for kind := range l.c.Kinds {
			k := &l.c.Kinds[kind]
			accepted := e.accepts == "all" || e.accepts == "own" && k.Source == b.Department || slices.Contains(codes, k.Code)
			if accepted && k.Strength == Strong {
				b.Accepts.Add(kind)
			}
		}
		if b.Scope = slices.Index(l.c.Scopes, b.Accepts); b.Scope < 0 {
			b.Scope = len(l.c.Scopes)
			l.c.Scopes = append(l.c.Scopes, b.Accepts)
		}
	}
}

func (l *loader) department(e *object, field, code string) {
	if code == "" {
		return
	}
	if !slices.ContainsFunc(l.c.Departments, func(d Department) bool { return d.Code == code }) {
		e.wrong(field, "names %s, which is no department of this catalogue", code)
	}
}
