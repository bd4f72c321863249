package remind

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/vouch-engine/vouch/schemas"
)

// Kind is what is due.
type Kind byte

// The kinds, in the order in which they fire at one instant.
const (
	Lapse Kind = iota
	Remind
	Visit
)

// Due is an entry of the due index. Its bytes, in whose order a tick fires,
// are the instant, big-endian with the sign turned over, the citizen's id, a
// zero byte, which no id holds, and the kind.
type Due struct {
	At      schemas.Instant
	Citizen string
	Kind    Kind
}

// Compare orders entries as their bytes are ordered.
func (d Due) Compare(other Due) int {
	return cmp.Or(cmp.Compare(d.At, other.At), cmp.Compare(d.Citizen, other.Citizen), cmp.Compare(d.Kind, other.Kind))
}

// Append appends the entry's bytes.
func (d Due) Append(b []byte) []byte {
	b = append(appendInstant(b, d.At), d.Citizen...)
	return append(b, 0, byte(d.Kind))
}

func appendInstant(b []byte, at schemas.Instant) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(at)^1<<63)
}

// dueBytesMin is an entry's bytes without the citizen's id.
const dueBytesMin = 10

// DecodeDue reads what Append wrote. The entry shares no memory with b.
func DecodeDue(b []byte) (Due, error) {
	end := len(b) - 2
	if len(b) < dueBytesMin || b[end] != 0 || Kind(b[end+1]) > Visit {
		return Due{}, errors.New("remind: decode an entry of the due index: its bytes are damaged")
	}
	at := schemas.Instant(binary.BigEndian.Uint64(b) ^ 1<<63)
	return Due{At: at, Citizen: string(b[8:end]), Kind: Kind(b[end+1])}, nil
}

// Due gives the entries of a citizen's row in their order, each once: every
// lapse, and of enrolments without reasons, which alone are written about,
// every reminder and visit. The ones that have fired already are among them:
// they lie before T₀, where no tick looks.
func (c *Citizen) Due(id string, add func(Due)) {
	var room momentsRoom
	all := room[:0]
	for i := range c.enrolments {
		all = c.enrolments[i].moments(all)
	}
	for _, m := range inOrder(all) {
		add(Due{m.at, id, m.kind})
	}
}

// moment is an entry of the due index within a row.
type moment struct {
	at   schemas.Instant
	kind Kind
}

// momentsRoom is enough for most citizens.
type momentsRoom [16]moment

// moments appends those of an enrolment.
func (n *enrolment) moments(all []moment) []moment {
	all = append(all, moment{n.lapsesAt, Lapse})
	if len(n.reasons) > 0 {
		return all
	}
	for _, at := range n.remindAt {
		all = append(all, moment{at, Remind})
	}
	return append(all, moment{n.visitAt, Visit})
}

// inOrder sorts moments, and leaves one of those that are alike.
func inOrder(all []moment) []moment {
	slices.SortFunc(all, func(a, b moment) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind))
	})
	return slices.Compact(all)
}

// DueEntries derives the due index's entries from the bytes of a row, for the
// store that keeps the index beside the rows. It asks no catalogue, so that the
// entries that a row had can always be found again and taken out. id is the
// row's key. The bytes given to add hold until add returns.
func DueEntries(id string, row []byte, add func(entry []byte)) error {
	r, parts, err := readRow(row)
	if err != nil {
		return err
	}
	if parts&partPartition != 0 {
		r.partition()
	}
	if parts&partCitizen == 0 {
		return r.damage()
	}
	var (
		stages [8]schemas.Instant
		room   momentsRoom
	)
	r.listCodes()
	n, all := enrolment{remindAt: stages[:0]}, room[:0]
	for range r.count(enrolmentBytesMin) {
		r.enrolment(&n)
		all = n.moments(all)
	}
	if r.broken {
		return r.damage()
	}
	entry := Due{Citizen: id}.Append(make([]byte, 0, dueBytesMin+idBytesMax))
	for _, m := range inOrder(all) {
		appendInstant(entry[:0], m.at)
		entry[len(entry)-1] = byte(m.kind)
		add(entry)
	}
	return nil
}

// idBytesMax is the longest id that the certifier lets in; a longer one costs
// an allocation here.
const idBytesMax = 64
