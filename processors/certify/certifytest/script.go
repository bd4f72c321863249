// Package certifytest runs the scripts of processors/certify at any depth: on
// the bare functions, on Goka's tester, on a broker. A script reads aloud:
//
//	# She was in hospital, and that is all she has to do.
//	evidence WARD id=h1
//	----
//	certified by WARD h1 of 2024-05-03, AUTOMATIC
//	  PENSION until 2025-05-31, told 2024-04-30 before
//	timer told: PENSION due 2025-05-31; seen 2024-05-03
//
// Law: what a script says follows from its text and the catalogues beside this
// file alone, so that every depth gives the same, character by character.
//
// The commands; what is in brackets may be left out:
//
//	today is=DATE                        what follows arrives on that day, at noon
//	tick to=DATE                         it becomes that day, and the clock says so
//	enrol BENEFIT effective=DATE [due= last= birth= region= phone= payee= amount=]
//	withdraw BENEFIT effective=DATE
//	evidence KIND id=ID [on=DATE]        a record of what occurred on a day, else today
//	correct KIND id=ID on=DATE           a later version of it
//	retract KIND id=ID on=DATE           a later version that takes it back
//	payout BENEFIT id=ID period=YYYY-MM amount=FEN
//	catalogue first|next|back [resend]   the certifier is started again, under catalogue.yaml, next.yaml, or
//	                                     catalogue.yaml as a still later version; to send everything again;
//	                                     on a depth that is a Restarter only
//
// All records take citizen=ID (c1 without it), key=ID (the citizen), source=CODE (the
// kind's department) and recorded=DATE (today).
package certifytest

import (
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// Depth is what a script runs on. It begins under Catalogue.
type Depth interface {
	// Step decides one input record and gives the records that it leads to, in
	// the order in which they are written, or a certify.Refusal. record is a
	// pointer to a RosterEntry, Evidence, Payout or ClockTick; at, its Kafka
	// timestamp, is later than that of the step before.
	Step(t testing.TB, key string, record any, at schemas.Instant) []any
}

// Restarter is a depth that can be started again under another catalogue.
type Restarter interface {
	Depth
	// Restart stops the certifier and starts it under a catalogue, to send
	// everything again if so asked. It gives what the pass through the citizens
	// writes, in order, or why the catalogue is refused.
	Restart(t testing.TB, c *catalogue.Catalogue, resend bool) ([]any, error)
}

// Run runs a script and compares what it says with what stands in it.
func Run(t *testing.T, script string, depth Depth) {
	t.Helper()
	datadriven.RunTestFromString(t, script, Commands(depth))
}

// Commands gives the function that datadriven calls for each command of one
// script.
func Commands(depth Depth) func(*testing.T, *datadriven.TestData) string {
	s := &script{depth: depth, catalogue: Catalogue()}
	return s.command
}

// Input is one input record of a script.
type Input struct {
	Key    string
	Record any // as in Depth.Step
	At     schemas.Instant
}

// Inputs gives the input records of a script without deciding them, for a depth
// that decides all of them before it looks at what came out.
func Inputs(t *testing.T, script string) []Input {
	t.Helper()
	var r recorder
	commands := Commands(&r)
	datadriven.RunTestFromString(t, script, func(t *testing.T, d *datadriven.TestData) string {
		commands(t, d)
		return d.Expected
	})
	return r.inputs
}

type recorder struct{ inputs []Input }

func (r *recorder) Step(_ testing.TB, key string, record any, at schemas.Instant) []any {
	r.inputs = append(r.inputs, Input{key, record, at})
	return nil
}

// script is where one stands in a script.
type script struct {
	depth     Depth
	catalogue *catalogue.Catalogue // that the departments send by
	today     schemas.Date
	steps     int // a second each, so that no two records have one Kafka timestamp
}

func (s *script) command(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var record any
	switch d.Cmd {
	case "today":
		s.today = *date(t, d, "is")
		return ""
	case "catalogue":
		return s.restart(t, d)
	case "tick":
		s.today = *date(t, d, "to")
		record = &schemas.ClockTick{At: noon(s.today)}
	case "enrol", "withdraw":
		record = s.entry(t, d)
	case "evidence", "correct", "retract":
		record = s.evidence(t, d)
	case "payout":
		amount := number(t, d, "amount")
		record = &schemas.Payout{
			PayoutID: word(d, "id", ""), CitizenID: citizen(d), Benefit: code(t, d), Period: word(d, "period", ""),
			AmountFen: *amount, PaidAt: noon(s.today),
		}
	default:
		d.Fatalf(t, "there is no command %s", d.Cmd)
	}
	s.steps++
	at := noon(s.today) + schemas.Instant(s.steps)*schemas.Second
	return Text(s.depth.Step(t, word(d, "key", citizen(d)), record, at))
}

// restart starts the certifier again. A catalogue that is refused is not sent
// by either.
func (s *script) restart(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	depth, can := s.depth.(Restarter)
	if !can {
		d.Fatalf(t, "a %T cannot be started again", s.depth)
	}
	then, known := map[string]*catalogue.Catalogue{"first": Catalogue(), "next": Next(), "back": Back()}[code(t, d)]
	if !known {
		d.Fatalf(t, "there is no catalogue %s", code(t, d))
	}
	written, err := depth.Restart(t, then, d.HasArg("resend"))
	if err != nil {
		return "refused: " + err.Error() + "\n"
	}
	s.catalogue = then
	return passText(written)
}

func (s *script) entry(t *testing.T, d *datadriven.TestData) *schemas.RosterEntry {
	t.Helper()
	e := &schemas.RosterEntry{
		EntryID: "r" + strconv.Itoa(s.steps), CitizenID: citizen(d), Benefit: code(t, d), Op: schemas.Enrol,
		RecordedAt: s.recorded(t, d), EffectiveOn: *date(t, d, "effective"),
		DueOn: date(t, d, "due"), LastCertifiedOn: date(t, d, "last"), BirthOn: date(t, d, "birth"),
		Region: word(d, "region", ""), Phone: optionalWord(d, "phone"), Payee: optionalWord(d, "payee"), AmountFen: number(t, d, "amount"),
	}
	if d.Cmd == "withdraw" {
		e.Op = schemas.Withdraw
	}
	return e
}

func (s *script) evidence(t *testing.T, d *datadriven.TestData) *schemas.Evidence {
	t.Helper()
	e := &schemas.Evidence{
		EvidenceID: word(d, "id", ""), CitizenID: citizen(d), Kind: code(t, d), Op: schemas.Assert,
		OccurredAt: noon(s.today), RecordedAt: s.recorded(t, d),
	}
	if place, known := s.catalogue.KindIndex(e.Kind); known {
		e.Source = s.catalogue.Kinds[place].Source
	}
	e.Source = word(d, "source", e.Source)
	if on := date(t, d, "on"); on != nil {
		e.OccurredAt = noon(*on)
	}
	if d.Cmd == "retract" {
		e.Op = schemas.Retract
	}
	return e
}

// recorded is when a record says it was written: later than those before it,
// unless the script gives a day.
func (s *script) recorded(t *testing.T, d *datadriven.TestData) schemas.Instant {
	if on := date(t, d, "recorded"); on != nil {
		return noon(*on)
	}
	return noon(s.today) + schemas.Instant(s.steps)
}

// noon of a day in Shanghai, the zone of the catalogues.
func noon(d schemas.Date) schemas.Instant {
	return schemas.Instant(d)*schemas.Day + 4*60*schemas.Minute
}

// code is the benefit or the kind: what has no name.
func code(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	if len(d.CmdArgs) == 0 || len(d.CmdArgs[0].Vals) > 0 {
		d.Fatalf(t, "%s needs a code first", d.Cmd)
	}
	return d.CmdArgs[0].Key
}

func citizen(d *datadriven.TestData) string { return word(d, "citizen", "c1") }

func word(d *datadriven.TestData, name, without string) string {
	if given := optionalWord(d, name); given != nil {
		return *given
	}
	return without
}

func optionalWord(d *datadriven.TestData, name string) *string {
	arg, given := d.Arg(name)
	if !given {
		return nil
	}
	value := strings.Join(arg.Vals, ",")
	return &value
}

func date(t *testing.T, d *datadriven.TestData, name string) *schemas.Date {
	t.Helper()
	given := optionalWord(d, name)
	if given == nil {
		if name == "is" || name == "to" || name == "effective" {
			d.Fatalf(t, "%s needs %s=DATE", d.Cmd, name)
		}
		return nil
	}
	on, err := schemas.ParseDate(*given)
	if err != nil {
		d.Fatalf(t, "%s: %v", name, err)
	}
	return &on
}

func number(t *testing.T, d *datadriven.TestData, name string) *int64 {
	t.Helper()
	given := optionalWord(d, name)
	if given == nil {
		return nil
	}
	n, err := strconv.ParseInt(*given, 10, 64)
	if err != nil {
		d.Fatalf(t, "%s: %v", name, err)
	}
	return &n
}
