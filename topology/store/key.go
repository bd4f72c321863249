package store

import (
	"bytes"
	"encoding/binary"
)

// The kinds of keys; see the format in the package comment.
const (
	kindPosition = 0
	kindRow      = 1
	kindIndex    = 2
)

const (
	prefixBytes   = 4 + 1
	positionBytes = 8
)

func appendPrefix(to []byte, partition int32, kind byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(partition)), kind)
}

// appendEscaped appends an index entry so that what follows it cannot change
// the order.
func appendEscaped(to, entry []byte) []byte {
	for {
		zero := bytes.IndexByte(entry, 0)
		if zero < 0 {
			return append(to, entry...)
		}
		to = append(append(to, entry[:zero]...), 0, 0xFF)
		entry = entry[zero+1:]
	}
}

func appendIndexKey(to []byte, partition int32, entry []byte, row string) []byte {
	to = appendEscaped(appendPrefix(to, partition, kindIndex), entry)
	return append(append(to, 0, 1), row...)
}

// appendEntry appends the entry of an index key and gives the key of its row,
// and says whether it is one.
func appendEntry(to, key []byte) (entry, row []byte, ok bool) {
	for rest := key[prefixBytes:]; ; {
		zero := bytes.IndexByte(rest, 0)
		if zero < 0 || zero+1 == len(rest) {
			return to, nil, false
		}
		to = append(to, rest[:zero]...)
		end := rest[zero+1] == 1
		rest = rest[zero+2:]
		if end {
			return to, rest, true
		}
		to = append(to, 0)
	}
}
