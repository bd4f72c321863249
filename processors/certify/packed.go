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
)

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
	return string(unpack(nil, header, string(p[size:])))
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
	var half byte
	high := true
	for i := 0; i < len(s); i++ {
		if form == formUUID && dashAt(i) {
			continue
		}
		digit := valueOf(s[i])
		if high {
			half = digit << 4
		} else {
			b = append(b, half|digit)
		}
		high = !high
	}
	if !high {
		b = append(b, half)
	}
	return b
}

// unpack appends the text of a body that is not plain.
func unpack(b []byte, header uint64, body string) []byte {
	length, form := int(header>>2), header&3
	if form == formUUID {
		length = uuidLength
	}
	digit := 0
	for i := range length {
		if form == formUUID && dashAt(i) {
			b = append(b, '-')
			continue
		}
		value := body[digit/2] >> 4
		if digit%2 == 1 {
			value = body[digit/2] & 15
		}
		b = append(b, hexDigits[value])
		digit++
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
			if dashAt(i) != (s[i] == '-') || !dashAt(i) && valueOf(s[i]) > 15 {
				return formPlain
			}
		}
		return formUUID
	}
	form := formDecimal
	for i := 0; i < len(s); i++ {
		switch value := valueOf(s[i]); {
		case value > 15:
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

// valueOf is the value of a hexadecimal digit in lower case, more than 15 of
// anything else.
func valueOf(digit byte) byte {
	switch {
	case '0' <= digit && digit <= '9':
		return digit - '0'
	case 'a' <= digit && digit <= 'f':
		return digit - 'a' + 10
	}
	return 0xff
}

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
