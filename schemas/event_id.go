package schemas

import (
	"crypto/sha256"
	"encoding/hex"
)

// EventID is the deterministic id of an event: the first 16 bytes, in
// lower-case hex, of SHA-256 over its fields joined by newlines. Source: SPEC
// section 2, which lists the fields of each event.
func EventID(fields ...string) string {
	var joined [256]byte
	b := joined[:0]
	for i, field := range fields {
		if i > 0 {
			b = append(b, '\n')
		}
		b = append(b, field...)
	}
	return EventIDOf(b)
}

// EventIDOf is EventID of fields that are joined already.
func EventIDOf(joined []byte) string {
	sum := sha256.Sum256(joined)
	var id [32]byte
	hex.Encode(id[:], sum[:16])
	return string(id[:])
}
