package facts

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/vouch-engine/vouch/schemas"
)

const whole = `{"evidence_id":"e","citizen_id":"公民-1","kind":"K","source":"S","occurred_at":"2023-06-01T01:02:03.000Z","recorded_at":"2023-06-01T01:02:03.004Z"}`

func TestDefaultsAreFilledIn(t *testing.T) {
	e, err := Decode[schemas.Evidence]([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if e.Op != schemas.Assert || e.Reference != nil || e.Attributes == nil || e.CitizenID != "公民-1" || e.RecordedAt != e.OccurredAt+4 {
		t.Errorf("%+v", e)
	}
	var text strings.Builder
	key := "公民-1"
	if err := Write(&text, Output{Topic: "evidence", Key: &key, Value: e}); err != nil {
		t.Fatal(err)
	}
	const want = `{"key":"公民-1","topic":"evidence","value":{"evidence_id":"e","citizen_id":"公民-1","kind":"K","source":"S","op":"ASSERT","occurred_at":"2023-06-01T01:02:03.000Z","recorded_at":"2023-06-01T01:02:03.004Z","reference":null,"attributes":{}}}` + "\n"
	if text.String() != want {
		t.Errorf("written as\n%swant\n%s", text.String(), want)
	}
}

// What does not fit its schema to the letter is undecodable.
func TestWhatDoesNotFitIsRefused(t *testing.T) {
	with := func(old, new string) string { return strings.Replace(whole, old, new, 1) }
	for name, value := range map[string]string{
		"a number for an object":   `7`,
		"an unknown field":         with(`"kind"`, `"kinds":"K","kind"`),
		"a field in another case":  with(`"kind"`, `"Kind"`),
		"a missing field":          with(`"kind":"K",`, ``),
		"null for a text":          with(`"kind":"K"`, `"kind":null`),
		"a number for a text":      with(`"kind":"K"`, `"kind":7`),
		"a field twice":            with(`"kind":"K"`, `"kind":"K","kind":"K"`),
		"an unknown symbol":        with(`"kind"`, `"op":"DELETE","kind"`),
		"a number for an instant":  with(`"2023-06-01T01:02:03.000Z"`, `1685581323000`),
		"an instant of no day":     with(`"2023-06-01T01:02:03.000Z"`, `"2023-06-31T01:02:03.000Z"`),
		"a null among attributes":  with(`"kind"`, `"attributes":{"a":null},"kind"`),
		"a number in attributes":   with(`"kind"`, `"attributes":{"a":1},"kind"`),
		"a list for attributes":    with(`"kind"`, `"attributes":[],"kind"`),
		"null for attributes":      with(`"kind"`, `"attributes":null,"kind"`),
		"something behind the end": whole + `{}`,
	} {
		if e, err := Decode[schemas.Evidence]([]byte(value)); err == nil {
			t.Errorf("%s was read as %+v", name, e)
		}
	}
	for _, amount := range []string{`1.5`, `1e30`, `"1"`, `9223372036854775808`, `null`} {
		value := `{"payout_id":"p","citizen_id":"c","benefit":"B","period":"2023-01","amount_fen":` + amount + `,"paid_at":"2023-06-01T01:02:03.000Z"}`
		if _, err := Decode[schemas.Payout]([]byte(value)); err == nil {
			t.Errorf("an amount of %s was read", amount)
		}
	}
}

// An error never shows what stands in the record.
func TestErrorsShowNoValues(t *testing.T) {
	for _, value := range []string{
		strings.Replace(whole, `"K"`, `{"secret":1}`, 1), strings.Replace(whole, `"2023-06-01T01:02:03.000Z"`, `"secret"`, 1),
		strings.Replace(whole, `"kind"`, `"op":"secret","kind"`, 1), strings.Replace(whole, `"kind"`, `"attributes":{"secret":1},"kind"`, 1),
	} {
		if _, err := Decode[schemas.Evidence]([]byte(value)); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	}
}

func TestLines(t *testing.T) {
	text := "\n" + `{"topic":"evidence","at":"2023-06-01T01:02:03.000Z","value":` + whole + "}\r\n" +
		`{"topic":"evidence","at":"2023-06-01T01:02:03.000Z","key":null,"value":null}` + "\n" +
		`{"topic":"clock","at":"2023-06-01T01:02:03.000Z","key":"x","value":{"at":"` + strings.Repeat("9", 2<<20) + `"}}`
	r := NewReader(strings.NewReader(text))
	first, err := r.Read()
	if key, keyed := first.RecordKey(); err != nil || first.Number != 2 || key != "公民-1" || !keyed {
		t.Errorf("%+v %v", first, err)
	}
	second, err := r.Read()
	if _, keyed := second.RecordKey(); err != nil || keyed || second.Value != nil {
		t.Errorf("%+v %v", second, err)
	}
	third, err := r.Read()
	if key, keyed := third.RecordKey(); err != nil || key != "x" || !keyed || len(third.Value) < 2<<20 {
		t.Errorf("%v", err)
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	for text, want := range map[string]string{
		`{`:    "line 1: it is not JSON",
		`[]`:   "line 1: it is not a JSON object",
		"\xff": "line 1: it is not UTF-8",
		`{"topic":"standing","at":"2023-06-01T01:02:03.000Z","value":{}}`: "line 1: topic must be one of",
		`{"topic":"roster","value":{}}`:                                   "line 1: at is missing",
		`{"topic":"roster","at":null}`:                                    "must not be null",
		`{"topic":"roster","at":"yesterday"}`:                             `"at"`,
		`{"topic":"roster","at":"2023-06-01T01:02:03.000Z","ad":1}`:       `"ad": it is no key`,
		`{"topic":"roster","at":"2023-06-01T01:02:03.000Z","value":{}} x`: "behind its end",
	} {
		if _, err := NewReader(strings.NewReader(text)).Read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
