package certify

import (
	"slices"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// The reasons that are not named in the catalogue. (The timer adds lapsed.)
const (
	deceased      = "deceased"
	deathReported = "death_reported"
)

// view is where a citizen stands: a function of the facts held and of the
// catalogue, of nothing else. It holds no reference into the row, so that it
// survives a change of the row.
type view struct {
	enrolments []enrolment // un-withdrawn, of benefits that the catalogue knows, sorted by code
	reasons    []string    // sorted; every enrolment of a citizen has them
	region     string
	phone      *string
	birthOn    *schemas.Date
	sighting   sighting // the newest held strong or weak record
	leads      []schemas.Lead
	weak       []schemas.Lead

	deathReported bool         // a death record is held
	deathOn       schemas.Date // the date of the earliest
	conflict      sighting     // newest evidence of assurance A or B dated after the death date
	use           sighting     // the same of assurance C or D
	reviews       []review
}

// sighting is a record that shows where a citizen was; the zero value is none.
type sighting struct {
	kind string
	at   schemas.Instant
}

func (s sighting) none() bool { return s.kind == "" }

// review is a held record of effect review.
type review struct {
	subject string // source/evidence_id
	sighting
}

// enrolment is how one benefit of a citizen stands.
type enrolment struct {
	entry   int // in row.entries, as long as no entry is inserted
	benefit int // in the catalogue
	base    schemas.Date
	dueOn   schemas.Date
	proof   proof
}

// proof is the strong record on which an enrolment rests.
type proof struct {
	found            bool
	source, id, kind string
	occurredAt       schemas.Instant
	on               schemas.Date
}

// reset empties v and keeps its memory.
func (v *view) reset() {
	*v = view{enrolments: v.enrolments[:0], reasons: v.reasons[:0], reviews: v.reviews[:0], leads: v.leads[:0], weak: v.weak[:0]}
}

// derive says where a citizen stands.
func (r *Rules) derive(row *Citizen, v *view) {
	v.reset()
	r.deriveContact(row, v)
	r.deriveEvidence(row, v)
	r.deriveReasons(row, v)
	for i := range row.entries {
		entry := &row.entries[i]
		if benefit, known := r.catalogue.BenefitIndex(entry.Benefit); known && entry.Op != schemas.Withdraw {
			v.enrolments = append(v.enrolments, r.enrolment(row, v, i, benefit))
		}
	}
}

// deriveContact finds region, phone and birth date, each by itself: those of
// the newest un-withdrawn entry that gives it; the greater benefit at a tie.
func (r *Rules) deriveContact(row *Citizen, v *view) {
	var region, phone, birth *entry
	newer := func(a, b *entry) bool { // entries come in the order of benefits
		return b == nil || compareEntry(&a.RosterEntry, &b.RosterEntry) >= 0
	}
	for i := range row.entries {
		entry := &row.entries[i]
		if _, known := r.catalogue.BenefitIndex(entry.Benefit); !known || entry.Op == schemas.Withdraw {
			continue
		}
		if entry.Region != "" && newer(entry, region) {
			region, v.region = entry, entry.Region
		}
		if text(entry.Phone) != "" && newer(entry, phone) {
			phone, v.phone = entry, entry.Phone
		}
		if entry.BirthOn != nil && newer(entry, birth) {
			birth, v.birthOn = entry, entry.BirthOn
		}
	}
}

// deriveEvidence finds the newest records that other rules ask for.
func (r *Rules) deriveEvidence(row *Citizen, v *view) {
	for i := range row.evidence {
		e := &row.evidence[i]
		index, known := r.catalogue.KindIndex(e.kind)
		if !known || e.retracted {
			continue
		}
		switch kind := &r.catalogue.Kinds[index]; {
		case kind.Effect == catalogue.Death:
			v.deathReported = true
			v.deathOn = r.zone.Date(e.occurredAt) // the last one seen is the earliest
		case kind.Effect == catalogue.Review:
			v.reviews = append(v.reviews, review{e.source + "/" + e.id, sighting{e.kind, e.occurredAt}})
		case kind.Strength != catalogue.Adverse:
			if v.sighting.none() {
				v.sighting = sighting{e.kind, e.occurredAt}
			}
			if len(v.leads) < leadsScheduled {
				v.leads = append(v.leads, schemas.Lead{Kind: e.kind, Source: e.source, OccurredAt: e.occurredAt})
			}
			if kind.Strength == catalogue.Weak && len(v.weak) < weakKindsHeld {
				v.weak = append(v.weak, schemas.Lead{Kind: e.kind, Source: e.source, OccurredAt: e.occurredAt})
			}
		}
	}
	if !v.deathReported {
		return
	}
	for i := range row.evidence {
		e := &row.evidence[i]
		index, known := r.catalogue.KindIndex(e.kind)
		if !known || e.retracted || r.catalogue.Kinds[index].Strength == catalogue.Adverse || r.zone.Date(e.occurredAt) <= v.deathOn {
			continue
		}
		newest := &v.use
		if assurance := r.catalogue.Kinds[index].Assurance; assurance == 'A' || assurance == 'B' {
			newest = &v.conflict
		}
		if newest.none() {
			*newest = sighting{e.kind, e.occurredAt}
		}
	}
}

// deriveReasons decides each reason by itself, so that lifting one never lifts
// another.
func (r *Rules) deriveReasons(row *Citizen, v *view) {
	if v.deathReported {
		switch {
		case r.deathConfirmed(row):
			v.reasons = append(v.reasons, deceased)
		case !r.seenAfterDeath(row):
			v.reasons = append(v.reasons, deathReported)
		}
	}
	for i := range row.evidence {
		e := &row.evidence[i]
		index, known := r.catalogue.KindIndex(e.kind)
		if !known || e.retracted || r.catalogue.Kinds[index].Effect != catalogue.Suspend {
			continue
		}
		// An older record of the kind is lifted whenever the newest one is.
		if reason := r.catalogue.Kinds[index].Reason; !r.lifted(row, &r.catalogue.Kinds[index], e) && !slices.Contains(v.reasons, reason) {
			v.reasons = append(v.reasons, reason)
		}
	}
	slices.Sort(v.reasons)
}

// deathConfirmed tells whether death records of enough lineages are held.
func (r *Rules) deathConfirmed(row *Citizen) bool {
	var lineages [16]string
	found := lineages[:0]
	for i := range row.evidence {
		e := &row.evidence[i]
		index, known := r.catalogue.KindIndex(e.kind)
		if !known || e.retracted || r.catalogue.Kinds[index].Effect != catalogue.Death {
			continue
		}
		if lineage := r.catalogue.Kinds[index].Lineage; lineage != "" && !slices.Contains(found, lineage) {
			found = append(found, lineage)
		}
	}
	return len(found) >= r.catalogue.DeathNeeds
}

// seenAfterDeath tells whether a strong record of assurance A is dated after
// the newest death record.
func (r *Rules) seenAfterDeath(row *Citizen) bool {
	for i := range row.evidence { // newest first: the first death record ends the search
		e := &row.evidence[i]
		index, known := r.catalogue.KindIndex(e.kind)
		if !known || e.retracted {
			continue
		}
		kind := &r.catalogue.Kinds[index]
		if kind.Effect == catalogue.Death {
			return r.strongAfter(row, r.zone.Date(e.occurredAt), 'A')
		}
	}
	return false
}

// strongAfter tells whether a strong record, of the given assurance unless it
// is 0, is held of a civil date later than on.
func (r *Rules) strongAfter(row *Citizen, on schemas.Date, assurance byte) bool {
	for i := range row.evidence {
		e := &row.evidence[i]
		index, known := r.catalogue.KindIndex(e.kind)
		if !known || e.retracted || r.catalogue.Kinds[index].Strength != catalogue.Strong {
			continue
		}
		if (assurance == 0 || r.catalogue.Kinds[index].Assurance == assurance) && r.zone.Date(e.occurredAt) > on {
			return true
		}
	}
	return false
}

// lifted tells whether the suspension by a record has been lifted. At the same
// instant the lifting record wins.
func (r *Rules) lifted(row *Citizen, kind *catalogue.Kind, suspension *evidence) bool {
	if kind.LiftedByStrong {
		return r.strongAfter(row, r.zone.Date(suspension.occurredAt), 0)
	}
	for i := range row.evidence {
		e := &row.evidence[i]
		index, known := r.catalogue.KindIndex(e.kind)
		if known && !e.retracted && kind.LiftedBy.Has(index) && e.occurredAt >= suspension.occurredAt {
			return true
		}
	}
	return false
}

// enrolment finds an enrolment's proof and due date.
func (r *Rules) enrolment(row *Citizen, v *view, entry, benefit int) enrolment {
	e, b := &row.entries[entry], &r.catalogue.Benefits[benefit]
	anniversary := base(e, b)
	n := enrolment{entry: entry, benefit: benefit, base: anniversary}
	if b.ExemptUntilAge != nil && v.birthOn != nil {
		n.base = max(n.base, v.birthOn.AddMonths(12**b.ExemptUntilAge))
	}
	n.dueOn = n.base
	for i := range row.evidence {
		held := &row.evidence[i]
		kind, known := r.catalogue.KindIndex(held.kind)
		if !known || !b.Accepts.Has(kind) || (n.proof.found && !held.retracted) {
			continue
		}
		on := r.zone.Date(held.occurredAt)
		if on < e.EffectiveOn {
			continue
		}
		if held.retracted {
			// A correction stops nobody without notice.
			notice := r.zone.Date(held.recordedAt) + noticeOnRetract
			n.dueOn = max(n.dueOn, min(b.Until(anniversary, on), notice))
			continue
		}
		n.proof = proof{true, held.source, held.id, held.kind, held.occurredAt, on}
		n.dueOn = max(n.dueOn, b.Until(anniversary, on))
	}
	return n
}

// base is the due date of an enrolment that no evidence has moved, before any
// exemption; an anniversary benefit counts its years from it.
func base(e *entry, b *catalogue.Benefit) schemas.Date {
	if e.DueOn != nil {
		return *e.DueOn
	}
	since := e.EffectiveOn
	if e.LastCertifiedOn != nil {
		since = *e.LastCertifiedOn
	}
	if b.CountsFrom != nil {
		since = max(since, *b.CountsFrom)
	}
	if b.Rule == catalogue.Anniversary {
		return since.AddMonths(b.CycleMonths)
	}
	return b.Until(since, since)
}

// find is the enrolment of a benefit, nil if there is none.
func (v *view) find(benefit int) *enrolment {
	for i := range v.enrolments {
		if v.enrolments[i].benefit == benefit {
			return &v.enrolments[i]
		}
	}
	return nil
}

// barred tells whether a death, confirmed or not, forbids to announce.
func (v *view) barred() bool {
	return slices.Contains(v.reasons, deceased) || slices.Contains(v.reasons, deathReported)
}
