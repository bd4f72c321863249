package remind

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/vouch-engine/vouch/schemas"
)

// Row is what a key of the group table holds. It may be both a citizen's and a
// partition's, since a citizen may be called 7, like a tick's key.
//
// Its bytes travel to the changelog at every change, and are read by every
// later version of this program (testdata/rows.golden keeps old ones). Numbers
// are varints as of encoding/binary, signed ones zigzag; a text is its length
// and its bytes; a code is its place in the list of codes. What the due index
// is derived from stands in front:
//
//	row       = version: byte 1 · parts: byte, bit 0 citizen, bit 1 partition · [partition] · [citizen]
//	partition = clock: signed ms · cursor: text · catalogue: signed version, text hash
//	          · pass: byte 1 if one is under way, else 0 · pass_cursor: text
//	citizen   = codes: count, texts · enrolments: count, enrolment…
//	          · catalogue: 8 bytes · flags: byte, see citizenFlags · at: signed ms
//	          · then each that is flagged: clock: signed ms · region, phone: text · last_seen_at: signed ms
//	          · leads: count, lead… · weak: count, lead… · if flagged: unknown: count, unknown…
//	enrolment = benefit: code · department: code · reasons: count, codes · due_on: signed days
//	          · lapses_at, visit_at: instant · remind_at: count, instants
//	unknown   = benefit: code · reasons: count, codes · due_on: signed days
//	instant   = signed ms after the UTC midnight that begins due_on
//	lead      = kind: code · source: code · occurred_at: signed ms
type Row struct {
	Citizen   Citizen
	Partition *Partition // nil in the row of a key that no tick has

	codes []string // memory for DecodeRowInto
}

// Empty tells whether a row holds nothing, so that its key may go.
func (row *Row) Empty() bool { return !row.Citizen.knows() && row.Partition == nil }

const rowVersion = 1

// The parts that a row has.
const (
	partCitizen = 1 << iota
	partPartition
)

// citizenFlags: which optional parts follow.
const (
	citizenClock = 1 << iota
	citizenRegion
	citizenPhone
	citizenSeen
	citizenUnknown
)

// rowBytesTypical is room for the row of a citizen with two benefits.
const rowBytesTypical = 256

// AppendRow appends the row's bytes. Equal rows give equal bytes.
func AppendRow(b []byte, row *Row) []byte {
	b = slices.Grow(b, rowBytesTypical)
	parts := byte(0)
	if row.Citizen.knows() {
		parts |= partCitizen
	}
	if row.Partition != nil {
		parts |= partPartition
	}
	b = append(b, rowVersion, parts)
	if p := row.Partition; p != nil {
		b = appendPartition(b, p)
	}
	if parts&partCitizen != 0 {
		b = appendCitizen(b, &row.Citizen)
	}
	return b
}

func appendPartition(b []byte, p *Partition) []byte {
	b = binary.AppendVarint(b, int64(p.Clock))
	b = appendText(b, p.Cursor)
	b = binary.AppendVarint(b, p.CatalogueVersion)
	b = appendText(b, p.CatalogueHash)
	b = append(b, flag(p.Pass, 1))
	return appendText(b, p.PassCursor)
}

func appendCitizen(b []byte, c *Citizen) []byte {
	var room [24]string // enough for most citizens
	codes := c.codes(room[:0])
	b = binary.AppendUvarint(b, uint64(len(codes)))
	for _, code := range codes {
		b = appendText(b, code)
	}
	b = binary.AppendUvarint(b, uint64(len(c.enrolments)))
	for i := range c.enrolments {
		b = appendEnrolment(b, &c.enrolments[i], codes)
	}
	b = append(b, c.catalogue[:]...)
	b = append(b, flag(c.clock != NoTick, citizenClock)|flag(c.region != "", citizenRegion)|
		flag(c.phone.given, citizenPhone)|flag(c.lastSeenAt.given, citizenSeen)|flag(len(c.unknown) > 0, citizenUnknown))
	b = binary.AppendVarint(b, int64(c.at))
	if c.clock != NoTick {
		b = binary.AppendVarint(b, int64(c.clock))
	}
	if c.region != "" {
		b = appendText(b, c.region)
	}
	if c.phone.given {
		b = appendText(b, c.phone.value)
	}
	if c.lastSeenAt.given {
		b = binary.AppendVarint(b, int64(c.lastSeenAt.value))
	}
	b = appendLeads(appendLeads(b, c.leads, codes), c.weak, codes)
	if len(c.unknown) > 0 {
		b = binary.AppendUvarint(b, uint64(len(c.unknown)))
		for i := range c.unknown {
			b = codes.append(b, c.unknown[i].Benefit)
			b = appendReasons(b, c.unknown[i].Reasons, codes)
			b = binary.AppendVarint(b, int64(c.unknown[i].DueOn))
		}
	}
	return b
}

func appendReasons(b []byte, reasons []string, codes codeList) []byte {
	b = binary.AppendUvarint(b, uint64(len(reasons)))
	for _, reason := range reasons {
		b = codes.append(b, reason)
	}
	return b
}

func appendEnrolment(b []byte, n *enrolment, codes codeList) []byte {
	b = codes.append(b, n.benefit)
	b = codes.append(b, n.department)
	b = appendReasons(b, n.reasons, codes)
	b = binary.AppendVarint(b, int64(n.dueOn))
	midnight := schemas.Instant(n.dueOn) * schemas.Day
	b = binary.AppendVarint(b, int64(n.lapsesAt-midnight))
	b = binary.AppendVarint(b, int64(n.visitAt-midnight))
	b = binary.AppendUvarint(b, uint64(len(n.remindAt)))
	for _, at := range n.remindAt {
		b = binary.AppendVarint(b, int64(at-midnight))
	}
	return b
}

func appendLeads(b []byte, leads []schemas.Lead, codes codeList) []byte {
	b = binary.AppendUvarint(b, uint64(len(leads)))
	for i := range leads {
		b = codes.append(b, leads[i].Kind)
		b = codes.append(b, leads[i].Source)
		b = binary.AppendVarint(b, int64(leads[i].OccurredAt))
	}
	return b
}

// codes lists the codes of a row, in the order in which they come up.
func (c *Citizen) codes(codes codeList) codeList {
	for i := range c.enrolments {
		n := &c.enrolments[i]
		codes = codes.with(n.benefit).with(n.department)
		for _, reason := range n.reasons {
			codes = codes.with(reason)
		}
	}
	for _, leads := range [...][]schemas.Lead{c.leads, c.weak} {
		for i := range leads {
			codes = codes.with(leads[i].Kind).with(leads[i].Source)
		}
	}
	for i := range c.unknown {
		codes = codes.with(c.unknown[i].Benefit)
		for _, reason := range c.unknown[i].Reasons {
			codes = codes.with(reason)
		}
	}
	return codes
}

// DecodeRow reads what AppendRow wrote. The row shares no memory with b.
func DecodeRow(b []byte) (*Row, error) {
	row := &Row{}
	if err := DecodeRowInto(row, b); err != nil {
		return nil, err
	}
	return row, nil
}

// DecodeRowInto is DecodeRow into a row that was used before and whose memory is
// used again, as by a tick, which reads a row a fire. Events share none of that
// memory. After an error the row holds nothing of use.
func DecodeRowInto(row *Row, b []byte) error {
	r, parts, err := readRow(b)
	if err != nil {
		return err
	}
	r.texts, r.codes = string(b), row.codes
	row.Partition = nil
	if parts&partPartition != 0 {
		row.Partition = r.partition()
	}
	if parts&partCitizen != 0 {
		r.citizen(&row.Citizen)
	} else {
		row.Citizen = Citizen{}
	}
	row.codes = r.codes
	if r.at < len(r.bytes) {
		r.broken = true
	}
	return r.damage()
}

// readRow begins to read a row; its parts come in the order partition, citizen.
func readRow(b []byte) (r rowReader, parts byte, err error) {
	if len(b) < 2 {
		return r, 0, errors.New("remind: decode row: it is cut off")
	}
	if b[0] != rowVersion {
		return r, 0, fmt.Errorf("remind: decode row: format %d is not known to this program, which reads %d: use the version that wrote it, or a later one", b[0], rowVersion)
	}
	return rowReader{bytes: b, at: 2, broken: b[1]&^(partCitizen|partPartition) != 0}, b[1], nil
}

// rowReader reads the parts of a row, one after the other. After a part that is
// not there all others are zero.
type rowReader struct {
	bytes  []byte
	at     int      // where the next part begins
	texts  string   // the bytes once more, for those that are kept to share; empty if none is, and all are then
	codes  []string // the row's list, if texts are asked for
	known  int      // how many codes it has
	broken bool
}

// damage is the error of a row that could not be read.
func (r *rowReader) damage() error {
	if r.broken {
		return errors.New("remind: decode row: its bytes are damaged")
	}
	return nil
}

func (r *rowReader) partition() *Partition {
	p := &Partition{Clock: schemas.Instant(r.signed()), Cursor: r.text(), CatalogueVersion: r.signed(), CatalogueHash: r.text()}
	pass := r.byte()
	p.Pass, r.broken = pass == 1, r.broken || pass > 1
	p.PassCursor = r.text()
	return p
}

// citizen reads every field of a citizen, into the slices that are there.
func (r *rowReader) citizen(c *Citizen) {
	r.listCodes()
	c.enrolments = resized(c.enrolments, r.count(enrolmentBytesMin))
	for i := range c.enrolments {
		r.enrolment(&c.enrolments[i])
	}
	for i := range c.catalogue {
		c.catalogue[i] = r.byte()
	}
	flags := r.byte()
	r.broken = r.broken || flags >= citizenUnknown<<1
	c.at, c.clock = schemas.Instant(r.signed()), NoTick
	if flags&citizenClock != 0 {
		c.clock = schemas.Instant(r.signed())
	}
	c.region, c.phone, c.lastSeenAt = "", optional[string]{}, optional[schemas.Instant]{}
	if flags&citizenRegion != 0 {
		c.region = r.text()
	}
	if flags&citizenPhone != 0 {
		c.phone = optional[string]{r.text(), true}
	}
	if flags&citizenSeen != 0 {
		c.lastSeenAt = optional[schemas.Instant]{schemas.Instant(r.signed()), true}
	}
	c.leads = r.leads(c.leads)
	c.weak = r.leads(c.weak)
	c.unknown = c.unknown[:0]
	if flags&citizenUnknown != 0 {
		c.unknown = resized(c.unknown, r.count(unknownBytesMin))
		for i := range c.unknown {
			s := &c.unknown[i]
			s.Benefit = r.code()
			s.Reasons = r.reasons(s.Reasons)
			s.DueOn = schemas.Date(r.signed())
		}
	}
}

// The fewest bytes that each of a count of things takes.
const (
	enrolmentBytesMin = 7
	leadBytesMin      = 3
	unknownBytesMin   = 3
)

// listCodes reads the list that codes are places in.
func (r *rowReader) listCodes() {
	r.known = r.count(1)
	if r.texts != "" {
		r.codes = resized(r.codes, r.known)
	}
	for i := range r.known {
		if code := r.text(); r.texts != "" {
			r.codes[i] = code
		}
	}
}

func (r *rowReader) enrolment(n *enrolment) {
	n.benefit, n.department = r.code(), r.code()
	n.reasons = r.reasons(n.reasons)
	n.dueOn = schemas.Date(r.signed())
	midnight := schemas.Instant(n.dueOn) * schemas.Day
	n.lapsesAt = midnight + schemas.Instant(r.signed())
	n.visitAt = midnight + schemas.Instant(r.signed())
	n.remindAt = resized(n.remindAt, r.count(1))
	for stage := range n.remindAt {
		n.remindAt[stage] = midnight + schemas.Instant(r.signed())
	}
}

func (r *rowReader) reasons(into []string) []string {
	into = into[:0]
	for range r.count(1) {
		into = append(into, r.code())
	}
	return into
}

func (r *rowReader) leads(into []schemas.Lead) []schemas.Lead {
	into = resized(into, r.count(leadBytesMin))
	for i := range into {
		into[i] = schemas.Lead{Kind: r.code(), Source: r.code(), OccurredAt: schemas.Instant(r.signed())}
	}
	return into
}

// resized is a slice of n things to be overwritten, with the memory that those
// of before hold.
func resized[T any](all []T, n int) []T {
	if n > cap(all) {
		all = append(make([]T, 0, n), all[:cap(all)]...)
	}
	return all[:n]
}

// end leaves nothing to read.
func (r *rowReader) end() { r.broken, r.at = true, len(r.bytes) }

func (r *rowReader) byte() byte {
	if r.at >= len(r.bytes) {
		r.broken = true
		return 0
	}
	r.at++
	return r.bytes[r.at-1]
}

func (r *rowReader) unsigned() uint64 {
	if r.at < len(r.bytes) && r.bytes[r.at] < 0x80 { // most are small
		r.at++
		return uint64(r.bytes[r.at-1])
	}
	n, size := binary.Uvarint(r.bytes[r.at:])
	if size <= 0 {
		r.end()
		return 0
	}
	r.at += size
	return n
}

func (r *rowReader) signed() int64 {
	n := r.unsigned()
	return int64(n>>1) ^ -int64(n&1)
}

// count reads how many things follow, each of at least so many bytes: a
// damaged row must not ask for more memory than its bytes can fill.
func (r *rowReader) count(bytesEach int) int {
	n := r.unsigned()
	if r.broken || n > 1<<31 || int(n)*bytesEach > len(r.bytes)-r.at {
		r.end()
		return 0
	}
	return int(n)
}

func (r *rowReader) text() string {
	n := r.count(1)
	from := r.at
	r.at += n
	if r.texts == "" {
		return ""
	}
	return r.texts[from:r.at]
}

func (r *rowReader) code() string {
	n := r.unsigned()
	if n >= uint64(r.known) {
		r.broken = true
		return ""
	}
	if r.texts == "" {
		return ""
	}
	return r.codes[n]
}

// codeList numbers the codes of a row in the order in which they come up.
type codeList []string

func (l codeList) with(code string) codeList {
	if slices.Contains(l, code) {
		return l
	}
	return append(l, code)
}

func (l codeList) append(b []byte, code string) []byte {
	return binary.AppendUvarint(b, uint64(slices.Index(l, code)))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}
