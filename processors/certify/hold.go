package certify

import (
	"cmp"
	"slices"
	"strings"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// takeDown holds an evidence record if no equal or greater version is held and
// the bounds allow it. It reports whether the row has changed.
func (r *Rules) takeDown(row *Citizen, e *schemas.Evidence) (Count, bool) {
	place, _ := r.catalogue.KindIndex(e.Kind)
	kind := &r.catalogue.Kinds[place]
	version := evidence{ // of the record's own texts nothing is kept: it may lie in a buffer that is used again
		source: kind.Source, id: pack(e.EvidenceID), kind: kind.Code,
		occurredAt: e.OccurredAt, recordedAt: e.RecordedAt, retracted: e.Op == schemas.Retract,
		of: kind, place: place,
	}
	r.lookTime(&version)
	before, replaces := len(row.evidence), row.find(&version)
	if replaces >= 0 {
		held := &row.evidence[replaces]
		if compareVersion(&version, held) <= 0 {
			return Superseded, false
		}
		version.corrected = held.corrected || held.occurredAt != version.occurredAt || held.kind != version.kind
		row.evidence = slices.Delete(row.evidence, replaces, replaces+1)
	}
	at := 0
	for at < len(row.evidence) && compareNewest(&row.evidence[at], &version) < 0 {
		at++
	}
	row.evidence = slices.Insert(row.evidence, at, version)
	if r.trim(row) && !r.keep[at] {
		// A row beyond the bounds of another catalogue loses more than this.
		return NotHeld, replaces >= 0 || len(row.evidence) < before
	}
	return Applied, true
}

// find is the place of the held version of a record, negative if there is none.
func (row *Citizen) find(e *evidence) int {
	for i := range row.evidence {
		if held := &row.evidence[i]; held.id == e.id && held.source == e.source {
			return i
		}
	}
	return -1
}

// trim lets go of what lies beyond the bounds. It reports whether that was
// anything; r.keep tells what has stayed, by the places before.
func (r *Rules) trim(row *Citizen) (letGo bool) {
	r.keep = slices.Grow(r.keep[:0], len(row.evidence))[:len(row.evidence)]
	clear(r.keep)
	r.keepStrong(row)
	r.keepWeakAndAdverse(row)
	r.keepAmendments(row)
	first := slices.Index(r.keep, false)
	if first < 0 {
		return false
	}
	kept := row.evidence[:first]
	for i := first + 1; i < len(row.evidence); i++ {
		if r.keep[i] {
			kept = append(kept, row.evidence[i])
		}
	}
	clear(row.evidence[len(kept):]) // let their ids go
	row.evidence = kept
	return true
}

// keepStrong keeps, of every scope, the newest strong records, and the newest
// of each of the newest months that have one. All scopes go side by side, since
// a catalogue may have many of them.
func (r *Rules) keepStrong(row *Citizen) {
	var records [strongHeld]scopeSet
	var months [monthsHeld]scopeSet
	r.months = r.months[:0]
	for i := range row.evidence {
		e := &row.evidence[i]
		if !e.counts() || r.scopes[e.place] == 0 {
			continue
		}
		of := r.month(e.month)
		first := r.scopes[e.place] &^ of.seenIn
		of.seenIn |= first
		r.keep[i] = within(records[:], r.scopes[e.place])|within(months[:], first) != 0
	}
}

// within counts one more in some scopes, and gives those in which it is within
// the bound. counted[n] are the scopes that have more than n; the bound is its
// length.
func within(counted []scopeSet, scopes scopeSet) scopeSet {
	full := counted[len(counted)-1]
	for n := len(counted) - 1; n > 0; n-- {
		counted[n] |= counted[n-1] & scopes
	}
	counted[0] |= scopes
	return scopes &^ full
}

// scopeSet is a set of scopes by their place in Catalogue.Scopes; the one after
// the last is that of assurance A, which no benefit accepts by itself.
type scopeSet uint64

// seenMonth is a month of which a record was passed.
type seenMonth struct {
	month  int32
	seenIn scopeSet
}

// month finds a month among those that were passed, or adds it.
func (r *Rules) month(month int32) *seenMonth {
	for i := range r.months {
		if r.months[i].month == month {
			return &r.months[i]
		}
	}
	r.months = append(r.months, seenMonth{month: month})
	return &r.months[len(r.months)-1]
}

// keepWeakAndAdverse keeps the newest record of each of the newest weak kinds,
// the newest ones of each adverse or lifting kind, and every record of a kind
// that is gone from the catalogue: nobody can send more of those.
func (r *Rules) keepWeakAndAdverse(row *Citizen) {
	clear(r.newer)
	weakKinds := 0
	for i := range row.evidence {
		e := &row.evidence[i]
		if e.of == nil {
			r.keep[i] = true
			continue
		}
		if e.retracted || e.of.Strength == catalogue.Strong && !e.of.NamedInLiftedBy {
			continue
		}
		newer := r.newer[e.place]
		r.newer[e.place] = newer + 1
		if e.of.Strength == catalogue.Weak {
			if newer == 0 && weakKinds < weakKindsHeld {
				weakKinds++
				r.keep[i] = true
			}
		} else if newer < adverseHeld {
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
			return cmp.Compare(row.evidence[b].recordedAt, row.evidence[a].recordedAt)
		})
		amendments = amendments[:amendmentsHeld]
	}
	for _, i := range amendments {
		r.keep[i] = true
	}
}

// enrol holds a roster entry if it is greater than the version held. What was
// announced of the enrolment is forgotten when it is withdrawn.
func (r *Rules) enrol(row *Citizen, e *schemas.RosterEntry) (changed bool) {
	at, found := slices.BinarySearchFunc(row.entries, e.Benefit, func(a entry, code string) int { return strings.Compare(a.Benefit, code) })
	if !found {
		place, _ := r.catalogue.BenefitIndex(e.Benefit)
		row.entries = slices.Insert(row.entries, at, entry{place: place})
	} else if compareEntry(e, &row.entries[at].RosterEntry) <= 0 {
		return false
	}
	held := &row.entries[at]
	held.RosterEntry = kept(e)
	held.Benefit = r.catalogue.Benefits[held.place].Code
	if e.Op == schemas.Withdraw {
		held.announced, held.provenOn = false, false
		held.announcedOn, held.announcedUntil = 0, 0
	}
	return true
}

// kept is an entry as the row holds it: without what its key says, an empty
// phone or payee is none, and none of its texts lies in the record's buffer,
// which may be used again.
func kept(e *schemas.RosterEntry) schemas.RosterEntry {
	k := *e
	k.CitizenID, k.EntryID, k.Region = "", strings.Clone(e.EntryID), strings.Clone(e.Region)
	k.Phone, k.Payee, k.Attributes = keptText(e.Phone), keptText(e.Payee), nil
	if len(e.Attributes) > 0 {
		k.Attributes = make(map[string]string, len(e.Attributes))
		for key, value := range e.Attributes {
			k.Attributes[strings.Clone(key)] = strings.Clone(value)
		}
	}
	return k
}

func keptText(s *string) *string {
	if text(s) == "" {
		return nil
	}
	clone := strings.Clone(*s)
	return &clone
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
	id := pack(p.PayoutID)
	at, newer := len(row.paid), 0
	for i := range row.paid {
		held := &row.paid[i]
		if held.benefit != p.Benefit {
			if held.benefit > p.Benefit {
				at = min(at, i)
			}
			continue
		}
		if slices.ContainsFunc(held.payouts, func(o payout) bool { return o.id == id }) {
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
	row.paid[at].payouts = append(row.paid[at].payouts, payout{id, p.AmountFen})
	if oldest := at - newer + periodsHeld; oldest < len(row.paid) && row.paid[oldest].benefit == p.Benefit {
		row.paid = slices.Delete(row.paid, oldest, oldest+1)
	}
	return Applied
}
