// Package avro turns the nouns of package schemas into bytes and back.
//
// Law: what is read is what was written, or it is an error that says which of
// three things went wrong: nobody knows the schema, the bytes do not fit it,
// or the registry did not answer, in which case nothing is known and the
// caller waits.
//
// Two wire formats are accepted everywhere and told apart by the first bytes:
//
//	Confluent       00 · schema id, 4 bytes, big-endian · body
//	single-object   C3 01 · CRC-64-AVRO of the schema, 8 bytes, little-endian · body
//
// A body written with another compatible version of a schema is read by Avro's
// rules of resolution. Records are written in Confluent's format where a
// registry is configured and in single-object encoding otherwise; the internal
// topics always in the latter, so that no internal traffic waits for a registry.
package avro

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/twmb/avro"

	"github.com/vouch-engine/vouch/schemas"
)

// The sizes of the two headers, in bytes.
const (
	confluentHeader    = 5
	singleObjectHeader = 10
)

// UnknownSchemaError says that nobody knows the schema with which a value was
// written.
type UnknownSchemaError struct{ What string }

func (e *UnknownSchemaError) Error() string { return "nobody knows " + e.What }

// UndecodableError says that a value does not fit its schema. It shows nothing
// of the value.
type UndecodableError struct{ Why string }

func (e *UndecodableError) Error() string { return "the value does not fit its schema: " + e.Why }

// Schema is one of the program's own schemas.
type Schema struct {
	Name        string // of the record, without namespace
	File        string // evidence.avsc
	Text        string
	Fingerprint uint64 // CRC-64-AVRO

	avro *avro.Schema
	new  func() any // a pointer to the Go type
}

// own lists the program's own schemas, and finds them by fingerprint and name.
var own = sync.OnceValue(func() (all struct {
	list          []*Schema
	byFingerprint map[uint64]*Schema
	byName        map[string]*Schema
}) {
	all.byFingerprint, all.byName = map[uint64]*Schema{}, map[string]*Schema{}
	for _, record := range []any{
		schemas.Evidence{}, schemas.RosterEntry{}, schemas.Payout{}, schemas.ClockTick{},
		schemas.CertificationCompleted{}, schemas.CertificationRevoked{}, schemas.ExpiryReminder{}, schemas.VisitRequested{},
		schemas.Standing{}, schemas.Alert{}, schemas.ScheduleEntry{}, schemas.PayeeClaim{},
	} {
		goType := reflect.TypeOf(record)
		s := &Schema{Name: goType.Name(), File: snakeCase(goType.Name()) + ".avsc", new: func() any { return reflect.New(goType).Interface() }}
		text, err := fs.ReadFile(schemas.Files(), s.File)
		if err == nil {
			s.Text = string(bytes.TrimSpace(text))
			s.avro, err = avro.Parse(s.Text)
		}
		if err != nil {
			panic("avro: the schema of " + s.Name + ": " + err.Error())
		}
		s.Fingerprint = fingerprint(s.avro)
		all.list = append(all.list, s)
		all.byFingerprint[s.Fingerprint], all.byName[s.Name] = s, s
	}
	return all
})

// Schemas lists the program's own schemas.
func Schemas() []*Schema { return own().list }

// Find gives the program's own schema of a record by its name.
func Find(name string) (*Schema, bool) {
	s, found := own().byName[name]
	return s, found
}

func fingerprint(s *avro.Schema) uint64 {
	return binary.BigEndian.Uint64(s.Fingerprint(avro.NewRabin()))
}

func snakeCase(name string) string {
	var b []byte
	for i := 0; i < len(name); i++ {
		if c := name[i]; c >= 'A' && c <= 'Z' {
			if i > 0 {
				b = append(b, '_')
			}
			b = append(b, c-'A'+'a')
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// Codec knows the schemas of the program and, if there is one, of the registry.
type Codec struct {
	registry *Registry // nil: only single-object encoding can be read
	any      sync.Map  // of DecodeAny: anyReader by the writer's *avro.Schema
}

// New makes a Codec. Without a registry, which may be nil, a value in
// Confluent's format is of an unknown schema.
func New(registry *Registry) *Codec { return &Codec{registry: registry} }

// writer finds the schema with which a value was written. key tells one
// writer's schema from another and is what readers cache by.
func (c *Codec) writer(ctx context.Context, value []byte) (schema *avro.Schema, key uint64, body []byte, err error) {
	switch {
	case len(value) >= confluentHeader && value[0] == 0:
		id := binary.BigEndian.Uint32(value[1:])
		if c.registry == nil {
			return nil, 0, nil, &UnknownSchemaError{fmt.Sprintf("schema id %d: no registry is configured, see --registry", id)}
		}
		schema, err = c.registry.schema(ctx, id)
		return schema, uint64(id), value[confluentHeader:], err
	case len(value) >= singleObjectHeader && value[0] == 0xC3 && value[1] == 0x01:
		key = binary.LittleEndian.Uint64(value[2:])
		if known, found := own().byFingerprint[key]; found {
			return known.avro, key, value[singleObjectHeader:], nil
		}
		return nil, 0, nil, &UnknownSchemaError{fmt.Sprintf("the schema with fingerprint %016x", key)}
	default:
		return nil, 0, nil, &UndecodableError{"it begins like neither wire format"}
	}
}

// Decoder reads one kind of record. It is safe for use by many goroutines.
type Decoder[T any] struct {
	codec    *Codec
	own      *Schema
	resolved atomic.Pointer[map[uint64]resolution] // by the writer's key; copied on write
	mu       sync.Mutex                            // guards the copying
}

// resolution reads what one writer's schema wrote, or says why it cannot.
type resolution struct {
	writer *avro.Schema
	reader *avro.Schema
	failed error
}

// NewDecoder makes a Decoder of the records of a Go type of package schemas.
func NewDecoder[T any](c *Codec) *Decoder[T] {
	schema, found := Find(reflect.TypeFor[T]().Name())
	if !found {
		panic("avro: no schema for " + reflect.TypeFor[T]().Name())
	}
	d := &Decoder[T]{codec: c, own: schema}
	d.resolved.Store(&map[uint64]resolution{})
	return d
}

// Decode reads a value that is not null into a record, which is emptied first.
// The record's texts share memory with the value: who keeps one past the value
// clones it. Errors are UnknownSchemaError, UndecodableError, and
// ErrRegistryUnavailable when nothing can be said yet.
func (d *Decoder[T]) Decode(ctx context.Context, value []byte, into *T) error {
	writer, key, body, err := d.codec.writer(ctx, value)
	if err != nil {
		return err
	}
	reader := d.own.avro
	if writer != reader {
		if reader, err = d.resolve(writer, key); err != nil {
			return err
		}
	}
	*into = *new(T) // a reused record would keep old map entries
	return decodeBody(reader, body, into)
}

func decodeBody(reader *avro.Schema, body []byte, into any) error {
	rest, err := reader.Decode(body, into, avro.AliasInput())
	switch {
	case err != nil:
		return &UndecodableError{"its bytes are cut off or damaged"}
	case len(rest) > 0:
		return &UndecodableError{fmt.Sprintf("%d bytes stand behind its end", len(rest))}
	}
	return nil
}

// resolve gives the schema that reads what writer wrote as our own record.
func (d *Decoder[T]) resolve(writer *avro.Schema, key uint64) (*avro.Schema, error) {
	if known, found := (*d.resolved.Load())[key]; found && known.writer == writer {
		return known.reader, known.failed
	}
	r := resolution{writer: writer}
	reader, err := avro.Resolve(writer, d.own.avro)
	if r.reader = reader; err != nil {
		r.failed = &UndecodableError{"it was written with a schema that is not compatible with that of " + d.own.Name}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	grown := map[uint64]resolution{key: r}
	for k, v := range *d.resolved.Load() {
		if k != key {
			grown[k] = v
		}
	}
	d.resolved.Store(&grown)
	return r.reader, r.failed
}

// DecodeAny reads a value as whichever of the program's records it is, and
// gives a pointer to it. Lists and maps in it are never nil.
func (c *Codec) DecodeAny(ctx context.Context, value []byte) (any, error) {
	writer, _, body, err := c.writer(ctx, value)
	if err != nil {
		return nil, err
	}
	reader := c.anyReader(writer)
	if reader.failed != nil {
		return nil, reader.failed
	}
	record := reader.own.new()
	if err := decodeBody(reader.reader, body, record); err != nil {
		return nil, err
	}
	fill(reflect.ValueOf(record).Elem())
	return record, nil
}

// anyReader reads what one writer's schema wrote as whichever of the program's
// records it is.
type anyReader struct {
	own    *Schema
	reader *avro.Schema
	failed error
}

func (c *Codec) anyReader(writer *avro.Schema) anyReader {
	if known, found := c.any.Load(writer); found {
		return known.(anyReader)
	}
	var r anyReader
	var found bool
	if r.own, found = Find(writer.Root().Name[lastDot(writer.Root().Name)+1:]); !found {
		r.failed = &UndecodableError{"it is none of the engine's records"}
	} else if r.reader = r.own.avro; writer != r.reader {
		var err error
		if r.reader, err = avro.Resolve(writer, r.own.avro); err != nil {
			r.failed = &UndecodableError{"it was written with a schema that is not compatible with that of " + r.own.Name}
		}
	}
	c.any.Store(writer, r)
	return r
}

func lastDot(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '.' {
			return i
		}
	}
	return -1
}

// fill makes nil lists and maps empty ones, all the way down.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Slice:
			if f.IsNil() {
				f.Set(reflect.MakeSlice(f.Type(), 0, 0))
			}
			for j := range f.Len() {
				if f.Index(j).Kind() == reflect.Struct {
					fill(f.Index(j))
				}
			}
		case reflect.Map:
			if f.IsNil() {
				f.Set(reflect.MakeMap(f.Type()))
			}
		}
	}
}

// bytesTypical is room for most records.
const bytesTypical = 384

// Encoder writes one kind of record. It is safe for use by many goroutines.
type Encoder[T any] struct {
	own    *Schema
	header []byte
}

// NewEncoder makes an Encoder for a topic. With a registry it writes
// Confluent's format, and the topic's subject must have the schema.
func NewEncoder[T any](ctx context.Context, c *Codec, topic string) (*Encoder[T], error) {
	if c.registry == nil {
		return NewInternalEncoder[T](), nil
	}
	e := NewInternalEncoder[T]()
	id, err := c.registry.id(ctx, topic, e.own)
	if err != nil {
		return nil, err
	}
	e.header = binary.BigEndian.AppendUint32([]byte{0}, id)
	return e, nil
}

// NewInternalEncoder makes an Encoder for an internal topic.
func NewInternalEncoder[T any]() *Encoder[T] {
	schema, found := Find(reflect.TypeFor[T]().Name())
	if !found {
		panic("avro: no schema for " + reflect.TypeFor[T]().Name())
	}
	return &Encoder[T]{schema, binary.LittleEndian.AppendUint64([]byte{0xC3, 0x01}, schema.Fingerprint)}
}

// Append appends a record's value to b. It panics if the record does not fit
// its schema, which the engine's own records always do.
func (e *Encoder[T]) Append(b []byte, record *T) []byte {
	if b == nil {
		b = make([]byte, 0, bytesTypical)
	}
	b, err := e.own.avro.AppendEncode(append(b, e.header...), record)
	if err != nil {
		panic("avro: a " + e.own.Name + " does not fit its schema: " + err.Error())
	}
	return b
}

// Wrote says whether a value begins as this encoder's do.
func (e *Encoder[T]) Wrote(value []byte) bool { return bytes.HasPrefix(value, e.header) }

// ErrRegistryUnavailable says that the schema registry did not answer, so that
// nothing can be said of a value yet.
var ErrRegistryUnavailable = errors.New("the schema registry does not answer")
