// Package facts is the engine's offline form of records: facts files, one
// record a line of JSON, in the order in which they are to be decided. Source:
// SPEC section 7.
//
// Law: what a line says is taken exactly or not at all. A value either fits
// its schema to the letter, names and case and types, or it is undecodable; a
// line that is no fact ends the reading with its number. Errors name lines and
// fields, never what stands in them.
//
//	{"topic":"clock","at":"2023-06-02T00:00:00.000Z","value":{"at":"2023-06-02T00:00:00.000Z"}}
package facts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/vouch-engine/vouch/schemas"
)

// lineBytesMax is the longest line that is read; a longer one is an error.
const lineBytesMax = 64 << 20

// topics are those that a fact may be on.
var topics = []string{"roster", "evidence", "payout", "clock"}

// Line is one fact: an input record.
type Line struct {
	Number int             // in the file, from 1
	Topic  string          // without prefix
	At     schemas.Instant // its Kafka timestamp
	Value  json.RawMessage // nil where the record has none

	key      string
	keyNull  bool
	keyGiven bool
}

// RecordKey is the record's key: as the line gives it, else the citizen id in
// the value. It is false where the record has none.
func (l *Line) RecordKey() (key string, keyed bool) {
	if l.keyGiven {
		return l.key, !l.keyNull
	}
	var value struct {
		CitizenID *string `json:"citizen_id"`
	}
	if l.Value == nil || json.Unmarshal(l.Value, &value) != nil || value.CitizenID == nil {
		return "", false
	}
	return *value.CitizenID, true
}

// Reader reads the lines of a facts file.
type Reader struct {
	from   *bufio.Reader
	number int
	long   []byte // a line that does not fit the reader's buffer
}

// NewReader reads lines from a file. Empty lines are passed over.
func NewReader(from io.Reader) *Reader { return &Reader{from: bufio.NewReaderSize(from, 1<<20)} }

// Read gives the next line, or io.EOF. Any other error names the line.
func (r *Reader) Read() (Line, error) {
	for {
		text, err := r.next()
		if err != nil {
			return Line{}, err
		}
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		line, err := parse(text)
		if err != nil {
			return Line{}, fmt.Errorf("line %d: %w", r.number, err)
		}
		line.Number = r.number
		return line, nil
	}
}

// next gives the bytes of the next line, which hold until the next call.
func (r *Reader) next() ([]byte, error) {
	r.number++
	r.long = r.long[:0]
	for {
		part, err := r.from.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(part)+len(r.long) == 0:
			return nil, io.EOF
		case err == nil || errors.Is(err, io.EOF):
			if len(r.long) == 0 {
				return part, nil
			}
			return append(r.long, part...), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("line %d: read it: %w", r.number, err)
		case len(r.long)+len(part) > lineBytesMax:
			return nil, fmt.Errorf("line %d: it is longer than %d bytes", r.number, lineBytesMax)
		}
		r.long = append(r.long, part...)
	}
}

func parse(text []byte) (line Line, err error) {
	if !utf8.Valid(text) {
		return line, errors.New("it is not UTF-8")
	}
	fields, err := members(text)
	if err != nil {
		return line, err
	}
	for _, f := range fields {
		switch f.name {
		case "topic":
			err = json.Unmarshal(f.value, &line.Topic)
		case "at":
			err = unmarshalGiven(f.value, &line.At)
		case "key":
			line.keyGiven, line.keyNull = true, string(f.value) == "null"
			err = json.Unmarshal(f.value, &line.key)
		case "value":
			if string(f.value) != "null" {
				line.Value = slices.Clone(f.value)
			}
		default:
			err = errors.New("it is no key of a fact, which are topic, at, key and value")
		}
		if err != nil {
			return line, fmt.Errorf("%.40q: %w", f.name, unquoted(err))
		}
	}
	if !slices.Contains(topics, line.Topic) {
		return line, fmt.Errorf("topic must be one of %v", topics)
	}
	if !slices.ContainsFunc(fields, func(f member) bool { return f.name == "at" }) {
		return line, errors.New("at is missing: the record's Kafka timestamp")
	}
	return line, nil
}

// unmarshalGiven is json.Unmarshal, which takes null for nothing said.
func unmarshalGiven(value []byte, into any) error {
	if string(value) == "null" {
		return errors.New("must not be null")
	}
	return json.Unmarshal(value, into)
}

// unquoted leaves out of an error what stood in the file.
func unquoted(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("must be a %s", wrong.Type)
	}
	return err
}

// member is a key of a JSON object and its value.
type member struct {
	name  string
	value json.RawMessage
}

// members takes an object apart; a key that stands twice is an error.
func members(text []byte) (all []member, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, errors.New("it is not JSON")
		}
		m := member{name: name.(string)}
		if err := decoder.Decode(&m.value); err != nil {
			return nil, errors.New("it is not JSON")
		}
		if slices.ContainsFunc(all, func(o member) bool { return o.name == m.name }) {
			return nil, fmt.Errorf("%.40q stands there twice", m.name)
		}
		all = append(all, m)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errors.New("it is not JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind its end")
	}
	return all, nil
}

// Output is one output record.
type Output struct {
	Topic  string
	Key    *string
	Reason string // of a quarantined record
	Value  any    // a record of package schemas, or JSON
}

// Write writes one output record as a line, its keys sorted.
func Write(to io.Writer, o Output) error {
	return WriteJSON(to, struct {
		Key    *string `json:"key"`
		Reason string  `json:"reason,omitempty"`
		Topic  string  `json:"topic"`
		Value  any     `json:"value"`
	}{o.Key, o.Reason, o.Topic, o.Value})
}

// WriteJSON writes a value as one line, its texts as they are (<, > and & too).
func WriteJSON(to io.Writer, value any) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
