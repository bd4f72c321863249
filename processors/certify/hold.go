package certify

import (
	"slices"
	"strings"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// takeDown holds an evidence record if no equal or greater version is held and
// the bounds allow it. It reports whether the row has changed.
func (r *Rules) takeDown(row *Citizen, e *schemas.Evidence) (Count, bool) {
	kind, _ := r.catalogue.KindIndex(e.Kind)
	version := evidence{
		source: r.catalogue.Kinds[kind].Source, id: e.EvidenceID, kind: r.catalogue.Kinds[kind].Code,
		occurredAt: e.OccurredAt, recordedAt: e.RecordedAt, retracted: e.Op == schemas.Retract,
	}
	replaces := slices.IndexFunc(row.evidence, func(held evidence) bool {
		return held.id == version.id && held.source == version.source
	})
	if replaces >= 0 {
		held := &row.evidence[replaces]
		if compareVersion(&version, held) <= 0 {
			return Superseded, false
		}
		version.corrected = held.corrected || held.occurredAt != version.occurredAt || held.kind != version.kind
		row.evidence = slices.Delete(row.evidence, replaces, replaces+1)
	}
	version.id = strings.Clone(version.id) // the record may lie in a buffer that is used again
	at, _ := slices.BinarySearchFunc(row.evidence, version, func(a, b evidence) int { return compareNewest(&a, &b) })
	row.evidence = slices.Insert(row.evidence, at, version)
	if held := r.trim(row, at); !held {
		return NotHeld, replaces >= 0
	}
	return Applied, true
}

// trim lets go of what lies beyond the bounds. It reports whether the record
// at the given place stays.
func (r *Rules) trim(row *Citizen, of int) (stays bool) {
	r.keep = slices.Grow(r.keep[:0], len(row.evidence))[:len(row.evidence)]
	clear(r.keep)
	for scope := range r.catalogue.Scopes {
		r.keepStrong(row, func(kind int) bool { return r.catalogue.Scopes[scope].Has(kind) })
	}
	r.keepStrong(row, func(kind int) bool { return r.catalogue.Kinds[kind].Assurance == 'A' })
	r.keepWeakAndAdverse(row)
	r.keepAmendments(row)
	stays = r.keep[of]
	kept := row.evidence[:0]
	for i := range row.evidence {
		if r.keep[i] {
			kept = append(kept, row.evidence[i])
		}
	}
	clear(row.evidence[len(kept):]) // let their ids go
	row.evidence = kept
	return stays
}

// keepStrong keeps the newest strong records among some kinds, and the newest
// of each of the newest months that have one.
func (r *Rules) keepStrong(row *Citizen, among func(kind int) bool) {
	kept := 0
	var months [monthsHeld]int32
	seen := 0
	for i := range row.evidence {
		e := &row.evidence[i]
		kind, known := r.catalogue.KindIndex(e.kind)
		if !known || e.retracted || r.catalogue.Kinds[kind].Strength != catalogue.Strong || !among(kind) {
			continue
		}
		if kept < strongHeld {
			kept++
			r.keep[i] = true
		}
		if month := r.zone.Date(e.occurredAt).Month(); seen < monthsHeld && !slices.Contains(months[:seen], month) {
			months[seen] = month
			seen++
			r.keep[i] = true
		}
		if kept == strongHeld && seen == monthsHeld {
			return
		}
	}
}

// keepWeakAndAdverse keeps the newest record of each of the newest weak kinds,
// the newest ones of each adverse or lifting kind, and every record of a kind
// that is gone from the catalogue: nobody can send more of those.
func (r *Rules) keepWeakAndAdverse(row *Citizen) {
	weakKinds := 0
	for i := range row.evidence {
		e := &row.evidence[i]
		index, known := r.catalogue.KindIndex(e.kind)
		if !known {
			r.keep[i] = true
			continue
		}
		if e.retracted {
			continue
		}
		newer := 0 // records of the same kind before this one
		for j := range row.evidence[:i] {
			if row.evidence[j].kind == e.kind && !row.evidence[j].retracted {
				newer++
			}
		}
		kind := &r.catalogue.Kinds[index]
		if kind.Strength == catalogue.Weak && newer == 0 && weakKinds < weakKindsHeld {
			weakKinds++
			r.keep[i] = true
		}
		if (kind.Strength == catalogue.Adverse || kind.NamedInLiftedBy) && newer < adverseHeld {
			r.keep[i] = true
		}
	}
}

// keepAmendments keeps the retractions and corrections of latest recorded_at;
// of the same recorded_at, the newest evidence first.
func (r *Rules) keepAmendments(row *Citizen) {
	var amendments []int
	for i := range row.evidence {
		if row.evidence[i].retracted || row.evidence[i].corrected {
			amendments = append(amendments, i)
		}
	}
	if len(amendments) > amendmentsHeld {
		slices.SortStableFunc(amendments, func(a, b int) int {
			return int(max(-1, min(1, row.evidence[b].recordedAt-row.evidence[a].recordedAt)))
		})
		amendments = amendments[:amendmentsHeld]
	}
	for _, i := range amendments {
		r.keep[i] = true
	}
}

// enrol holds a roster entry if it is greater than the version held. What was
// announced of the enrolment is forgotten when it is withdrawn.
func (row *Citizen) enrol(e *schemas.RosterEntry) (changed bool) {
	at, found := slices.BinarySearchFunc(row.entries, e.Benefit, func(a entry, code string) int { return strings.Compare(a.Benefit, code) })
	if !found {
		row.entries = slices.Insert(row.entries, at, entry{})
	} else if compareEntry(e, &row.entries[at].RosterEntry) <= 0 {
		return false
	}
	held := &row.entries[at]
	held.RosterEntry = *e
	held.CitizenID = ""
	if e.Op == schemas.Withdraw {
		held.announced, held.provenOn = false, false
		held.announcedOn, held.announcedUntil = 0, 0
	}
	return true
}

// payee is the account of a benefit's un-withdrawn entry, empty if there is none.
func (row *Citizen) payee(benefit string) string {
	for i := range row.entries {
		if e := &row.entries[i]; e.Benefit == benefit && e.Op != schemas.Withdraw {
			return text(e.Payee)
		}
	}
	return ""
}

// claims says that a benefit is no longer paid to one payee, but to another.
func claims(e *schemas.RosterEntry, before, now string) []schemas.PayeeClaim {
	if before == now {
		return nil
	}
	var all []schemas.PayeeClaim
	if before != "" {
		all = append(all, schemas.PayeeClaim{Payee: before, CitizenID: e.CitizenID, Benefit: e.Benefit})
	}
	if now != "" {
		all = append(all, schemas.PayeeClaim{Payee: now, CitizenID: e.CitizenID, Benefit: e.Benefit, Claims: true})
	}
	return all
}

// pay holds a payout if its id is not held and the bounds allow it.
func (row *Citizen) pay(p *schemas.Payout) Count {
	of, _ := month(p.Period)
	at, newer := len(row.paid), 0
	for i := range row.paid {
		held := &row.paid[i]
		if held.benefit != p.Benefit {
			if held.benefit > p.Benefit {
				at = min(at, i)
			}
			continue
		}
		if slices.ContainsFunc(held.payouts, func(o payout) bool { return o.id == p.PayoutID }) {
			return Superseded
		}
		if held.month > of {
			newer++
		} else {
			at = min(at, i)
		}
	}
	if newer == periodsHeld {
		return NotHeld
	}
	if at == len(row.paid) || row.paid[at].benefit != p.Benefit || row.paid[at].month != of {
		row.paid = slices.Insert(row.paid, at, period{benefit: strings.Clone(p.Benefit), month: of})
	}
	if len(row.paid[at].payouts) == payoutsHeld {
		return NotHeld
	}
	row.paid[at].payouts = append(row.paid[at].payouts, payout{strings.Clone(p.PayoutID), p.AmountFen})
	if oldest := at - newer + periodsHeld; oldest < len(row.paid) && row.paid[oldest].benefit == p.Benefit {
		row.paid = slices.Delete(row.paid, oldest, oldest+1)
	}
	return Applied
}
