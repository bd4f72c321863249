package certify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/vouch-engine/vouch/schemas"
)

// Row is what a key of the group table holds. It may be both a citizen's and a
// partition's, since a citizen may be called 7, like a tick's key.
//
// Its bytes travel to the changelog at every change, and are read by every
// later version of this program (testdata/rows.golden keeps old ones). Numbers
// are varints as of encoding/binary, signed ones zigzag; a text is its length
// and its bytes; a code is its place in the list of codes:
//
//	row       = version: byte 1 · parts: byte, bit 0 citizen, bit 1 partition · [citizen] · [partition]
//	citizen   = codes: count, texts · entries: count, entry… · evidence: count, evidence… · paid: count, period…
//	entry     = benefit: code · flags: uvarint, see entryFlags · entry_id: text · recorded_at: signed ms
//	          · effective_on: signed days · then each that is flagged: due_on, last_certified_on: signed days
//	          · region, phone, payee: text · amount_fen: signed · birth_on: signed days
//	          · attributes: count, sorted pairs of texts · announced_until, announced_on: signed days
//	evidence  = flags: byte, see evidenceFlags · kind: code · source: code · id: text
//	          · how much older than the one before it (the first: than 1970), signed ms
//	          · recorded_at: signed ms after occurred_at
//	period    = benefit: code · month: signed · payouts: count, (id: text · amount_fen: signed)…
//	partition = clock: signed ms · catalogue version: signed · catalogue hash: text
type Row struct {
	Citizen   Citizen
	Partition *Partition // nil in the row of a key that no tick has
}

// Partition is what is held of a partition as a whole: its clock, and under
// which catalogue it was decided.
type Partition struct {
	Clock            schemas.Instant // the greatest tick applied
	CatalogueVersion int64
	CatalogueHash    string
}

const rowVersion = 1

// The parts that a row has.
const (
	partCitizen = 1 << iota
	partPartition
)

// entryFlags: which optional parts follow, and two plain facts.
const (
	entryWithdrawn = 1 << iota
	entryDueOn
	entryLastCertifiedOn
	entryRegion
	entryPhone
	entryPayee
	entryAmount
	entryBirthOn
	entryAttributes
	entryAnnounced
	entryProvenOn
)

// evidenceFlags.
const (
	evidenceRetracted = 1 << iota
	evidenceCorrected
)

// rowBytesTypical is room for the row of a citizen of 25.7 records a year.
const rowBytesTypical = 640

// AppendRow appends the row's bytes. Equal rows give equal bytes.
func AppendRow(b []byte, row *Row) []byte {
	b = slices.Grow(b, rowBytesTypical)
	c := &row.Citizen
	parts := byte(0)
	if len(c.entries)+len(c.evidence)+len(c.paid) > 0 {
		parts |= partCitizen
	}
	if row.Partition != nil {
		parts |= partPartition
	}
	b = append(b, rowVersion, parts)
	if parts&partCitizen != 0 {
		b = appendCitizen(b, c)
	}
	if p := row.Partition; p != nil {
		b = binary.AppendVarint(b, int64(p.Clock))
		b = binary.AppendVarint(b, p.CatalogueVersion)
		b = appendText(b, p.CatalogueHash)
	}
	return b
}

func appendCitizen(b []byte, c *Citizen) []byte {
	var room [48]string
	codes := codeList(room[:0])
	for i := range c.entries {
		codes.add(c.entries[i].Benefit)
	}
	for i := range c.evidence {
		codes.add(c.evidence[i].kind)
		codes.add(c.evidence[i].source)
	}
	for i := range c.paid {
		codes.add(c.paid[i].benefit)
	}
	b = binary.AppendUvarint(b, uint64(len(codes)))
	for _, code := range codes {
		b = appendText(b, code)
	}
	b = binary.AppendUvarint(b, uint64(len(c.entries)))
	for i := range c.entries {
		b = appendEntry(b, &c.entries[i], codes)
	}
	b = binary.AppendUvarint(b, uint64(len(c.evidence)))
	before := schemas.Instant(0)
	for i := range c.evidence {
		e := &c.evidence[i]
		b = append(b, byte(flag(e.retracted, evidenceRetracted)|flag(e.corrected, evidenceCorrected)))
		b = codes.append(b, e.kind)
		b = codes.append(b, e.source)
		b = appendText(b, e.id)
		b = binary.AppendVarint(b, int64(before-e.occurredAt))
		b = binary.AppendVarint(b, int64(e.recordedAt-e.occurredAt))
		before = e.occurredAt
	}
	b = binary.AppendUvarint(b, uint64(len(c.paid)))
	for i := range c.paid {
		p := &c.paid[i]
		b = codes.append(b, p.benefit)
		b = binary.AppendVarint(b, int64(p.month))
		b = binary.AppendUvarint(b, uint64(len(p.payouts)))
		for _, paid := range p.payouts {
			b = appendText(b, paid.id)
			b = binary.AppendVarint(b, paid.amountFen)
		}
	}
	return b
}

func appendEntry(b []byte, e *entry, codes codeList) []byte {
	flags := flag(e.Op == schemas.Withdraw, entryWithdrawn) | flag(e.DueOn != nil, entryDueOn) |
		flag(e.LastCertifiedOn != nil, entryLastCertifiedOn) | flag(e.Region != "", entryRegion) |
		flag(e.Phone != nil, entryPhone) | flag(e.Payee != nil, entryPayee) |
		flag(e.AmountFen != nil, entryAmount) | flag(e.BirthOn != nil, entryBirthOn) |
		flag(len(e.Attributes) > 0, entryAttributes) |
		flag(e.announced, entryAnnounced) | flag(e.provenOn, entryProvenOn)
	b = codes.append(b, e.Benefit)
	b = binary.AppendUvarint(b, flags)
	b = appendText(b, e.EntryID)
	b = binary.AppendVarint(b, int64(e.RecordedAt))
	b = binary.AppendVarint(b, int64(e.EffectiveOn))
	b = appendOptional(b, e.DueOn)
	b = appendOptional(b, e.LastCertifiedOn)
	if e.Region != "" {
		b = appendText(b, e.Region)
	}
	if e.Phone != nil {
		b = appendText(b, *e.Phone)
	}
	if e.Payee != nil {
		b = appendText(b, *e.Payee)
	}
	b = appendOptional(b, e.AmountFen)
	b = appendOptional(b, e.BirthOn)
	if len(e.Attributes) > 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Attributes)))
		for _, key := range slices.Sorted(maps.Keys(e.Attributes)) {
			b = appendText(appendText(b, key), e.Attributes[key])
		}
	}
	if e.announced {
		b = binary.AppendVarint(b, int64(e.announcedUntil))
	}
	if e.provenOn {
		b = binary.AppendVarint(b, int64(e.announcedOn))
	}
	return b
}

// DecodeRow reads what AppendRow wrote. The row shares no memory with b.
func DecodeRow(b []byte) (*Row, error) {
	if len(b) < 2 {
		return nil, errors.New("certify: decode row: it is cut off")
	}
	if b[0] != rowVersion {
		return nil, fmt.Errorf("certify: decode row: format %d is not known to this program, which reads %d: use the version that wrote it, or a later one", b[0], rowVersion)
	}
	r := rowReader{rest: string(b[2:])}
	row := &Row{}
	if b[1]&partCitizen != 0 {
		r.citizen(&row.Citizen)
	}
	if b[1]&partPartition != 0 {
		row.Partition = &Partition{Clock: schemas.Instant(r.signed()), CatalogueVersion: r.signed(), CatalogueHash: r.text()}
	}
	if r.broken || r.rest != "" || b[1]&^(partCitizen|partPartition) != 0 {
		return nil, errors.New("certify: decode row: its bytes are damaged")
	}
	return row, nil
}

// rowReader reads the parts of a row, one after the other; texts share the
// memory of rest. After a part that is not there all others are zero.
type rowReader struct {
	rest   string
	codes  []string
	broken bool
}

func (r *rowReader) citizen(c *Citizen) {
	r.codes = make([]string, 0, 24)
	for range r.count(1) {
		r.codes = append(r.codes, r.text())
	}
	// One place more than there are: a step adds at most one.
	n := r.count(4)
	c.entries = make([]entry, n, n+1)
	for i := range c.entries {
		r.entry(&c.entries[i])
	}
	n = r.count(5)
	c.evidence = make([]evidence, n, n+1)
	before := schemas.Instant(0)
	for i := range c.evidence {
		flags := r.byte()
		e := &c.evidence[i]
		*e = evidence{kind: r.code(), source: r.code(), id: r.text(), retracted: flags&evidenceRetracted != 0, corrected: flags&evidenceCorrected != 0}
		e.occurredAt = before - schemas.Instant(r.signed())
		e.recordedAt = e.occurredAt + schemas.Instant(r.signed())
		before = e.occurredAt
	}
	n = r.count(3)
	c.paid = make([]period, n, n+1)
	for i := range c.paid {
		p := &c.paid[i]
		p.benefit, p.month = r.code(), int32(r.signed())
		for range r.count(2) {
			p.payouts = append(p.payouts, payout{r.text(), r.signed()})
		}
	}
}

func (r *rowReader) entry(e *entry) {
	e.Benefit = r.code()
	flags := r.count(0)
	e.Op = schemas.Enrol
	if flags&entryWithdrawn != 0 {
		e.Op = schemas.Withdraw
	}
	e.EntryID = r.text()
	e.RecordedAt = schemas.Instant(r.signed())
	e.EffectiveOn = schemas.Date(r.signed())
	e.DueOn = optional[schemas.Date](r, flags&entryDueOn)
	e.LastCertifiedOn = optional[schemas.Date](r, flags&entryLastCertifiedOn)
	if flags&entryRegion != 0 {
		e.Region = r.text()
	}
	if flags&entryPhone != 0 {
		phone := r.text()
		e.Phone = &phone
	}
	if flags&entryPayee != 0 {
		payee := r.text()
		e.Payee = &payee
	}
	e.AmountFen = optional[int64](r, flags&entryAmount)
	e.BirthOn = optional[schemas.Date](r, flags&entryBirthOn)
	if flags&entryAttributes != 0 {
		e.Attributes = map[string]string{}
		for range r.count(2) {
			key := r.text()
			e.Attributes[key] = r.text()
		}
	}
	if e.announced = flags&entryAnnounced != 0; e.announced {
		e.announcedUntil = schemas.Date(r.signed())
	}
	if e.provenOn = flags&entryProvenOn != 0; e.provenOn {
		e.announcedOn = schemas.Date(r.signed())
	}
}

func (r *rowReader) byte() byte {
	if r.rest == "" {
		r.broken = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// unsigned reads a uvarint, in the manner of encoding/binary, which has none
// for strings.
func (r *rowReader) unsigned() (n uint64) {
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	r.broken = true
	return 0
}

func (r *rowReader) signed() int64 {
	n := r.unsigned()
	return int64(n>>1) ^ -int64(n&1)
}

// count reads how many things follow, each of at least so many bytes: a
// damaged row must not ask for more memory than it has bytes.
func (r *rowReader) count(bytesEach int) int {
	n := r.unsigned()
	if r.broken || n > 1<<31 || int(n)*bytesEach > len(r.rest) {
		r.broken, r.rest = true, ""
		return 0
	}
	return int(n)
}

func (r *rowReader) text() string {
	n := r.count(1)
	text := r.rest[:n]
	r.rest = r.rest[n:]
	return text
}

func (r *rowReader) code() string {
	n := r.unsigned()
	if n >= uint64(len(r.codes)) {
		r.broken = true
		return ""
	}
	return r.codes[n]
}

func optional[T schemas.Date | int64](r *rowReader, present int) *T {
	if present == 0 {
		return nil
	}
	value := T(r.signed())
	return &value
}

// codeList numbers the codes of a row in the order in which they come up.
type codeList []string

func (l *codeList) add(code string) {
	if !slices.Contains(*l, code) {
		*l = append(*l, code)
	}
}

func (l codeList) append(b []byte, code string) []byte {
	return binary.AppendUvarint(b, uint64(slices.Index(l, code)))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendOptional[T schemas.Date | int64](b []byte, value *T) []byte {
	if value == nil {
		return b
	}
	return binary.AppendVarint(b, int64(*value))
}

func flag(set bool, bit uint64) uint64 {
	if set {
		return bit
	}
	return 0
}
