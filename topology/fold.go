package topology

import (
	"encoding/json"
	"fmt"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
	"github.com/vouch-engine/vouch/schemas/facts"
)

// Fold is the engine offline: the steps folded over facts in the order in
// which they stand, as one partition, without a broker, a store or a codec. It
// is what `vouch decide` runs, and the oracle of every test on a broker.
type Fold struct {
	rules    *certify.Rules
	citizens map[string]*certify.Citizen
	clock    schemas.Instant
	timer    *timerFold

	read        int
	counts      map[certify.Count]int
	quarantined map[certify.Refusal]int
}

// NewFold begins with nothing known.
func NewFold(c *catalogue.Catalogue) *Fold {
	return &Fold{
		rules: certify.New(c), citizens: map[string]*certify.Citizen{}, clock: certify.NoTick,
		timer:  newTimerFold(c),
		counts: map[certify.Count]int{}, quarantined: map[certify.Refusal]int{},
	}
}

// Totals say what became of every line that was read.
type Totals struct {
	Read        int
	Counts      map[certify.Count]int
	Quarantined map[certify.Refusal]int
}

// Totals of the lines folded so far. By law 4 the counts and the quarantined
// add up to those read.
func (f *Fold) Totals() Totals { return Totals{f.read, f.counts, f.quarantined} }

// Step folds one line and gives the records that it leads to, in the order of
// SPEC section 7.
func (f *Fold) Step(line facts.Line) []facts.Output {
	f.read++
	key, keyed := line.RecordKey()
	if line.Value == nil {
		return f.quarantine(line, certify.NullValue)
	}
	record, err := DecodeFact(line)
	if err != nil {
		return f.quarantine(line, certify.Undecodable)
	}
	if tick, is := record.(*schemas.ClockTick); is {
		if refusal := f.rules.RefuseTick(tick, line.At); refusal != certify.Accepted {
			return f.quarantine(line, refusal)
		}
		clock, count := certify.OnTick(f.clock, tick)
		f.clock = clock
		f.counts[count]++
		return f.timer.tick(tick)
	}
	if !keyed {
		key = "" // a null key, which is nobody's id
	}
	row := f.citizens[key]
	if row == nil {
		row = new(certify.Citizen)
	}
	decision, refusal := f.rules.Step(row, key, record, line.At, f.clock)
	if refusal != certify.Accepted {
		return f.quarantine(line, refusal)
	}
	f.counts[decision.Count]++
	if decision.Changed {
		f.citizens[key] = row
	}
	all := outputs(key, &decision)
	if decision.Schedule != nil {
		all = append(all, f.timer.entry(key, decision.Schedule, line.At)...)
	}
	return all
}

// outputs lists what consumers outside see of a decision; the internal topics
// are not among it.
func outputs(key string, d *certify.Decision) (all []facts.Output) {
	for i := range d.Alerts {
		all = append(all, facts.Output{Topic: Alert, Key: &key, Value: &d.Alerts[i]})
	}
	for i := range d.Completed {
		all = append(all, facts.Output{Topic: CertificationCompleted, Key: &key, Value: &d.Completed[i]})
	}
	for i := range d.Revoked {
		all = append(all, facts.Output{Topic: CertificationRevoked, Key: &key, Value: &d.Revoked[i]})
	}
	return all
}

func (f *Fold) quarantine(line facts.Line, reason certify.Refusal) []facts.Output {
	f.quarantined[reason]++
	output := facts.Output{Topic: Quarantine, Reason: string(reason), Value: json.RawMessage("null")}
	if key, keyed := line.RecordKey(); keyed {
		output.Key = &key
	}
	if line.Value != nil {
		output.Value = line.Value
	}
	return []facts.Output{output}
}

// DecodeFact gives the record of a line, by its topic: a pointer to it, every
// field at its value or default.
func DecodeFact(line facts.Line) (any, error) {
	switch line.Topic {
	case Evidence:
		return facts.Decode[schemas.Evidence](line.Value)
	case Roster:
		return facts.Decode[schemas.RosterEntry](line.Value)
	case Payout:
		return facts.Decode[schemas.Payout](line.Value)
	case Clock:
		return facts.Decode[schemas.ClockTick](line.Value)
	}
	return nil, fmt.Errorf("topology: %s is no topic of facts", line.Topic)
}
