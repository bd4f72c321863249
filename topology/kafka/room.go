package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vouch-engine/vouch/topology/pieces"
)

const (
	// roomRecords and roomBytes are the size of a piece of memory.
	roomRecords = 128
	roomBytes   = 64 << 10
)

// room is memory for what is produced of one partition in a transaction. When
// that is over everything was delivered, and the next one uses the memory again.
// For one goroutine at a time.
type room struct {
	records pieces.Of[kgo.Record]
	bytes   pieces.Of[byte]
}

func newRoom() room { return room{pieces.New[kgo.Record](roomRecords), pieces.New[byte](roomBytes)} }

// reset makes everything free.
func (r *room) reset() {
	r.records.Reset()
	r.bytes.Reset()
}
