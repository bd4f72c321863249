package certify

import (
	"github.com/vouch-engine/vouch/schemas"
)

// announce says what the citizen and the payers must hear after an input, and
// takes down that it was said.
func (r *Rules) announce(row *Citizen, before, after *view, in input, d *Decision) {
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
func (r *Rules) announceable(row *Citizen, v *view, in input) (set uint32) {
	if v.barred() {
		return 0
	}
	for i := range v.enrolments {
		n := &v.enrolments[i]
		if !n.proof.found {
			continue
		}
		if n.until > told(row, n) && !r.reached(in.clock, r.catalogue.LapseOn(n.benefit, n.dueOn)) {
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

// reached tells whether the civil date of a clock has reached a day. Without a
// tick it has reached none.
func (r *Rules) reached(clock schemas.Instant, day schemas.Date) bool {
	return clock != NoTick && r.zone.Date(clock) >= day
}

// ripe tells whether it is time to announce an enrolment again.
func (r *Rules) ripe(row *Citizen, n *enrolment, in input) bool {
	e := &row.entries[n.entry]
	return !e.provenOn ||
		n.proof.on >= e.announcedOn.AddMonths(r.catalogue.Benefits[n.benefit].RenewAfterMonths) ||
		r.reached(in.clock, r.catalogue.LapseOn(n.benefit, told(row, n)))
}

// complete announces the enrolments at the given places, which rest on one proof.
func (r *Rules) complete(row *Citizen, before, after *view, together uint32, in input) schemas.CertificationCompleted {
	var c schemas.CertificationCompleted
	for i := range after.enrolments {
		if together&(1<<i) == 0 {
			continue
		}
		n := &after.enrolments[i]
		b := &r.catalogue.Benefits[n.benefit]
		if c.Benefits == nil {
			kind, _ := r.catalogue.KindIndex(n.proof.kind) // it counts, so the catalogue has it
			c = schemas.CertificationCompleted{
				CitizenID: in.citizen, CertifiedAt: n.proof.occurredAt, DecidedAt: in.at,
				Channel: r.catalogue.Kinds[kind].Channel, EvidenceID: n.proof.id.text(), Kind: n.proof.kind, Source: n.proof.source,
				Benefits: make([]schemas.CertifiedBenefit, 0, len(after.enrolments)),
				Region:   after.region, Phone: after.phone, Catalogue: r.catalogue.Hash(),
			}
		}
		dueBefore := n.base
		if was := before.find(n.benefit); was != nil {
			dueBefore = was.dueOn
		}
		lapseOn := r.catalogue.LapseOn(n.benefit, dueBefore)
		c.Benefits = append(c.Benefits, schemas.CertifiedBenefit{
			Benefit: b.Code, Department: b.Department,
			PreviousDueOn: told(row, n), ValidUntil: n.dueOn,
			InTime:   n.proof.on < lapseOn,
			Restores: in.clock != NoTick && (len(before.reasons) > 0 || r.reached(in.clock, lapseOn)) && len(after.reasons) == 0,
		})
		e := &row.entries[n.entry]
		e.announced, e.provenOn, e.announcedOn, e.announcedUntil = true, true, n.proof.on, n.dueOn
	}
	fields := []string{"completed", c.CitizenID, c.DecidedAt.String(), c.Source, c.EvidenceID}
	for i := range c.Benefits {
		fields = append(fields, c.Benefits[i].Benefit+":"+c.Benefits[i].ValidUntil.String())
	}
	c.EventID = schemas.EventID(fields...)
	return c
}

// revoke takes back what was announced beyond a due date.
func (r *Rules) revoke(row *Citizen, after *view, in input, d *Decision) {
	var benefits []schemas.RevokedBenefit
	for i := range after.enrolments {
		n := &after.enrolments[i]
		e := &row.entries[n.entry]
		if !e.announced || n.dueOn >= e.announcedUntil {
			continue
		}
		b := &r.catalogue.Benefits[n.benefit]
		benefits = append(benefits, schemas.RevokedBenefit{Benefit: b.Code, Department: b.Department, RevokedUntil: e.announcedUntil, DueOn: n.dueOn})
		e.provenOn, e.announcedOn, e.announcedUntil = n.proof.found, n.proof.on, n.dueOn
	}
	if benefits == nil {
		return
	}
	fields := []string{"revoked", in.citizen, in.at.String(), in.source, in.evidenceID}
	for i := range benefits {
		fields = append(fields, benefits[i].Benefit+":"+benefits[i].DueOn.String())
	}
	d.Changed = true
	d.Revoked = []schemas.CertificationRevoked{{
		EventID: schemas.EventID(fields...), CitizenID: in.citizen, DecidedAt: in.at,
		EvidenceID: in.evidenceID, Source: in.source, Benefits: benefits,
		Region: after.region, Phone: after.phone, Catalogue: r.catalogue.Hash(),
	}}
}
