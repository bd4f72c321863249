package avro

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
)

// The limits of asking a registry.
const (
	askTimeout    = 5 * time.Second        // of one question; then it does not answer
	askAgainAfter = 500 * time.Millisecond // it did not answer: until then it is not asked again
	unknownFor    = 30 * time.Second       // "no such id" is believed, since an id may be registered late
)

// codeNoSuchSchema is the registry's own code for an id that it does not know.
// Any other answer, a proxy's 404 too, is none.
const codeNoSuchSchema = 40403

// codeNoSuchSubject is the same for a subject.
const codeNoSuchSubject = 40401

// Registry is a schema registry behind a cache. A schema never changes, so
// that each is asked for once; many who ask for one at once ask together.
type Registry struct {
	url     string
	client  *sr.Client
	known   atomic.Pointer[map[uint32]*avro.Schema] // copied on write: the hot path takes no lock
	mu      sync.Mutex                              // guards what follows and the copying; held while asking, so that many ask together
	unknown map[uint32]answer
	down    answer
}

// answer is what the registry said other than a schema, and until when it is believed.
type answer struct {
	err   error
	until time.Time
}

// NewRegistry makes a Registry. It does not connect yet.
func NewRegistry(url string) (*Registry, error) {
	client, err := sr.NewClient(sr.URLs(url), sr.HTTPClient(&http.Client{Timeout: askTimeout}))
	if err != nil {
		return nil, fmt.Errorf("avro: the registry %s: %w", url, err)
	}
	r := &Registry{url: url, client: client, unknown: map[uint32]answer{}}
	r.known.Store(&map[uint32]*avro.Schema{})
	return r, nil
}

// Down says why the registry does not answer, or nil.
func (r *Registry) Down() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.down.err
}

// schema gives the schema of an id.
func (r *Registry) schema(ctx context.Context, id uint32) (*avro.Schema, error) {
	if schema, found := (*r.known.Load())[id]; found {
		return schema, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if schema, found := (*r.known.Load())[id]; found {
		return schema, nil
	}
	if said := r.unknown[id]; time.Now().Before(said.until) {
		return nil, said.err
	}
	if time.Now().Before(r.down.until) {
		return nil, r.down.err
	}
	text, err := r.client.SchemaByID(ctx, int(id))
	var said *sr.ResponseError
	switch {
	case errors.As(err, &said) && said.ErrorCode == codeNoSuchSchema:
		r.down = answer{}
		r.unknown[id] = answer{&UnknownSchemaError{fmt.Sprintf("schema id %d", id)}, time.Now().Add(unknownFor)}
		return nil, r.unknown[id].err
	case err != nil:
		r.down = answer{fmt.Errorf("%w: ask %s for schema id %d: %w", ErrRegistryUnavailable, r.url, id, withoutBody(err)), time.Now().Add(askAgainAfter)}
		return nil, r.down.err
	}
	r.down = answer{}
	schema, err := parseForeign(text)
	if err != nil {
		r.unknown[id] = answer{&UndecodableError{fmt.Sprintf("schema id %d: %v", id, err)}, time.Now().Add(unknownFor)}
		return nil, r.unknown[id].err
	}
	grown := map[uint32]*avro.Schema{id: schema}
	for k, v := range *r.known.Load() {
		grown[k] = v
	}
	r.known.Store(&grown)
	return schema, nil
}

func parseForeign(s sr.Schema) (*avro.Schema, error) {
	if s.Type != sr.TypeAvro {
		return nil, fmt.Errorf("it is %s, not Avro", s.Type)
	}
	if len(s.References) > 0 {
		return nil, errors.New("it refers to other schemas, which this program does not follow")
	}
	return avro.Parse(s.Schema)
}

// withoutBody keeps of an answer what an operator needs.
func withoutBody(err error) error {
	var said *sr.ResponseError
	if errors.As(err, &said) {
		return fmt.Errorf("status %d", said.StatusCode)
	}
	return err
}

// Subject is the registry's name for the values of a topic.
func Subject(topic string) string { return topic + "-value" }

// id finds the id of the program's own schema under a topic's subject. It
// waits for a registry that does not answer, until ctx ends.
func (r *Registry) id(ctx context.Context, topic string, schema *Schema) (uint32, error) {
	for {
		found, err := r.client.LookupSchema(ctx, Subject(topic), sr.Schema{Schema: schema.Text})
		var said *sr.ResponseError
		switch {
		case err == nil:
			r.mu.Lock()
			r.down = answer{}
			r.mu.Unlock()
			return uint32(found.ID), nil
		case errors.As(err, &said) && said.StatusCode == http.StatusNotFound && said.ErrorCode != 0:
			return 0, fmt.Errorf("the registry %s has no schema of %s under the subject %s: register it with `vouch schemas register`", r.url, schema.Name, Subject(topic))
		case ctx.Err() != nil:
			return 0, fmt.Errorf("%w: ask %s for the subject %s: %w", ErrRegistryUnavailable, r.url, Subject(topic), withoutBody(err))
		}
		r.mu.Lock()
		r.down = answer{fmt.Errorf("%w: ask %s: %w", ErrRegistryUnavailable, r.url, withoutBody(err)), time.Now().Add(askAgainAfter)}
		r.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(askAgainAfter):
		}
	}
}

// Register writes the program's schema of a record under a topic's subject,
// unless it is there, and gives its id.
func (r *Registry) Register(ctx context.Context, topic, record string) (id int, err error) {
	schema, found := Find(record)
	if !found {
		return 0, fmt.Errorf("avro: register %s: there is no such record", record)
	}
	registered, err := r.client.CreateSchema(ctx, Subject(topic), sr.Schema{Schema: schema.Text})
	if err != nil {
		return 0, fmt.Errorf("avro: register %s under %s at %s: %w", record, Subject(topic), r.url, err)
	}
	return registered.ID, nil
}

// Versions gives the texts of all versions of a topic's subject, oldest first;
// none for a subject that the registry does not have.
func (r *Registry) Versions(ctx context.Context, topic string) (texts []string, err error) {
	versions, err := r.client.Schemas(ctx, Subject(topic))
	var said *sr.ResponseError
	if errors.As(err, &said) && said.ErrorCode == codeNoSuchSubject {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("avro: list the versions of %s at %s: %w", Subject(topic), r.url, withoutBody(err))
	}
	for _, v := range versions {
		texts = append(texts, v.Schema.Schema)
	}
	return texts, nil
}
