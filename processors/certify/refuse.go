package certify

import (
	"unicode/utf8"

	"github.com/vouch-engine/vouch/schemas"
)

// Refusal is the named reason for which an input is put in quarantine. The
// first that applies, in the order of these constants, is given.
type Refusal string

// The reasons of SPEC section 3. The first three are found by whoever decodes.
const (
	Accepted       Refusal = ""
	NullValue      Refusal = "null_value"
	UnknownSchema  Refusal = "unknown_schema"
	Undecodable    Refusal = "undecodable"
	OutOfRange     Refusal = "out_of_range"
	BadID          Refusal = "bad_id"
	KeyMismatch    Refusal = "key_mismatch"
	UnknownBenefit Refusal = "unknown_benefit"
	UnknownKind    Refusal = "unknown_kind"
	WrongSource    Refusal = "wrong_source"
	FutureDated    Refusal = "future_dated"
)

// Refusals lists every reason, for metrics and for tests that want to have
// reached each.
var Refusals = []Refusal{NullValue, UnknownSchema, Undecodable, OutOfRange, BadID, KeyMismatch, UnknownBenefit, UnknownKind, WrongSource, FutureDated}

// The limits of what a record may say. Beyond the first it is refused as
// bad_id, beyond the next two as out_of_range, beyond the last two as
// future_dated.
const (
	idBytesMax         = 64
	textBytesMax       = 256
	attributesBytesMax = 4 << 10
	aheadDaysMax       = 1                  // civil days that a record may be ahead of its Kafka timestamp
	tickAheadMax       = 5 * schemas.Minute // that a tick may be ahead of its own
)

// RefuseEvidence says why the record, found under key with Kafka timestamp at,
// cannot be decided, or Accepted.
func (r *Rules) RefuseEvidence(key string, e *schemas.Evidence, at schemas.Instant) Refusal {
	kind, known := r.catalogue.KindIndex(e.Kind)
	switch {
	case !validTexts(e.Kind, e.Source, text(e.Reference)) || !validAttributes(e.Attributes):
		return Undecodable
	case !e.OccurredAt.InRange(), !e.RecordedAt.InRange(),
		tooLong(e.Kind, e.Source, text(e.Reference)), tooMuch(e.Attributes):
		return OutOfRange
	case badID(e.CitizenID), badID(e.EvidenceID):
		return BadID
	case key != e.CitizenID:
		return KeyMismatch
	case !known:
		return UnknownKind
	case e.Source != r.catalogue.Kinds[kind].Source:
		return WrongSource
	case r.ahead(e.RecordedAt, at), e.Op == schemas.Assert && r.ahead(e.OccurredAt, at):
		return FutureDated
	}
	return Accepted
}

// RefuseRoster is RefuseEvidence for a roster entry.
func (r *Rules) RefuseRoster(key string, e *schemas.RosterEntry, at schemas.Instant) Refusal {
	_, known := r.catalogue.BenefitIndex(e.Benefit)
	switch {
	case !validTexts(e.Benefit, e.Region, text(e.Phone), text(e.Payee)) || !validAttributes(e.Attributes):
		return Undecodable
	case !e.RecordedAt.InRange(), !e.EffectiveOn.InRange(),
		outside(e.DueOn), outside(e.LastCertifiedOn), outside(e.BirthOn),
		e.AmountFen != nil && *e.AmountFen < 0,
		tooLong(e.Benefit, e.Region, text(e.Phone), text(e.Payee)), tooMuch(e.Attributes):
		return OutOfRange
	case badID(e.CitizenID), badID(e.EntryID):
		return BadID
	case key != e.CitizenID:
		return KeyMismatch
	case !known:
		return UnknownBenefit
	case r.ahead(e.RecordedAt, at):
		return FutureDated
	}
	return Accepted
}

// RefusePayout is RefuseEvidence for a payout.
func (r *Rules) RefusePayout(key string, p *schemas.Payout, at schemas.Instant) Refusal {
	_, known := r.catalogue.BenefitIndex(p.Benefit)
	_, isMonth := month(p.Period)
	switch {
	case !validTexts(p.Benefit, p.Period, text(p.Payee)):
		return Undecodable
	case !p.PaidAt.InRange(), !isMonth, p.AmountFen < 0, tooLong(p.Benefit, text(p.Payee)):
		return OutOfRange
	case badID(p.CitizenID), badID(p.PayoutID):
		return BadID
	case key != p.CitizenID:
		return KeyMismatch
	case !known:
		return UnknownBenefit
	case r.ahead(p.PaidAt, at):
		return FutureDated
	}
	return Accepted
}

// RefuseTick is RefuseEvidence for a tick, whose key says nothing.
func (r *Rules) RefuseTick(t *schemas.ClockTick, at schemas.Instant) Refusal {
	switch {
	case !t.At.InRange():
		return OutOfRange
	case t.At > at+tickAheadMax:
		return FutureDated
	}
	return Accepted
}

func (r *Rules) ahead(said, at schemas.Instant) bool {
	return said > at && r.zone.Date(said) > r.zone.Date(at)+aheadDaysMax
}

func badID(id string) bool {
	if id == "" || len(id) > idBytesMax {
		return true
	}
	for i := 0; i < len(id); i++ {
		if id[i] < 0x20 {
			return true
		}
	}
	return !utf8.ValidString(id)
}

// validTexts tells whether all texts are UTF-8, as an Avro string must be. An
// id that is not is a bad_id instead.
func validTexts(texts ...string) bool {
	for _, t := range texts {
		if !utf8.ValidString(t) {
			return false
		}
	}
	return true
}

func validAttributes(attributes map[string]string) bool {
	for key, value := range attributes {
		if !validTexts(key, value) {
			return false
		}
	}
	return true
}

func tooLong(texts ...string) bool {
	for _, t := range texts {
		if len(t) > textBytesMax {
			return true
		}
	}
	return false
}

func tooMuch(attributes map[string]string) bool {
	bytes := 0
	for key, value := range attributes {
		bytes += len(key) + len(value)
	}
	return bytes > attributesBytesMax
}

func outside(d *schemas.Date) bool { return d != nil && !d.InRange() }

// month reads a period YYYY-MM of the years 1850 to 2199.
func month(period string) (int32, bool) {
	if len(period) != len("2006-01") {
		return 0, false
	}
	first, err := schemas.ParseDate(period + "-01")
	return first.Month(), err == nil && first.InRange()
}

// explanations say in words what each reason means; they never show the record.
var explanations = map[Refusal]string{
	Undecodable:    "a text is not UTF-8",
	OutOfRange:     "a date, an instant or a period lies outside 1850 to 2199, an amount is below 0, or a text is too long",
	BadID:          "an id is empty, over 64 bytes, not UTF-8 or has a control character",
	KeyMismatch:    "the record's key is not its citizen_id",
	UnknownBenefit: "the catalogue has no such benefit",
	UnknownKind:    "the catalogue has no such evidence kind",
	WrongSource:    "the kind belongs to another department",
	FutureDated:    "the record says it is of a day that is yet to come, as its Kafka timestamp tells the time",
}

// Explain gives the reason in words that show nothing of the record.
func (r Refusal) Explain() string { return explanations[r] }
