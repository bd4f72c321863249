package facts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"sync"

	"github.com/vouch-engine/vouch/schemas"
)

// Decode reads a record of package schemas that fits its .avsc exactly: no
// field is unknown or missing unless it has a default, which is filled in,
// null stands only where the schema allows it, an enum by its symbol's name.
func Decode[T any](value json.RawMessage) (*T, error) {
	s := schemaOf[T]()
	fields, err := members(value)
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		at := slices.IndexFunc(s.Fields, func(d field) bool { return d.Name == f.name })
		if at < 0 {
			return nil, fmt.Errorf("%.40q is no field of %s", f.name, s.Name)
		}
		if err := s.Fields[at].check(f.value); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.name, err)
		}
	}
	for _, d := range s.Fields {
		if d.Default == nil && !slices.ContainsFunc(fields, func(f member) bool { return f.name == d.Name }) {
			return nil, fmt.Errorf("field %s is missing", d.Name)
		}
	}
	record := new(T)
	for _, text := range [][]byte{s.defaults, value} {
		if err := json.Unmarshal(text, record); err != nil {
			var wrong *json.UnmarshalTypeError
			if errors.As(err, &wrong) {
				return nil, fmt.Errorf("field %s: must be a %s", wrong.Field, wrong.Type)
			}
			return nil, errors.New("a date or an instant is not in its form")
		}
	}
	return record, nil
}

// schema is the part of an .avsc that a JSON value is checked against.
type schema struct {
	Name     string  `json:"name"`
	Fields   []field `json:"fields"`
	defaults json.RawMessage
}

type field struct {
	Name    string          `json:"name"`
	Type    json.RawMessage `json:"type"`
	Default json.RawMessage `json:"default"`

	nullable bool
	symbols  []string // of an enum
	isMap    bool     // of texts
}

// check is what json.Unmarshal does not check by the Go type.
func (f *field) check(value json.RawMessage) error {
	if string(value) == "null" {
		if !f.nullable {
			return errors.New("must not be null")
		}
		return nil
	}
	if f.symbols != nil {
		var symbol string
		if err := json.Unmarshal(value, &symbol); err != nil || !slices.Contains(f.symbols, symbol) {
			return fmt.Errorf("must be one of %v", f.symbols)
		}
	}
	if f.isMap {
		entries, err := members(value)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if len(e.value) == 0 || e.value[0] != '"' {
				return errors.New("must hold texts")
			}
		}
	}
	return nil
}

// classify reads from the type what check asks for.
func (f *field) classify() {
	var named struct {
		Type    string   `json:"type"`
		Symbols []string `json:"symbols"`
	}
	if json.Unmarshal(f.Type, &named) == nil {
		f.symbols, f.isMap = named.Symbols, named.Type == "map"
	}
	var union []json.RawMessage
	f.nullable = json.Unmarshal(f.Type, &union) == nil
}

var parsed sync.Map // reflect.Type → *schema

func schemaOf[T any]() *schema {
	of := reflect.TypeFor[T]()
	if known, found := parsed.Load(of); found {
		return known.(*schema)
	}
	files, err := fs.Glob(schemas.Files(), "*.avsc")
	if err != nil {
		panic("facts: the schemas cannot be listed: " + err.Error())
	}
	for _, file := range files {
		text, err := fs.ReadFile(schemas.Files(), file)
		s := new(schema)
		if err == nil {
			err = json.Unmarshal(text, s)
		}
		if err != nil {
			panic("facts: the schema " + file + " cannot be read: " + err.Error())
		}
		if s.Name == of.Name() {
			s.settle()
			parsed.Store(of, s)
			return s
		}
	}
	panic("facts: " + of.Name() + " has no .avsc")
}

func (s *schema) settle() {
	defaults := map[string]json.RawMessage{}
	for i := range s.Fields {
		f := &s.Fields[i]
		f.classify()
		if f.Default != nil {
			defaults[f.Name] = f.Default
		}
	}
	s.defaults, _ = json.Marshal(defaults) // raw JSON from a file that was just read
}
