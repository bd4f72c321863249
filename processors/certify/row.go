package certify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vouch-engine/vouch/schemas"
)

// Row is what a key of the group table holds. It may be both a citizen's and a
// partition's, since a citizen may be called 7, like a tick's key.
//
// Its bytes travel to the changelog at every change, and are read by every
// later version of this program (testdata/rows.golden keeps old ones). Numbers
// are varints as of encoding/binary, signed ones zigzag; a text is packed, see
// packed; what stands in a row again and again, codes above all, is a word: its
// place in the list of the row's words, in the order in which they come up:
//
//	row       = version: byte 1 · parts: byte, bit 0 citizen, bit 1 partition, bit 2 pass · [citizen] · [partition] · [pass]
//	citizen   = words: count, texts · entries: count, entry… · evidence: count, evidence… · paid: count, period…
//	entry     = benefit: word · flags: uvarint, see entryFlags · entry_id: text
//	          · recorded_at: signed, in seconds if so flagged, else in ms · effective_on: signed days
//	          · then each that is flagged: due_on, last_certified_on: signed days after effective_on
//	          · region, phone, payee: word · amount_fen: signed · birth_on: signed days
//	          · attributes: count, sorted pairs of texts · announced_on: signed days after effective_on
//	          · announced_until: signed days after announced_on, where there is none after effective_on
//	evidence  = 8·(how much older than the one before it, the first: than 1970; zigzag) + evidenceFlags: uvarint
//	          · recorded_at after occurred_at: signed; both in seconds if so flagged, else in ms
//	          · kind, source: word · id: text
//	period    = benefit: word · month: signed · payouts: count, (id: text · amount_fen: signed)…
//	partition = clock: signed ms · catalogue version: signed · catalogue hash: text
//	pass      = cursor: text, of a partition only; a row of before there were passes has none
type Row struct {
	Citizen   Citizen
	Partition *Partition // nil in the row of a key that no tick has

	room *rowRoom // nil until it is needed
}

// rowRoom is memory for reading and writing a row, kept for the next one.
type rowRoom struct {
	words     []string
	optionals []optionals // of the entries
	list      wordList
}

func (row *Row) makeRoom() *rowRoom {
	if row.room == nil {
		row.room = new(rowRoom)
	}
	return row.room
}

// Partition is what is held of a partition as a whole: its clock, and under
// which catalogue it was decided. While a pass is under way that is the
// catalogue of the pass, and some citizens are yet to be decided under it: see
// Begin.
type Partition struct {
	Clock            schemas.Instant // the greatest tick applied
	CatalogueVersion int64           // 0: none is written down
	CatalogueHash    string
	Pass             bool   // one under the catalogue of the hash is under way
	Cursor           string // of the pass: the last citizen it has decided, empty before the first
}

const rowVersion = 1

// The parts that a row has.
const (
	partCitizen = 1 << iota
	partPartition
	partPass
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
	entryInSeconds
)

// evidenceFlags.
const (
	evidenceRetracted = 1 << iota
	evidenceCorrected
	evidenceInSeconds

	evidenceFlagBits = iota
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
		if row.Partition.Pass {
			parts |= partPass
		}
	}
	b = append(b, rowVersion, parts)
	if parts&partCitizen != 0 {
		b = appendCitizen(b, c, &row.makeRoom().list)
	}
	if p := row.Partition; p != nil {
		b = binary.AppendVarint(b, int64(p.Clock))
		b = binary.AppendVarint(b, p.CatalogueVersion)
		b = appendText(b, p.CatalogueHash)
		if p.Pass {
			b = appendText(b, p.Cursor)
		}
	}
	return b
}

func appendCitizen(b []byte, c *Citizen, w *wordList) []byte {
	w.collect(c)
	b = binary.AppendUvarint(b, uint64(len(w.words)))
	for _, word := range w.words {
		b = appendText(b, word)
	}
	b = binary.AppendUvarint(b, uint64(len(c.entries)))
	for i := range c.entries {
		b = appendEntry(b, &c.entries[i], w)
	}
	b = binary.AppendUvarint(b, uint64(len(c.evidence)))
	before := schemas.Instant(0)
	for i := range c.evidence {
		e := &c.evidence[i]
		older, after, inSeconds := before-e.occurredAt, e.recordedAt-e.occurredAt, false
		if older%schemas.Second == 0 && after%schemas.Second == 0 {
			older, after, inSeconds = older/schemas.Second, after/schemas.Second, true
		}
		flags := flag(e.retracted, evidenceRetracted) | flag(e.corrected, evidenceCorrected) | flag(inSeconds, evidenceInSeconds)
		b = binary.AppendUvarint(b, zigzag(int64(older))<<evidenceFlagBits|flags)
		b = binary.AppendVarint(b, int64(after))
		b = w.append(w.append(b)) // kind and source
		b = append(b, e.id...)
		before = e.occurredAt
	}
	b = binary.AppendUvarint(b, uint64(len(c.paid)))
	for i := range c.paid {
		p := &c.paid[i]
		b = w.append(b)
		b = binary.AppendVarint(b, int64(p.month))
		b = binary.AppendUvarint(b, uint64(len(p.payouts)))
		for _, paid := range p.payouts {
			b = append(b, paid.id...)
			b = binary.AppendVarint(b, paid.amountFen)
		}
	}
	return b
}

func appendEntry(b []byte, e *entry, w *wordList) []byte {
	flags := flag(e.Op == schemas.Withdraw, entryWithdrawn) | flag(e.DueOn != nil, entryDueOn) |
		flag(e.LastCertifiedOn != nil, entryLastCertifiedOn) | flag(e.Region != "", entryRegion) |
		flag(e.Phone != nil, entryPhone) | flag(e.Payee != nil, entryPayee) |
		flag(e.AmountFen != nil, entryAmount) | flag(e.BirthOn != nil, entryBirthOn) |
		flag(len(e.Attributes) > 0, entryAttributes) |
		flag(e.announced, entryAnnounced) | flag(e.provenOn, entryProvenOn)
	recordedAt := e.RecordedAt
	if recordedAt%schemas.Second == 0 {
		recordedAt, flags = recordedAt/schemas.Second, flags|entryInSeconds
	}
	b = w.append(b)
	b = binary.AppendUvarint(b, flags)
	b = appendText(b, e.EntryID)
	b = binary.AppendVarint(b, int64(recordedAt))
	b = binary.AppendVarint(b, int64(e.EffectiveOn))
	for _, on := range []*schemas.Date{e.DueOn, e.LastCertifiedOn} {
		if on != nil {
			b = binary.AppendVarint(b, int64(*on-e.EffectiveOn))
		}
	}
	for _, given := range []bool{e.Region != "", e.Phone != nil, e.Payee != nil} {
		if given {
			b = w.append(b)
		}
	}
	if e.AmountFen != nil {
		b = binary.AppendVarint(b, *e.AmountFen)
	}
	if e.BirthOn != nil {
		b = binary.AppendVarint(b, int64(*e.BirthOn))
	}
	if len(e.Attributes) > 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Attributes)))
		for _, key := range slices.Sorted(maps.Keys(e.Attributes)) {
			b = appendText(appendText(b, key), e.Attributes[key])
		}
	}
	since := e.EffectiveOn
	if e.provenOn {
		b = binary.AppendVarint(b, int64(e.announcedOn-since))
		since = e.announcedOn
	}
	if e.announced {
		b = binary.AppendVarint(b, int64(e.announcedUntil-since))
	}
	return b
}

// DecodeRow reads what AppendRow wrote. The row shares no memory with b.
func DecodeRow(b []byte) (*Row, error) {
	row := new(Row)
	if err := DecodeRowInto(row, string(b)); err != nil {
		return nil, err
	}
	return row, nil
}

// DecodeRowInto is DecodeRow into a row that was used before and whose memory is
// used again, as by the step that every record takes. The row's texts lie in
// bytes and in the row's own memory: what was taken from the row before, decisions
// above all, has to be used up by now. After an error the row holds nothing of use.
func DecodeRowInto(row *Row, bytes string) error {
	if len(bytes) < 2 {
		return errors.New("certify: decode row: it is cut off")
	}
	if bytes[0] != rowVersion {
		return fmt.Errorf("certify: decode row: format %d is not known to this program, which reads %d: use the version that wrote it, or a later one", bytes[0], rowVersion)
	}
	parts := bytes[1]
	r := rowReader{rest: bytes[2:], room: row.makeRoom()}
	row.Partition = nil
	row.Citizen.reset()
	if parts&partCitizen != 0 {
		r.citizen(&row.Citizen)
	}
	if parts&partPartition != 0 {
		row.Partition = &Partition{Clock: schemas.Instant(r.signed()), CatalogueVersion: r.signed(), CatalogueHash: strings.Clone(r.text())}
		if parts&partPass != 0 {
			row.Partition.Pass, row.Partition.Cursor = true, strings.Clone(r.text())
		}
	}
	if r.broken || r.rest != "" || parts&^(partCitizen|partPartition|partPass) != 0 || parts&(partPartition|partPass) == partPass {
		return errors.New("certify: decode row: its bytes are damaged")
	}
	return nil
}

// reset empties a citizen and keeps the memory.
func (c *Citizen) reset() {
	*c = Citizen{entries: c.entries[:0], evidence: c.evidence[:0], paid: c.paid[:0]}
}

// rowReader reads the parts of a row, one after the other; most texts share the
// memory of rest. After a part that is not there all others are zero.
type rowReader struct {
	rest     string
	room     *rowRoom
	unpacked strings.Builder // the texts that were packed, so that they are one allocation
	broken   bool
}

// roomMost bounds what is made room for before it is read: a damaged row must
// not ask for more memory than its bytes can fill.
const roomMost = 64

func (r *rowReader) citizen(c *Citizen) {
	n := r.count()
	r.room.words = slices.Grow(r.room.words[:0], min(n, roomMost))
	for ; n > 0 && !r.broken; n-- {
		r.room.words = append(r.room.words, r.text())
	}
	// One place more than there are: a step adds at most one.
	n = r.count()
	c.entries = slices.Grow(c.entries, min(n, roomMost)+1)
	r.room.optionals = slices.Grow(r.room.optionals[:0], min(n, roomMost))
	for ; n > 0 && !r.broken; n-- {
		c.entries = append(c.entries, entry{})
		r.entry(&c.entries[len(c.entries)-1])
	}
	n = r.count()
	c.evidence = slices.Grow(c.evidence, min(n, roomMost)+1)
	before := schemas.Instant(0)
	for ; n > 0 && !r.broken; n-- {
		c.evidence = append(c.evidence, evidence{})
		before = r.evidence(&c.evidence[len(c.evidence)-1], before)
	}
	for n = r.count(); n > 0 && !r.broken; n-- {
		p := period{benefit: r.word(), month: int32(r.signed())}
		for k := r.count(); k > 0 && !r.broken; k-- {
			p.payouts = append(p.payouts, payout{r.packed(), r.signed()})
		}
		c.paid = append(c.paid, p)
	}
}

// evidence reads one record; before is when the one before it occurred.
func (r *rowReader) evidence(e *evidence, before schemas.Instant) (occurredAt schemas.Instant) {
	n := r.unsigned()
	unit := schemas.Instant(1)
	if n&evidenceInSeconds != 0 {
		unit = schemas.Second
	}
	e.retracted, e.corrected = n&evidenceRetracted != 0, n&evidenceCorrected != 0
	e.occurredAt = before - unit*schemas.Instant(unzigzag(n>>evidenceFlagBits))
	e.recordedAt = e.occurredAt + unit*schemas.Instant(r.signed())
	e.kind, e.source, e.id = r.word(), r.word(), r.packed()
	if !e.occurredAt.InRange() || !e.recordedAt.InRange() { // no such record is taken down
		r.fail()
	}
	return e.occurredAt
}

// optionals is room for what an entry may leave out.
type optionals struct {
	dueOn, lastCertifiedOn, birthOn schemas.Date
	amountFen                       int64
}

func (r *rowReader) entry(e *entry) {
	e.Benefit = r.word()
	flags := r.unsigned()
	e.Op = schemas.Enrol
	if flags&entryWithdrawn != 0 {
		e.Op = schemas.Withdraw
	}
	e.EntryID = r.text()
	e.RecordedAt = schemas.Instant(r.signed())
	if flags&entryInSeconds != 0 {
		e.RecordedAt *= schemas.Second
	}
	e.EffectiveOn = schemas.Date(r.signed())
	r.room.optionals = append(r.room.optionals, optionals{}) // an entry keeps its own when they are moved
	room := &r.room.optionals[len(r.room.optionals)-1]
	e.DueOn = optional(r, flags&entryDueOn, &room.dueOn, e.EffectiveOn)
	e.LastCertifiedOn = optional(r, flags&entryLastCertifiedOn, &room.lastCertifiedOn, e.EffectiveOn)
	if flags&entryRegion != 0 {
		e.Region = r.word()
	}
	if flags&entryPhone != 0 {
		e.Phone = r.wordPlace()
	}
	if flags&entryPayee != 0 {
		e.Payee = r.wordPlace()
	}
	e.AmountFen = optional(r, flags&entryAmount, &room.amountFen, 0)
	e.BirthOn = optional(r, flags&entryBirthOn, &room.birthOn, 0)
	if flags&entryAttributes != 0 {
		e.Attributes = map[string]string{}
		for n := r.count(); n > 0 && !r.broken; n-- {
			key := r.text()
			e.Attributes[key] = r.text()
		}
	}
	since := e.EffectiveOn
	if e.provenOn = flags&entryProvenOn != 0; e.provenOn {
		e.announcedOn = since + schemas.Date(r.signed())
		since = e.announcedOn
	}
	if e.announced = flags&entryAnnounced != 0; e.announced {
		e.announcedUntil = since + schemas.Date(r.signed())
	}
}

func (r *rowReader) fail() {
	r.broken, r.rest = true, ""
}

func (r *rowReader) unsigned() uint64 {
	if len(r.rest) > 0 && r.rest[0] < 0x80 { // as most are
		n := r.rest[0]
		r.rest = r.rest[1:]
		return uint64(n)
	}
	n, size := unsigned(r.rest)
	if size == 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *rowReader) signed() int64 {
	return unzigzag(r.unsigned())
}

func zigzag(n int64) uint64 { return uint64(n<<1) ^ uint64(n>>63) }

func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

// count reads how many things follow, each of at least a byte.
func (r *rowReader) count() int {
	n := r.unsigned()
	if n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

// packed reads a text as it lies there.
func (r *rowReader) packed() packed {
	header, size := unsigned(r.rest)
	body := bodySize(header)
	if size == 0 || body > uint64(len(r.rest)-size) || header&3 == formUUID && header != formUUID {
		r.fail()
		return "\x00"
	}
	p := r.rest[:size+int(body)]
	r.rest = r.rest[len(p):]
	return packed(p)
}

func (r *rowReader) text() string {
	p := string(r.packed())
	header, size := unsigned(p)
	if header&3 == formPlain {
		return p[size:]
	}
	var room [64]byte
	if r.unpacked.Cap() == 0 {
		r.unpacked.Grow(4 * len(room))
	}
	begin := r.unpacked.Len()
	r.unpacked.Write(unpack(room[:0], header, p[size:]))
	return r.unpacked.String()[begin:]
}

func (r *rowReader) word() string {
	if word := r.wordPlace(); word != nil {
		return *word
	}
	return ""
}

func (r *rowReader) wordPlace() *string {
	n := r.unsigned()
	if n >= uint64(len(r.room.words)) {
		r.fail()
		return nil
	}
	return &r.room.words[n]
}

// optional reads a number that is given after another one, if it is present.
func optional[T schemas.Date | int64](r *rowReader, present uint64, room *T, after T) *T {
	if present == 0 {
		return nil
	}
	*room = after + T(r.signed())
	return room
}

// wordList numbers the words of a row in the order in which they come up.
type wordList struct {
	words  []string
	places []uint16   // of the words in the order in which they will be written
	next   int        // of places
	hints  [64]uint16 // by hash: the place of the last new word with it, plus 1
}

// collect finds all words before the first is written.
func (w *wordList) collect(c *Citizen) {
	*w = wordList{words: w.words[:0], places: w.places[:0]}
	for i := range c.entries {
		e := &c.entries[i]
		w.add(e.Benefit)
		if e.Region != "" {
			w.add(e.Region)
		}
		if e.Phone != nil {
			w.add(*e.Phone)
		}
		if e.Payee != nil {
			w.add(*e.Payee)
		}
	}
	for i := range c.evidence {
		w.add(c.evidence[i].kind)
		w.add(c.evidence[i].source)
	}
	for i := range c.paid {
		w.add(c.paid[i].benefit)
	}
}

func (w *wordList) add(word string) {
	hash := len(word)
	if hash > 0 {
		hash += int(word[0]) + 3*int(word[hash/2]) + 5*int(word[hash-1])
	}
	hint := &w.hints[hash%len(w.hints)]
	place := int(*hint) - 1
	if place >= 0 && w.words[place] != word { // two words of one hash
		place = slices.Index(w.words, word)
	}
	if place < 0 {
		place = len(w.words)
		w.words = append(w.words, word)
		*hint = uint16(place + 1)
	}
	w.places = append(w.places, uint16(place))
}

// append writes the next word that was collected.
func (w *wordList) append(b []byte) []byte {
	place := w.places[w.next]
	w.next++
	return binary.AppendUvarint(b, uint64(place))
}

func flag(set bool, bit uint64) uint64 {
	if set {
		return bit
	}
	return 0
}
