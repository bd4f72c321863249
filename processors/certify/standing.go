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
// catalogue, of nothing else. It survives a change of the row, except for the
// places in the row that its enrolments name.
type view struct {
	enrolments []enrolment // un-withdrawn, of benefits that the catalogue knows, sorted by code
	reasons    []string    // sorted; every enrolment of a citizen has them
	region     string
	phone      *string
	birthOn    *schemas.Date
	sighting   sighting // the newest held strong or weak record

	suspended     bool         // a suspending record is held, lifted or not
	deathReported bool         // a death record is held
	deathNewestOn schemas.Date // the date of the newest
	deathOn       schemas.Date // the date of the earliest
	conflict      sighting     // newest evidence of assurance A or B dated after the death date
	use           sighting     // the same of assurance C or D
	reviews       []review
}

// sighting is a record that shows where a citizen was; the zero value is none.
type sighting struct {
	kind  string
	at    schemas.Instant
	month int32 // its civil month, as of schemas.Date.Month
}

func (s sighting) none() bool { return s.kind == "" }

// review is a held record of effect review.
type review struct {
	subject string // source/evidence_id
	sighting
}

// enrolment is how one benefit of a citizen stands.
type enrolment struct {
	entry       int          // in row.entries, as long as no entry is inserted
	benefit     int          // in the catalogue
	anniversary schemas.Date // the base before any exemption
	base        schemas.Date
	dueOn       schemas.Date
	until       schemas.Date // that the proof certifies
	proof       int          // the strong record on which it rests: its place in row.evidence, or unproven
}

// unproven is the place of no record.
const unproven = -1

func (n *enrolment) proven() bool { return n.proof != unproven }

// reset empties v and keeps its memory.
func (v *view) reset() {
	*v = view{enrolments: v.enrolments[:0], reasons: v.reasons[:0], reviews: v.reviews[:0]}
}

// derive says where a citizen stands.
func (r *Rules) derive(row *Citizen, v *view) {
	v.reset()
	deriveContact(row, v)
	for i := range row.entries {
		if row.entries[i].enrolled() {
			v.enrolments = append(v.enrolments, r.enrolment(row, v, i))
		}
	}
	r.deriveEvidence(row, v)
}

// deriveAgain says where a citizen stands whose entries are those of a view.
func (r *Rules) deriveAgain(row *Citizen, v, entriesOf *view) {
	v.reset()
	v.region, v.phone, v.birthOn = entriesOf.region, entriesOf.phone, entriesOf.birthOn
	v.enrolments = append(v.enrolments, entriesOf.enrolments...)
	r.deriveEvidence(row, v)
}

// deriveEvidence derives what rests on evidence.
func (r *Rules) deriveEvidence(row *Citizen, v *view) {
	deriveSightings(row, v)
	if v.deathReported {
		derivePosthumous(row, v)
	}
	if v.deathReported || v.suspended {
		r.deriveReasons(row, v)
	}
	for i := range v.enrolments {
		r.prove(row, &v.enrolments[i])
	}
}

// enrolled tells whether an entry is an enrolment: un-withdrawn, of a benefit
// that the catalogue has.
func (e *entry) enrolled() bool { return e.place != gone && e.Op != schemas.Withdraw }

// deriveContact finds region, phone and birth date, each by itself: those of
// the newest un-withdrawn entry that gives it; the greater benefit at a tie.
func deriveContact(row *Citizen, v *view) {
	var region, phone, birth *entry
	newer := func(a, b *entry) bool { // entries come in the order of benefits
		return b == nil || compareEntry(&a.RosterEntry, &b.RosterEntry) >= 0
	}
	for i := range row.entries {
		entry := &row.entries[i]
		if !entry.enrolled() {
			continue
		}
		if entry.Region != "" && newer(entry, region) {
			region, v.region = entry, entry.Region
		}
		if entry.Phone != nil && newer(entry, phone) {
			phone, v.phone = entry, entry.Phone
		}
		if entry.BirthOn != nil && newer(entry, birth) {
			birth, v.birthOn = entry, entry.BirthOn
		}
	}
}

// deriveSightings finds the records that other rules ask for.
func deriveSightings(row *Citizen, v *view) {
	for i := range row.evidence {
		e := &row.evidence[i]
		if !e.counts() {
			continue
		}
		switch {
		case e.of.Strength != catalogue.Adverse:
			if v.sighting.none() {
				v.sighting = sighting{e.kind, e.occurredAt, e.month}
			}
		case e.of.Effect == catalogue.Death:
			if !v.deathReported {
				v.deathReported, v.deathNewestOn = true, e.on
			}
			v.deathOn = e.on // the last one seen is the earliest
		case e.of.Effect == catalogue.Review:
			v.reviews = append(v.reviews, review{e.source + "/" + e.id.text(), sighting{e.kind, e.occurredAt, e.month}})
		case e.of.Effect == catalogue.Suspend:
			v.suspended = true
		}
	}
}

// derivePosthumous finds the newest evidence that is dated after a death.
func derivePosthumous(row *Citizen, v *view) {
	for i := range row.evidence {
		e := &row.evidence[i]
		if !e.counts() || e.of.Strength == catalogue.Adverse || e.on <= v.deathOn {
			continue
		}
		newest := &v.use
		if e.of.Assurance == 'A' || e.of.Assurance == 'B' {
			newest = &v.conflict
		}
		if newest.none() {
			*newest = sighting{e.kind, e.occurredAt, e.month}
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
		case !strongAfter(row, v.deathNewestOn, &r.assuredA):
			v.reasons = append(v.reasons, deathReported)
		}
	}
	for i := range row.evidence {
		e := &row.evidence[i]
		if !e.counts() || e.of.Effect != catalogue.Suspend {
			continue
		}
		// An older record of the kind is lifted whenever the newest one is.
		if !lifted(row, e) && !slices.Contains(v.reasons, e.of.Reason) {
			v.reasons = append(v.reasons, e.of.Reason)
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
		if e.counts() && e.of.Effect == catalogue.Death && e.of.Lineage != "" && !slices.Contains(found, e.of.Lineage) {
			found = append(found, e.of.Lineage)
		}
	}
	return len(found) >= r.catalogue.DeathNeeds
}

// strongAfter tells whether a strong record, of the given kinds unless they
// are nil, is held of a civil date later than on.
func strongAfter(row *Citizen, on schemas.Date, among *catalogue.KindSet) bool {
	for i := range row.evidence {
		e := &row.evidence[i]
		if e.counts() && e.of.Strength == catalogue.Strong && e.on > on && (among == nil || among.Has(e.place)) {
			return true
		}
	}
	return false
}

// lifted tells whether the suspension by a record has been lifted. At the same
// instant the lifting record wins.
func lifted(row *Citizen, suspension *evidence) bool {
	if suspension.of.LiftedByStrong {
		return strongAfter(row, suspension.on, nil)
	}
	for i := range row.evidence {
		e := &row.evidence[i]
		if e.counts() && suspension.of.LiftedBy.Has(e.place) && e.occurredAt >= suspension.occurredAt {
			return true
		}
	}
	return false
}

// enrolment says what an entry says of an enrolment.
func (r *Rules) enrolment(row *Citizen, v *view, entry int) enrolment {
	e := &row.entries[entry]
	b := &r.catalogue.Benefits[e.place]
	n := enrolment{entry: entry, benefit: e.place, anniversary: base(e, b)}
	n.base = n.anniversary
	if b.ExemptUntilAge != nil && v.birthOn != nil {
		n.base = max(n.base, v.birthOn.AddMonths(12**b.ExemptUntilAge))
	}
	return n
}

// prove finds an enrolment's proof and due date.
func (r *Rules) prove(row *Citizen, n *enrolment) {
	b := &r.catalogue.Benefits[n.benefit]
	effectiveOn := row.entries[n.entry].EffectiveOn
	n.proof, n.until, n.dueOn = unproven, 0, n.base
	for i := range row.evidence {
		held := &row.evidence[i]
		if held.of == nil || !b.Accepts.Has(held.place) || held.on < effectiveOn {
			continue
		}
		until := b.Until(n.anniversary, held.on)
		if held.retracted {
			// A correction stops nobody without notice.
			n.dueOn = max(n.dueOn, min(until, r.zone.Date(held.recordedAt)+noticeOnRetract))
			continue
		}
		n.proof, n.until, n.dueOn = i, until, max(n.dueOn, until)
		break // what follows is older, and certifies no longer: Until is monotone
	}
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
