package remind

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/vouch-engine/vouch/schemas"
)

// Begin takes a partition over under these rules. A pass is then due before its
// first input where the instants of its rows were set under another catalogue,
// or nothing is known of one: Renew of every citizen behind PassCursor, in the
// order of the keys' bytes, Passed after each transaction's share, EndPass
// behind the last. A pass of this catalogue that was broken off goes on where
// it was; one of another begins anew.
//
// A partition that a later catalogue has decided is refused: two versions would
// take turns.
func (r *Rules) Begin(p *Partition) error {
	if p.CatalogueVersion > r.catalogue.Version {
		return fmt.Errorf("the partition was decided under version %d of the catalogue, and this instance has version %d: give it the later one with --catalogue", p.CatalogueVersion, r.catalogue.Version)
	}
	if hash := r.catalogue.Hash(); p.CatalogueHash != hash {
		p.CatalogueVersion, p.CatalogueHash = r.catalogue.Version, hash
		p.Pass, p.PassCursor = true, ""
	}
	return nil
}

// PassDue tells whether a pass is to go on before the next input. A tick that
// is cut into rounds comes first: what it has said of some must not be judged
// by other rows than what it says of the rest.
func (p *Partition) PassDue() bool { return p.Pass && p.Cursor == "" }

// Passed takes down that the pass has done all citizens up to one.
func (p *Partition) Passed(citizen string) { p.PassCursor = citizen }

// EndPass takes down that the pass has done everybody.
func (p *Partition) EndPass() { p.Pass, p.PassCursor = false, "" }

// Renew decides a citizen anew, and says how the citizen stands under these
// rules where that differs from what was said last.
//
// Law: it is OnEntry of the last ScheduleEntry once more, at its own Kafka
// timestamp. So a second time changes nothing; an instant that these rules put
// at or before T₀ does not fire, and one behind it fires when the clock comes
// there. Where a stage was sent for and is put behind T₀, that is a second
// record of one event id, by which consumers tell nobody twice.
func (r *Rules) Renew(row *Citizen, id string, clock schemas.Instant) (Event, bool) {
	return r.OnEntry(row, row.entry(id), row.at, clock)
}

// entry is the last ScheduleEntry, as far as a row needs it.
func (c *Citizen) entry(id string) *schemas.ScheduleEntry {
	e := &schemas.ScheduleEntry{CitizenID: id, Region: c.region, Leads: c.leads, Weak: c.weak,
		Phone: c.phone.pointer(new(string)), LastSeenAt: c.lastSeenAt.pointer(new(schemas.Instant))}
	if c.clock != NoTick {
		e.Clock = &c.clock
	}
	e.Benefits = slices.Clone(c.unknown)
	for i := range c.enrolments {
		n := &c.enrolments[i]
		e.Benefits = append(e.Benefits, schemas.ScheduledBenefit{Benefit: n.benefit, DueOn: n.dueOn, Reasons: n.reasons})
	}
	slices.SortFunc(e.Benefits, func(a, b schemas.ScheduledBenefit) int { return cmp.Compare(a.Benefit, b.Benefit) })
	return e
}
