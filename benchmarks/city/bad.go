package city

import (
	"encoding/json"
	"strings"

	"github.com/vouch-engine/vouch/processors/certify"
	"github.com/vouch-engine/vouch/schemas"
)

// bad are records that must be put in quarantine, for each reason in turn.
// Ticks are always good: a bad one is quarantined once a partition.
func (c *City) bad() strand {
	reasons := []certify.Refusal{}
	for _, reason := range certify.Refusals {
		if reason != certify.UnknownSchema || c.config.Wire {
			reasons = append(reasons, reason)
		}
	}
	count := max(uint64(len(reasons)), c.perYear(perYearStrong+perYearWeak)*uint64(shareBad)/whole)
	return strand{count: count, time: c.evenly(tagBad, count), make: func(i uint64, at schemas.Instant, f *Fact) bool {
		d := c.draw(tagBad, i)
		rank := d.below(uint64(c.config.Citizens))
		c.evidence(rank, pick(&d, c.kinds.automatic), tagBad, i, f)
		f.evidence.RecordedAt, f.evidence.OccurredAt = c.late(&d, at)
		c.spoil(reasons[i%uint64(len(reasons))], rank, at, &d, f)
		return true
	}}
}

// spoil makes of a good evidence record, or of a payout to the same citizen,
// one that is refused for a reason.
func (c *City) spoil(reason certify.Refusal, rank uint64, at schemas.Instant, d *draw, f *Fact) {
	switch reason {
	case certify.NullValue:
		f.Record = nil
	case certify.UnknownSchema:
		f.Record, f.Bytes = nil, []byte("\xC3\x01of no schema that is known")
	case certify.Undecodable:
		f.Record, f.Bytes = nil, c.damaged(d, f)
	case certify.OutOfRange:
		if d.between(0, 1) == 0 {
			f.evidence.OccurredAt = schemas.Instant(schemas.FirstDate-1) * schemas.Day
			return
		}
		c.pay(rank, d.next()>>1, at, f)
		f.payout.AmountFen = -1
	case certify.BadID:
		f.evidence.EvidenceID = pick(d, []string{"", "a\tb", strings.Repeat("x", 65)})
	case certify.KeyMismatch:
		f.NoKey, f.Key = d.between(0, 1) == 0, c.id(rank+1)
	case certify.UnknownBenefit:
		c.pay(rank, d.next()>>1, at, f)
		f.payout.Benefit = "NO_SUCH_BENEFIT"
	case certify.UnknownKind:
		f.evidence.Kind = "NO_SUCH_KIND"
	case certify.WrongSource:
		f.evidence.Source = "NO_SUCH_DEPARTMENT"
	case certify.FutureDated:
		f.evidence.OccurredAt = at + 3*schemas.Day
	}
}

// damaged is a value that does not fit its schema: on the wire one that is cut
// off, in a facts file one that lacks fields.
func (c *City) damaged(d *draw, f *Fact) []byte {
	if c.config.Wire {
		value := c.cut.Append(nil, &f.evidence)
		return value[:len(value)-1-int(d.below(20))]
	}
	text, err := json.Marshal(map[string]string{"citizen_id": f.Key, "evidence_id": f.evidence.EvidenceID, "kind": f.evidence.Kind})
	if err != nil {
		panic("city: texts do not fit into JSON: " + err.Error())
	}
	return text
}
