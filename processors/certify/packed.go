package certify

import "encoding/binary"

// packed is a text as it lies in a row, so that neither reading nor writing a
// row touches the many ids in it. Ids are mostly made of digits, and two of
// them fit in a byte:
//
//	text = header: uvarint, 4·length + form · body
//	form 0: the bytes as they are
//	form 1: decimal digits, two a byte, the first in the high half; an odd last one alone in a high half
//	form 2: lower-case hexadecimal digits, in the same way
//	form 3: a lower-case UUID (8-4-4-4-12), its 32 digits in the same way; its length is not written
//
// Law: packing loses nothing, and equal texts are packed equally, so that
// packed texts can be compared for equality as they are.
type packed string

const (
	formPlain = iota
	formDecimal
	formHex
	formUUID
)

const (
	uuidLength = 36
	hexDigits  = "0123456789abcdef"
	notDigit   = 0xff
)

// uuidGroups are where the groups of digits of a UUID begin and end.
var uuidGroups = [5][2]int{{0, 8}, {9, 13}, {14, 18}, {19, 23}, {24, uuidLength}}

func pack(s string) packed {
	var room [80]byte // an id of 64 bytes and its header
	return packed(appendText(room[:0], s))
}

// text is the text that was packed.
func (p packed) text() string {
	header, size := unsigned(string(p))
	if form := header & 3; form == formPlain {
		return string(p[size:])
	}
	var room [64]byte // an id
	return string(unpack(room[:0], header, string(p[size:])))
}

// appendText appends a packed text.
func appendText(b []byte, s string) []byte {
	form := formOf(s)
	switch form {
	case formPlain:
		return append(binary.AppendUvarint(b, uint64(len(s))<<2), s...) // formPlain is 0
	case formUUID:
		b = append(b, formUUID)
	default:
		b = binary.AppendUvarint(b, uint64(len(s))<<2|uint64(form))
	}
	if form == formUUID {
		for _, group := range uuidGroups {
			b = appendDigits(b, s[group[0]:group[1]])
		}
		return b
	}
	return appendDigits(b, s)
}

// appendDigits appends digits, two a byte.
func appendDigits(b []byte, s string) []byte {
	for ; len(s) > 1; s = s[2:] {
		b = append(b, digitValues[s[0]]<<4|digitValues[s[1]])
	}
	if s != "" {
		b = append(b, digitValues[s[0]]<<4)
	}
	return b
}

// unpack appends the text of a body that is not plain.
func unpack(b []byte, header uint64, body string) []byte {
	length := int(header >> 2)
	if header&3 != formUUID {
		return unpackDigits(b, length, body)
	}
	for i, group := range uuidGroups {
		if i > 0 {
			b = append(b, '-')
		}
		length := group[1] - group[0]
		b = unpackDigits(b, length, body)
		body = body[length/2:]
	}
	return b
}

// unpackDigits appends so many digits of a body.
func unpackDigits(b []byte, length int, body string) []byte {
	for i := range length / 2 {
		b = append(b, hexDigits[body[i]>>4], hexDigits[body[i]&15])
	}
	if length%2 == 1 {
		b = append(b, hexDigits[body[length/2]>>4])
	}
	return b
}

// bodySize is how many bytes the body of a text has.
func bodySize(header uint64) uint64 {
	switch length := header >> 2; header & 3 {
	case formPlain:
		return length
	case formUUID:
		return uuidLength/2 - 2 // without the four dashes
	default:
		return (length + 1) / 2
	}
}

func formOf(s string) int {
	if len(s) == uuidLength && s[8] == '-' {
		for i := 0; i < len(s); i++ {
			if dashAt(i) != (s[i] == '-') || !dashAt(i) && digitValues[s[i]] == notDigit {
				return formPlain
			}
		}
		return formUUID
	}
	form := formDecimal
	for i := 0; i < len(s); i++ {
		switch value := digitValues[s[i]]; {
		case value == notDigit:
			return formPlain
		case value > 9:
			form = formHex
		}
	}
	if s == "" {
		return formPlain
	}
	return form
}

func dashAt(i int) bool { return i == 8 || i == 13 || i == 18 || i == 23 }

// digitValues are the values of hexadecimal digits in lower case; of anything
// else notDigit, which is more.
var digitValues = func() (values [256]byte) {
	for i := range values {
		values[i] = notDigit
	}
	for value := range len(hexDigits) {
		values[hexDigits[value]] = byte(value)
	}
	return values
}()

// unsigned reads a uvarint, in the manner of encoding/binary, which has none
// for strings; size is 0 where there is none.
func unsigned(s string) (n uint64, size int) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, 0
}
