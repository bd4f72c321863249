package certify

import (
	"math/bits"

	"github.com/vouch-engine/vouch/schemas"
)

// announce says what the citizen and the payers must hear after an input, and
// takes down that it was said.
func (r *Rules) announce(row *Citizen, before, after *view, in *input, d *Decision) {
	announceable := r.announceable(row, after, in)
	for i := range after.enrolments {
		if announceable&(1<<i) == 0 {
			continue
		}
		// All that rest on this proof are one message, as soon as one is ripe.
		var together uint32
		ripe := false
		for j := i; j < len(after.enrolments); j++ {
			if announceable&(1<<j) != 0 && after.enrolments[j].proof == after.enrolments[i].proof {
				together |= 1 << j
				ripe = ripe || r.ripe(row, &after.enrolments[j], in)
			}
		}
		announceable &^= together
		if ripe {
			d.Completed = append(d.Completed, r.complete(row, before, after, together, in))
			d.Changed = true
		}
	}
	r.revoke(row, after, in, d)
}

// announceable is the set of the places of those enrolments that can be
// announced. (A catalogue has at most 32 benefits.)
func (r *Rules) announceable(row *Citizen, v *view, in *input) (set uint32) {
	if v.barred() {
		return 0
	}
	for i := range v.enrolments {
		n := &v.enrolments[i]
		if n.proven() && n.until > told(row, n) && !in.reached(r.catalogue.LapseOn(n.benefit, n.dueOn)) {
			set |= 1 << i
		}
	}
	return set
}

// told is how long the citizen has been told that the benefit holds.
func told(row *Citizen, n *enrolment) schemas.Date {
	if e := &row.entries[n.entry]; e.announced {
		return max(e.announcedUntil, n.base)
	}
	return n.base
}

// ripe tells whether it is time to announce an enrolment again.
func (r *Rules) ripe(row *Citizen, n *enrolment, in *input) bool {
	e := &row.entries[n.entry]
	return !e.provenOn ||
		row.evidence[n.proof].on >= e.announcedOn.AddMonths(r.catalogue.Benefits[n.benefit].RenewAfterMonths) ||
		in.reached(r.catalogue.LapseOn(n.benefit, told(row, n)))
}

// complete announces the enrolments at the given places, which rest on one proof.
func (r *Rules) complete(row *Citizen, before, after *view, together uint32, in *input) schemas.CertificationCompleted {
	proof := &row.evidence[after.enrolments[bits.TrailingZeros32(together)].proof]
	c := schemas.CertificationCompleted{
		CitizenID: in.citizen, CertifiedAt: proof.occurredAt, DecidedAt: in.at,
		Channel: proof.of.Channel, EvidenceID: proof.id.text(), Kind: proof.kind, Source: proof.source,
		Benefits: make([]schemas.CertifiedBenefit, 0, bits.OnesCount32(together)),
		Region:   after.region, Phone: after.phone, Catalogue: r.catalogue.Hash(),
	}
	for i := range after.enrolments {
		if together&(1<<i) == 0 {
			continue
		}
		n := &after.enrolments[i]
		b := &r.catalogue.Benefits[n.benefit]
		dueBefore := n.base
		if was := before.find(n.benefit); was != nil {
			dueBefore = was.dueOn
		}
		lapseOn := r.catalogue.LapseOn(n.benefit, dueBefore)
		c.Benefits = append(c.Benefits, schemas.CertifiedBenefit{
			Benefit: b.Code, Department: b.Department,
			PreviousDueOn: told(row, n), ValidUntil: n.dueOn,
			InTime:   proof.on < lapseOn,
			Restores: in.clock != NoTick && (len(before.reasons) > 0 || in.reached(lapseOn)) && len(after.reasons) == 0,
		})
		e := &row.entries[n.entry]
		e.announced, e.provenOn, e.announcedOn, e.announcedUntil = true, true, proof.on, n.dueOn
	}
	id := r.eventID("completed", c.CitizenID, c.DecidedAt, c.Source, c.EvidenceID)
	for i := range c.Benefits {
		id.due(c.Benefits[i].Benefit, c.Benefits[i].ValidUntil)
	}
	c.EventID = id.String()
	return c
}

// revoke takes back what was announced beyond a due date.
func (r *Rules) revoke(row *Citizen, after *view, in *input, d *Decision) {
	var benefits []schemas.RevokedBenefit
	for i := range after.enrolments {
		n := &after.enrolments[i]
		e := &row.entries[n.entry]
		if !e.announced || n.dueOn >= e.announcedUntil {
			continue
		}
		b := &r.catalogue.Benefits[n.benefit]
		benefits = append(benefits, schemas.RevokedBenefit{Benefit: b.Code, Department: b.Department, RevokedUntil: e.announcedUntil, DueOn: n.dueOn})
		e.provenOn, e.announcedOn, e.announcedUntil = n.proven(), 0, n.dueOn
		if n.proven() {
			e.announcedOn = row.evidence[n.proof].on
		}
	}
	if benefits == nil {
		return
	}
	id := r.eventID("revoked", in.citizen, in.at, in.source, in.evidenceID)
	for i := range benefits {
		id.due(benefits[i].Benefit, benefits[i].DueOn)
	}
	d.Changed = true
	d.Revoked = []schemas.CertificationRevoked{{
		EventID: id.String(), CitizenID: in.citizen, DecidedAt: in.at,
		EvidenceID: in.evidenceID, Source: in.source, Benefits: benefits,
		Region: after.region, Phone: after.phone, Catalogue: r.catalogue.Hash(),
	}}
}

// eventID joins the fields of an event's id in scratch memory.
type eventID struct{ joined []byte }

// eventID begins with the fields that both events have.
func (r *Rules) eventID(event, citizen string, decidedAt schemas.Instant, source, evidence string) *eventID {
	b := append(append(r.id.joined[:0], event...), '\n')
	b = append(append(b, citizen...), '\n')
	b = append(decidedAt.AppendText(b), '\n')
	b = append(append(b, source...), '\n')
	r.id.joined = append(b, evidence...)
	return &r.id
}

// due adds until when a benefit is certified.
func (id *eventID) due(benefit string, on schemas.Date) {
	id.joined = append(append(append(id.joined, '\n'), benefit...), ':')
	id.joined = on.AppendText(id.joined)
}

func (id *eventID) String() string { return schemas.EventIDOf(id.joined) }
