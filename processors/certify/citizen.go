package certify

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// The bounds of what is held of one citizen; SPEC section 3, "What is held".
// A record beyond them is counted as not held. They bound the row, and with it
// what travels to the changelog at every change.
const (
	strongHeld      = 4  // newest strong records of a scope
	monthsHeld      = 4  // newest months of a scope that have one, the newest record of each
	weakKindsHeld   = 3  // newest weak kinds, the newest record of each
	adverseHeld     = 2  // newest records of an adverse kind or of one named in a lifted_by
	amendmentsHeld  = 16 // retractions and corrections of latest recorded_at
	periodsHeld     = 3  // newest periods of a benefit that was paid
	payoutsHeld     = 4  // first payouts of a period
	leadsScheduled  = 3  // leads that travel to the timer
	noticeOnRetract = 30 // days that a retraction leaves a citizen to be certified again
)

// NoTick is the clock of a certifier that has seen no tick: it is before every
// lapse day, so that nothing has lapsed.
const NoTick schemas.Instant = -1 << 62

// Citizen is all that is held of one citizen. The zero value is a citizen of
// whom nothing is known.
type Citizen struct {
	entries  []entry    // sorted by benefit code
	evidence []evidence // newest first: see compareNewest
	paid     []period   // sorted by benefit code, then newest period first

	under *Rules // who has looked up the codes: see Rules.look
}

// entry is the version that holds of one benefit's roster entry, with what was
// announced of the enrolment.
type entry struct {
	schemas.RosterEntry // CitizenID is empty: it is the row's key

	announced      bool         // something was announced; until then announcedUntil is the base as it stands
	announcedOn    schemas.Date // date of the proof that was announced last, where provenOn
	provenOn       bool         // false after a revocation that left no proof
	announcedUntil schemas.Date

	place int // of the benefit in the catalogue, looked up; gone where it has none
}

// evidence is the version that holds of one evidence record.
type evidence struct {
	source, kind string
	id           packed
	occurredAt   schemas.Instant
	recordedAt   schemas.Instant
	retracted    bool
	corrected    bool // replaced a held version of another instant or kind, or a corrected one

	// Looked up, since every rule asks for them.
	of    *catalogue.Kind // nil where the kind is gone from the catalogue
	place int             // of the kind in the catalogue
	on    schemas.Date    // the civil date of occurredAt
	month int32           // its month, as of schemas.Date.Month
}

// gone is the place of a code that the catalogue does not have any more. What
// has it is held and counts for nothing.
const gone = -1

// counts tells whether a record is of a kind that the catalogue has, and not
// retracted.
func (e *evidence) counts() bool { return e.of != nil && !e.retracted }

// period is what was paid of a benefit for one month.
type period struct {
	benefit string
	month   int32 // as of schemas.Date.Month
	payouts []payout
}

type payout struct {
	id        packed
	amountFen int64
}

// compareNewest orders evidence newest first; at the same instant the smaller
// source, then the smaller id, comes first.
func compareNewest(a, b *evidence) int {
	if order := cmp.Compare(b.occurredAt, a.occurredAt); order != 0 {
		return order
	}
	return cmp.Or(strings.Compare(a.source, b.source), strings.Compare(a.id.text(), b.id.text()))
}

// compareVersion orders the versions of one evidence record: the greater holds.
func compareVersion(a, b *evidence) int {
	return cmp.Or(
		cmp.Compare(a.recordedAt, b.recordedAt),
		compareBool(a.retracted, b.retracted),
		cmp.Compare(a.occurredAt, b.occurredAt),
		strings.Compare(a.kind, b.kind),
	)
}

// compareEntry orders the versions of a roster entry: the greater holds. It
// leaves out the benefit, which is the entry's identity. An empty phone or
// payee is none.
func compareEntry(a, b *schemas.RosterEntry) int {
	if order := cmp.Compare(a.RecordedAt, b.RecordedAt); order != 0 {
		return order // as a rule; what follows is for ties
	}
	return cmp.Or(
		compareBool(a.Op == schemas.Withdraw, b.Op == schemas.Withdraw),
		strings.Compare(a.EntryID, b.EntryID),
		cmp.Compare(a.EffectiveOn, b.EffectiveOn),
		compareOptional(a.DueOn, b.DueOn),
		compareOptional(a.LastCertifiedOn, b.LastCertifiedOn),
		strings.Compare(a.Region, b.Region),
		strings.Compare(text(a.Phone), text(b.Phone)),
		strings.Compare(text(a.Payee), text(b.Payee)),
		compareOptional(a.AmountFen, b.AmountFen),
		compareOptional(a.BirthOn, b.BirthOn),
		compareAttributes(a.Attributes, b.Attributes),
	)
}

// compareOptional puts null least.
func compareOptional[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil || b == nil:
		return compareBool(a != nil, b != nil)
	default:
		return cmp.Compare(*a, *b)
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// compareAttributes compares the sorted pairs, one after the other.
func compareAttributes(a, b map[string]string) int {
	if len(a) == 0 && len(b) == 0 {
		return 0
	}
	keysA, keysB := slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b))
	for i := range min(len(keysA), len(keysB)) {
		if order := cmp.Or(strings.Compare(keysA[i], keysB[i]), strings.Compare(a[keysA[i]], b[keysB[i]])); order != 0 {
			return order
		}
	}
	return cmp.Compare(len(keysA), len(keysB))
}

// text is an optional text of which the empty one is none.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
