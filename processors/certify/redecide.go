package certify

import (
	"fmt"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// Redecide decides a citizen anew whose row was decided under another
// catalogue, or says everything again under the same one; clock is the
// certifier's or NoTick. It is no input: whatever the catalogue now says, it
// announces, revokes and alerts nothing. Done twice it is as done once.
//
// What is held is brought within the bounds of this catalogue's scopes, as the
// next evidence would do, so that no row outgrows them. What an earlier
// catalogue has let go of does not come back.
//
// An announced_until above the new due date is lowered to it. So the next input
// finds nothing to revoke; and nothing to announce on that enrolment, since no
// proof that is held certifies beyond its due date. announced_on stays, for
// that is when the citizen was last told of a proof: to forget it would make
// the next proof ripe too early, for no other reason than the change. Where the
// due date has not fallen, the next input announces what this catalogue's rules
// ask for, after what was announced before.
//
// The timer is told of everybody who has an entry, of one with no enrolment
// left too. Every payee of an enrolment is claimed again. That of a benefit
// which is gone from the catalogue is given up, since its entry counts for
// nothing; it is claimed again when the benefit comes back.
func (r *Rules) Redecide(row *Citizen, citizen string, clock schemas.Instant) Decision {
	r.look(row)
	d := Decision{Changed: r.trim(row)}
	if len(row.entries) == 0 {
		return d
	}
	r.derive(row, &r.after)
	for i := range r.after.enrolments {
		n := &r.after.enrolments[i]
		if e := &row.entries[n.entry]; e.announced && e.announcedUntil > n.dueOn {
			e.announcedUntil, d.Changed = n.dueOn, true
		}
	}
	for i := range row.entries {
		if e := &row.entries[i]; e.Op != schemas.Withdraw && e.Payee != nil {
			d.Claims = append(d.Claims, schemas.PayeeClaim{Payee: *e.Payee, CitizenID: citizen, Benefit: e.Benefit, Claims: e.enrolled()})
		}
	}
	d.Schedule = r.scheduleEntry(row, &r.after, citizen, clock)
	return d
}

// Begin says whether all citizens of a partition must be decided anew before
// its first input, those after the cursor in the order of their ids' bytes:
// because it was decided under another catalogue, or none is written down, or
// because everything shall be sent again. A pass under way goes on where it
// stands; one under another catalogue begins anew, and so does one when
// everything shall be sent again: whoever asks for that may have lost what the
// pass had sent. What Begin changes is written together with the first citizens; if
// nothing is, it says the same again.
//
// A partition decided under a later version of the catalogue is an error, and p
// is left as it was: two versions would take turns.
func (p *Partition) Begin(c *catalogue.Catalogue, resend bool) (pass bool, err error) {
	if p.CatalogueVersion > c.Version {
		return false, fmt.Errorf("the partition was decided under version %d of the catalogue, and this instance has version %d: give it the later one with --catalogue", p.CatalogueVersion, c.Version)
	}
	if p.CatalogueHash == c.Hash() && !resend {
		return p.Pass, nil
	}
	p.CatalogueVersion, p.CatalogueHash = c.Version, c.Hash()
	p.Pass, p.Cursor = true, ""
	return true, nil
}

// Reach takes down that the pass has decided everybody up to a citizen.
func (p *Partition) Reach(citizen string) {
	if !p.Pass || citizen <= p.Cursor {
		panic("certify: a pass goes through the citizens in the order of their ids, each once, after Begin and before End")
	}
	p.Cursor = citizen
}

// End takes down that the pass has decided everybody.
func (p *Partition) End() { p.Pass, p.Cursor = false, "" }
