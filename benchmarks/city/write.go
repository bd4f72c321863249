package city

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/facts"
)

// errNotJSON says that a value cannot stand in a facts file.
var errNotJSON = errors.New("its bytes cannot stand in a facts file: make the city without Config.Wire")

// line is a fact as a facts file has it.
type line struct {
	Topic string          `json:"topic"`
	At    schemas.Instant `json:"at"`
	Key   *string         `json:"key"`
	Value any             `json:"value"`
}

// keyless is a line whose key is the citizen's, or that needs none.
type keyless struct {
	Topic string          `json:"topic"`
	At    schemas.Instant `json:"at"`
	Value any             `json:"value"`
}

// WriteFacts writes the next facts of the stream, at most limit, as the lines
// of a facts file, and returns how many they are: fewer than limit at the end.
// Called again, it goes on from there.
func (s *Stream) WriteFacts(to io.Writer, limit int) (written int, err error) {
	buffered := bufio.NewWriterSize(to, 1<<18)
	var f Fact
	for ; written < limit && s.Next(&f); written++ {
		if err := f.write(buffered); err != nil {
			return written, fmt.Errorf("city: write a fact on %s at %s: %w", f.Topic, f.At, err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return written, fmt.Errorf("city: write the facts: %w", err)
	}
	return written, nil
}

func (f *Fact) write(to io.Writer) error {
	value := f.Record
	if f.Bytes != nil {
		if !json.Valid(f.Bytes) {
			return errNotJSON
		}
		value = json.RawMessage(f.Bytes)
	}
	if citizen, known := f.citizen(); known && !f.NoKey && f.Key == citizen {
		return facts.WriteJSON(to, keyless{f.Topic, f.At, value})
	}
	if _, tick := f.Record.(*schemas.ClockTick); tick {
		return facts.WriteJSON(to, keyless{f.Topic, f.At, value})
	}
	full := line{f.Topic, f.At, &f.Key, value}
	if f.NoKey {
		full.Key = nil
	}
	return facts.WriteJSON(to, full)
}

// citizen is the id that the record carries.
func (f *Fact) citizen() (string, bool) {
	switch record := f.Record.(type) {
	case *schemas.Evidence:
		return record.CitizenID, true
	case *schemas.RosterEntry:
		return record.CitizenID, true
	case *schemas.Payout:
		return record.CitizenID, true
	}
	return "", false
}

// Encoder writes facts as the values of Kafka records.
type Encoder struct {
	evidence *avro.Encoder[schemas.Evidence]
	roster   *avro.Encoder[schemas.RosterEntry]
	payout   *avro.Encoder[schemas.Payout]
	clock    *avro.Encoder[schemas.ClockTick]
}

// NewEncoder makes an Encoder. A codec with a registry writes Confluent's wire
// format, for topics of the prefix; one without, single-object encoding.
func NewEncoder(ctx context.Context, codec *avro.Codec, prefix string) (e Encoder, err error) {
	if e.evidence, err = avro.NewEncoder[schemas.Evidence](ctx, codec, prefix+"evidence"); err != nil {
		return e, err
	}
	if e.roster, err = avro.NewEncoder[schemas.RosterEntry](ctx, codec, prefix+"roster"); err != nil {
		return e, err
	}
	if e.payout, err = avro.NewEncoder[schemas.Payout](ctx, codec, prefix+"payout"); err != nil {
		return e, err
	}
	e.clock, err = avro.NewEncoder[schemas.ClockTick](ctx, codec, prefix+"clock")
	return e, err
}

// Append appends the value of a fact's record to b. The record goes to f.Topic
// under f.Key at f.At; it has no value where it is nil, and Append appends
// nothing.
func (e *Encoder) Append(b []byte, f *Fact) []byte {
	switch record := f.Record.(type) {
	case *schemas.Evidence:
		return e.evidence.Append(b, record)
	case *schemas.RosterEntry:
		return e.roster.Append(b, record)
	case *schemas.Payout:
		return e.payout.Append(b, record)
	case *schemas.ClockTick:
		return e.clock.Append(b, record)
	}
	return append(b, f.Bytes...)
}
