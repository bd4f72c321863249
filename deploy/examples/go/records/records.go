// Package records reads the values of vouch's topics. All that it knows of vouch
// is this page and the schemas, which `vouch schemas show NAME` prints.
//
// A value is Avro in one of two wire formats, told apart by the first bytes:
//
//	Confluent       00 · schema id, 4 bytes, big-endian · body
//	single-object   C3 01 · fingerprint of the schema, 8 bytes · body
//
// The engine writes the first where it has a schema registry and the second
// where it has none. A reader of both survives the day on which one is added.
//
// Law: a value is read with the schema it was written with, or not at all.
package records

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
)

// registryTimeout bounds one question to the registry; then reading fails.
const registryTimeout = 10 * time.Second

// Reader decodes values. It is safe for concurrent use.
type Reader struct {
	byFingerprint map[[8]byte]*avro.Schema
	registry      *sr.Client // nil: none is configured

	mu   sync.Mutex
	byID map[int]*avro.Schema // a schema never changes, so that each is asked for once
}

// NewReader takes the .avsc files of a directory, any number of versions of a
// record, and the URL of a schema registry, which may be empty.
func NewReader(directory, registry string) (*Reader, error) {
	files, err := filepath.Glob(filepath.Join(directory, "*.avsc"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("read schemas: %s has no .avsc files: fill it with `vouch schemas show NAME > %s`", directory, filepath.Join(directory, "NAME.avsc"))
	}
	r := &Reader{byFingerprint: map[[8]byte]*avro.Schema{}, byID: map[int]*avro.Schema{}}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read schemas: %w", err)
		}
		schema, err := avro.Parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("read schemas: %s: %w", file, err)
		}
		r.byFingerprint[fingerprint(schema)] = schema
	}
	if registry != "" {
		if r.registry, err = sr.NewClient(sr.URLs(registry), sr.HTTPClient(&http.Client{Timeout: registryTimeout})); err != nil {
			return nil, fmt.Errorf("read schemas: the registry: %w", err)
		}
	}
	return r, nil
}

// fingerprint is a schema's CRC-64-AVRO in the order of the wire, lowest byte first.
func fingerprint(schema *avro.Schema) (onWire [8]byte) {
	sum := avro.NewRabin()
	sum.Write(schema.Canonical()) // a hash takes everything
	crc := sum.Sum64()
	for i := range onWire {
		onWire[i] = byte(crc >> (8 * i))
	}
	return onWire
}

// Decode reads a value into a struct with avro tags. Fields that the struct does
// not name are passed over, and fields that the writer did not have stay as they
// are, so that a newer engine does not stop an older reader. The error shows
// nothing of the value, which is about a citizen.
func (r *Reader) Decode(ctx context.Context, value []byte, into any) error {
	schema, body, err := r.schemaOf(ctx, value)
	if err != nil {
		return err
	}
	rest, err := schema.Decode(body, into, avro.SkipUnknown())
	if err != nil {
		return errors.New("the value does not fit the schema it names, or the struct to read it into")
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes are left over after the value", len(rest))
	}
	return nil
}

// schemaOf finds the schema that a value names, and the body behind the name.
func (r *Reader) schemaOf(ctx context.Context, value []byte) (*avro.Schema, []byte, error) {
	switch {
	case len(value) >= 5 && value[0] == 0:
		var header sr.ConfluentHeader
		id, body, err := header.DecodeID(value)
		if err != nil {
			return nil, nil, fmt.Errorf("read the schema id: %w", err)
		}
		schema, err := r.registered(ctx, id)
		return schema, body, err
	case len(value) >= 10 && value[0] == 0xC3 && value[1] == 0x01:
		name := [8]byte(value[2:10])
		schema, known := r.byFingerprint[name]
		if !known {
			return nil, nil, fmt.Errorf("no .avsc file has the fingerprint %x: the engine is of another version; add the file that its `vouch schemas show` prints", name)
		}
		return schema, value[10:], nil
	default:
		return nil, nil, errors.New("the value is in neither wire format")
	}
}

// registered asks the registry for a schema, once.
func (r *Reader) registered(ctx context.Context, id int) (*avro.Schema, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if schema, known := r.byID[id]; known {
		return schema, nil
	}
	if r.registry == nil {
		return nil, fmt.Errorf("a value names schema id %d of a registry: give its address with --registry", id)
	}
	text, err := r.registry.SchemaByID(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("ask the registry for schema id %d: %w", id, err)
	}
	schema, err := avro.Parse(text.Schema)
	if err != nil {
		return nil, fmt.Errorf("schema id %d of the registry: %w", id, err)
	}
	r.byID[id] = schema
	return schema, nil
}
