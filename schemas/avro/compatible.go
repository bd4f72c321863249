package avro

import (
	"fmt"
	"slices"
	"strings"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/avro"
)

// Modes are the forms of compatibility that a changed schema can be held to.
var Modes = []string{"BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"}

// Compatible holds a changed schema to a mode, given the versions before it,
// oldest first. Backward: it reads what they wrote; forward: they read what it
// writes; full: both; transitive: not the last one only. A changed logical
// type is a mistake as well: the bytes would be read, as something else.
func Compatible(changed string, before []string, mode string) error {
	if !slices.Contains(Modes, mode) {
		return fmt.Errorf("the mode is %s, must be one of %s", mode, strings.Join(Modes, ", "))
	}
	next, err := Gate(changed)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(mode, "_TRANSITIVE") && len(before) > 0 {
		before = before[len(before)-1:]
	}
	for i, text := range before {
		old, err := Gate(text)
		if err != nil {
			return fmt.Errorf("version %d before it: %w", i+1, err)
		}
		if !strings.HasPrefix(mode, "FORWARD") {
			if err := avro.CheckCompatibility(old, next); err != nil {
				return fmt.Errorf("it cannot read what version %d before it wrote: %w", i+1, err)
			}
		}
		if !strings.HasPrefix(mode, "BACKWARD") {
			if err := avro.CheckCompatibility(next, old); err != nil {
				return fmt.Errorf("version %d before it cannot read what it writes: %w", i+1, err)
			}
		}
		if field := changedLogicalType(*old.Root(), *next.Root(), ""); field != "" {
			return fmt.Errorf("field %s has another logical type than in version %d before it: its values would be read as something else", field, i+1)
		}
	}
	return nil
}

// Gate parses a schema, which two independent libraries must take.
func Gate(text string) (*avro.Schema, error) {
	if _, err := goavro.NewCodec(text); err != nil {
		return nil, fmt.Errorf("it is no Avro schema: %w", err)
	}
	schema, err := avro.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("it is no Avro schema: %w", err)
	}
	return schema, nil
}

// changedLogicalType finds the first field, at any depth, whose logical type
// differs between two schemas.
func changedLogicalType(a, b avro.SchemaNode, path string) string {
	if a.LogicalType != b.LogicalType && a.Type == b.Type {
		return strings.TrimPrefix(path, ".")
	}
	for i := range a.Fields {
		for j := range b.Fields {
			if a.Fields[i].Name == b.Fields[j].Name {
				if found := changedLogicalType(a.Fields[i].Type, b.Fields[j].Type, path+"."+a.Fields[i].Name); found != "" {
					return found
				}
			}
		}
	}
	if a.Items != nil && b.Items != nil {
		if found := changedLogicalType(*a.Items, *b.Items, path); found != "" {
			return found
		}
	}
	for i := range min(len(a.Branches), len(b.Branches)) {
		if found := changedLogicalType(a.Branches[i], b.Branches[i], path); found != "" {
			return found
		}
	}
	return ""
}
