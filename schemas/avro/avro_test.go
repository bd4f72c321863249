package avro

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"pgregory.net/rapid"

	"github.com/vouch-engine/vouch/schemas"
)

var background = context.Background()

// Every schema passes both libraries, and they agree on its fingerprint.
func TestSchemasPassTheGate(t *testing.T) {
	for _, s := range Schemas() {
		if _, err := Gate(s.Text); err != nil {
			t.Errorf("%s: %v", s.File, err)
			continue
		}
		second, err := goavro.NewCodec(withoutLogicalTypes(t, s.Text))
		if err != nil {
			t.Fatal(err)
		}
		if second.Rabin != s.Fingerprint {
			t.Errorf("%s: fingerprint %016x, goavro says %016x", s.File, s.Fingerprint, second.Rabin)
		}
	}
	if evidence, _ := Find("Evidence"); evidence.Fingerprint != binary.LittleEndian.Uint64([]byte{0xf9, 0x46, 0x71, 0xad, 0xd4, 0xa8, 0x5e, 0xbb}) {
		t.Errorf("the fingerprint of Evidence, %016x, is not the one that fastavro writes", evidence.Fingerprint)
	}
}

// withoutLogicalTypes is a schema as its canonical form sees it: that leaves
// logical types out (Avro specification, "Parsing Canonical Form"), and goavro
// does not.
func withoutLogicalTypes(t *testing.T, text string) string {
	t.Helper()
	var schema any
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	var strip func(any)
	strip = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			delete(node, "logicalType")
			for _, child := range node {
				strip(child)
			}
		case []any:
			for _, child := range node {
				strip(child)
			}
		}
	}
	strip(schema)
	stripped, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	return string(stripped)
}

func drawText(t *rapid.T, label string) string { return rapid.StringN(0, 20, 80).Draw(t, label) }

func drawEvidence(t *rapid.T) *schemas.Evidence {
	e := &schemas.Evidence{
		EvidenceID: drawText(t, "id"), CitizenID: drawText(t, "citizen"), Kind: drawText(t, "kind"), Source: drawText(t, "source"),
		Op:         rapid.SampledFrom([]schemas.EvidenceOp{schemas.Assert, schemas.Retract}).Draw(t, "op"),
		OccurredAt: schemas.Instant(rapid.Int64().Draw(t, "occurred")), RecordedAt: schemas.Instant(rapid.Int64().Draw(t, "recorded")),
	}
	if rapid.Bool().Draw(t, "referenced") {
		reference := drawText(t, "reference")
		e.Reference = &reference
	}
	if rapid.Bool().Draw(t, "attributed") {
		e.Attributes = map[string]string{drawText(t, "key"): drawText(t, "value")}
	}
	return e
}

// goavro, the second opinion, reads what we write as the same record.
func TestSecondOpinionOnEvidence(t *testing.T) {
	evidence, _ := Find("Evidence")
	second, err := goavro.NewCodec(evidence.Text)
	if err != nil {
		t.Fatal(err)
	}
	encoder, decoder := NewInternalEncoder[schemas.Evidence](), NewDecoder[schemas.Evidence](New(nil))
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvidence(t)
		e.OccurredAt, e.RecordedAt = e.OccurredAt%(1<<47), e.RecordedAt%(1<<47) // goavro makes a time.Time of them
		bytes := encoder.Append(nil, e)
		native, rest, err := second.NativeFromBinary(bytes[singleObjectHeader:])
		if err != nil || len(rest) > 0 {
			t.Fatalf("goavro: %v, %d bytes left", err, len(rest))
		}
		fields := native.(map[string]any)
		if fields["evidence_id"] != e.EvidenceID || fields["op"] != string(e.Op) || schemas.Instant(fields["occurred_at"].(time.Time).UnixMilli()) != e.OccurredAt {
			t.Fatalf("goavro reads %v of %+v", fields, e)
		}
		again, err := second.BinaryFromNative(nil, native)
		if err != nil || string(again) != string(bytes[singleObjectHeader:]) {
			t.Fatalf("goavro writes %x, we %x (%v)", again, bytes[singleObjectHeader:], err)
		}
		var back schemas.Evidence
		if err := decoder.Decode(background, bytes, &back); err != nil {
			t.Fatal(err)
		}
		if len(back.Attributes) == 0 {
			back.Attributes = e.Attributes
		}
		if !reflect.DeepEqual(&back, e) {
			t.Fatalf("%+v came back as %+v", e, back)
		}
	})
}

// Every other record goes to bytes and back, through DecodeAny.
func TestEveryRecordComesBack(t *testing.T) {
	phone, at, day, amount := "138", schemas.Instant(1685581323000), schemas.Date(19509), int64(7)
	due := []schemas.DueBenefit{{Benefit: "B", Department: "D", DueOn: day, DaysLeft: 3}}
	leads := []schemas.Lead{{Kind: "K", Source: "S", OccurredAt: at}}
	back := func(bytes []byte, want any) {
		t.Helper()
		got, err := New(nil).DecodeAny(background, bytes)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v came back as %+v (%v)", want, got, err)
		}
	}
	roster := schemas.RosterEntry{EntryID: "r", CitizenID: "c", Benefit: "B", Op: schemas.Withdraw, RecordedAt: at, EffectiveOn: day, DueOn: &day, LastCertifiedOn: &day, Region: "x", Phone: &phone, Payee: &phone, AmountFen: &amount, BirthOn: &day, Attributes: map[string]string{"a": "b"}}
	back(NewInternalEncoder[schemas.RosterEntry]().Append(nil, &roster), &roster)
	payout := schemas.Payout{PayoutID: "p", CitizenID: "c", Benefit: "B", Period: "2023-01", AmountFen: 5, PaidAt: at, Payee: &phone}
	back(NewInternalEncoder[schemas.Payout]().Append(nil, &payout), &payout)
	tick := schemas.ClockTick{At: at}
	back(NewInternalEncoder[schemas.ClockTick]().Append(nil, &tick), &tick)
	completed := schemas.CertificationCompleted{EventID: "e", CitizenID: "c", CertifiedAt: at, DecidedAt: at, Channel: "COUNTER", EvidenceID: "e", Kind: "K", Source: "S", Benefits: []schemas.CertifiedBenefit{{Benefit: "B", Department: "D", PreviousDueOn: day, ValidUntil: day, InTime: true}}, Region: "r", Phone: &phone, Catalogue: "x"}
	back(NewInternalEncoder[schemas.CertificationCompleted]().Append(nil, &completed), &completed)
	revoked := schemas.CertificationRevoked{EventID: "e", CitizenID: "c", DecidedAt: at, Benefits: []schemas.RevokedBenefit{{Benefit: "B", Department: "D", RevokedUntil: day, DueOn: day}}}
	back(NewInternalEncoder[schemas.CertificationRevoked]().Append(nil, &revoked), &revoked)
	reminder := schemas.ExpiryReminder{EventID: "e", CitizenID: "c", FiresAt: at, Stage: 2, Benefits: due}
	back(NewInternalEncoder[schemas.ExpiryReminder]().Append(nil, &reminder), &reminder)
	visit := schemas.VisitRequested{EventID: "e", CitizenID: "c", FiresAt: at, Benefits: due, Priority: "LOW", LastSeenAt: &at, Leads: leads}
	back(NewInternalEncoder[schemas.VisitRequested]().Append(nil, &visit), &visit)
	standing := schemas.Standing{CitizenID: "c", At: at, Benefits: []schemas.BenefitStanding{{Benefit: "B", Status: schemas.Lapsed, Reasons: []string{}, DueOn: day}}}
	back(NewInternalEncoder[schemas.Standing]().Append(nil, &standing), &standing)
	alert := schemas.Alert{EventID: "e", CitizenID: "c", Rule: "r", Subject: "s", At: at, Benefits: []string{"B"}, Facts: []schemas.Fact{{Name: "n", Value: "v"}}}
	back(NewInternalEncoder[schemas.Alert]().Append(nil, &alert), &alert)
	entry := schemas.ScheduleEntry{CitizenID: "c", Benefits: []schemas.ScheduledBenefit{{Benefit: "B", DueOn: day, Reasons: []string{"x"}}}, LastSeenAt: &at, Leads: leads, Weak: []schemas.Lead{}, Clock: &at}
	back(NewInternalEncoder[schemas.ScheduleEntry]().Append(nil, &entry), &entry)
	claim := schemas.PayeeClaim{Payee: "p", CitizenID: "c", Benefit: "B", Claims: true}
	back(NewInternalEncoder[schemas.PayeeClaim]().Append(nil, &claim), &claim)
}

func TestWhatCannotBeRead(t *testing.T) {
	tick := NewInternalEncoder[schemas.ClockTick]().Append(nil, &schemas.ClockTick{At: 1685581323000})
	decoder := NewDecoder[schemas.ClockTick](New(nil))
	var into schemas.ClockTick
	for name, value := range map[string][]byte{
		"nothing": {}, "a cut header": tick[:9], "a cut body": tick[:len(tick)-1], "no body": tick[:10], "bytes behind its end": append(tick[:len(tick):len(tick)], 0),
		"no wire format": []byte("{}"), "another record": NewInternalEncoder[schemas.PayeeClaim]().Append(nil, &schemas.PayeeClaim{}),
	} {
		var undecodable *UndecodableError
		if err := decoder.Decode(background, value, &into); !errors.As(err, &undecodable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var unknown *UnknownSchemaError
	for name, value := range map[string][]byte{"a fingerprint": {0xC3, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0}, "an id without registry": {0, 0, 0, 0, 1, 0}} {
		if err := decoder.Decode(background, value, &into); !errors.As(err, &unknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A reused record keeps nothing of the one before.
func TestReusedRecordIsEmptied(t *testing.T) {
	reference := "r"
	encoder, decoder := NewInternalEncoder[schemas.Evidence](), NewDecoder[schemas.Evidence](New(nil))
	var into schemas.Evidence
	for _, e := range []*schemas.Evidence{{EvidenceID: "a", Op: schemas.Assert, Reference: &reference, Attributes: map[string]string{"a": "b"}}, {EvidenceID: "b", Op: schemas.Assert}} {
		if err := decoder.Decode(background, encoder.Append(nil, e), &into); err != nil {
			t.Fatal(err)
		}
	}
	if into.Reference != nil || len(into.Attributes) != 0 {
		t.Errorf("it kept %+v", into)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(NewInternalEncoder[schemas.Evidence]().Append(nil, &schemas.Evidence{Op: schemas.Assert}))
	f.Add([]byte{0xC3, 1, 0xf9, 0x46, 0x71, 0xad, 0xd4, 0xa8, 0x5e, 0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, value []byte) {
		_, _ = New(nil).DecodeAny(background, value)
	})
}

// registry serves a fake registry over HTTP that can be switched off.
func registry(t *testing.T) (*Registry, *atomic.Bool) {
	t.Helper()
	fake := srfake.New()
	t.Cleanup(fake.Close)
	var down atomic.Bool
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		request, err := http.NewRequest(r.Method, fake.URL()+r.URL.RequestURI(), r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		request.Header = r.Header
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		defer response.Body.Close()
		w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
		w.WriteHeader(response.StatusCode)
		var body bytes.Buffer
		_, _ = body.ReadFrom(response.Body)
		_, _ = w.Write(body.Bytes())
	}))
	t.Cleanup(front.Close)
	r, err := NewRegistry(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	return r, &down
}

// A value of an older and of a newer compatible schema is read by resolution.
func TestOlderAndNewerSchemasAreRead(t *testing.T) {
	r, _ := registry(t)
	own, _ := Find("ClockTick")
	newer := strings.Replace(own.Text, `"fields": [`, `"fields": [{"name": "leap", "type": "string", "default": ""},`, 1)
	schema, err := r.client.CreateSchema(background, "clock-value", sr.Schema{Schema: newer})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := goavro.NewCodec(newer)
	if err != nil {
		t.Fatal(err)
	}
	body, err := codec.BinaryFromNative(binary.BigEndian.AppendUint32([]byte{0}, uint32(schema.ID)), map[string]any{"leap": "second", "at": time.UnixMilli(1685581323000)})
	if err != nil {
		t.Fatal(err)
	}
	var tick schemas.ClockTick
	if err := NewDecoder[schemas.ClockTick](New(r)).Decode(background, body, &tick); err != nil || tick.At != 1685581323000 {
		t.Errorf("%v, %v", tick, err)
	}
	older := `{"type":"record","name":"Evidence","namespace":"vouch.v1","fields":[{"name":"evidence_id","type":"string"},{"name":"citizen_id","type":"string"},{"name":"kind","type":"string"},{"name":"source","type":"string"},{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"recorded_at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`
	if schema, err = r.client.CreateSchema(background, "evidence-value", sr.Schema{Schema: older}); err != nil {
		t.Fatal(err)
	}
	if codec, err = goavro.NewCodec(older); err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1685581323000)
	if body, err = codec.BinaryFromNative(binary.BigEndian.AppendUint32([]byte{0}, uint32(schema.ID)), map[string]any{"evidence_id": "e", "citizen_id": "c", "kind": "K", "source": "S", "occurred_at": now, "recorded_at": now}); err != nil {
		t.Fatal(err)
	}
	var e schemas.Evidence
	if err := NewDecoder[schemas.Evidence](New(r)).Decode(background, body, &e); err != nil || e.Op != schemas.Assert || e.Kind != "K" {
		t.Errorf("%+v, %v", e, err)
	}
}

// Only "no such id" is an unknown schema; a registry that is down says nothing.
func TestRegistryThatIsDownIsWaitedFor(t *testing.T) {
	r, down := registry(t)
	if _, err := NewEncoder[schemas.ClockTick](background, New(r), "vouch.clock"); err == nil || !strings.Contains(err.Error(), "vouch schemas register") {
		t.Errorf("a missing subject gives: %v", err)
	}
	if _, err := r.Register(background, "vouch.clock", "ClockTick"); err != nil {
		t.Fatal(err)
	}
	encoder, err := NewEncoder[schemas.ClockTick](background, New(r), "vouch.clock")
	if err != nil {
		t.Fatal(err)
	}
	value := encoder.Append(nil, &schemas.ClockTick{At: 7})
	if value[0] != 0 {
		t.Fatalf("written as %x, not in Confluent's format", value)
	}
	down.Store(true)
	decoder := NewDecoder[schemas.ClockTick](New(r))
	var tick schemas.ClockTick
	if err := decoder.Decode(background, value, &tick); !errors.Is(err, ErrRegistryUnavailable) || r.Down() == nil {
		t.Errorf("while it is down: %v", err)
	}
	down.Store(false)
	for deadline := time.Now().Add(10 * time.Second); errors.Is(err, ErrRegistryUnavailable) || tick.At != 7; {
		if err = decoder.Decode(background, value, &tick); time.Now().After(deadline) {
			t.Fatalf("after it came back: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if r.Down() != nil {
		t.Errorf("it is still held to be down: %v", r.Down())
	}
	var unknown *UnknownSchemaError
	if err := decoder.Decode(background, []byte{0, 0, 0, 3, 231, 0}, &tick); !errors.As(err, &unknown) {
		t.Errorf("an id that nobody has gives: %v", err)
	}
}

func TestCompatible(t *testing.T) {
	own, _ := Find("ClockTick")
	with := func(field string) string {
		return strings.Replace(own.Text, `"fields": [`, `"fields": [`+field+`,`, 1)
	}
	optional, needed := with(`{"name":"x","type":"string","default":""}`), with(`{"name":"x","type":"string"}`)
	micros := strings.Replace(own.Text, "timestamp-millis", "timestamp-micros", 1)
	for _, c := range []struct {
		changed, mode string
		before        []string
		want          bool
	}{
		{optional, "FULL_TRANSITIVE", []string{own.Text}, true},
		{needed, "BACKWARD", []string{own.Text}, false},
		{needed, "FORWARD", []string{own.Text}, true},
		{needed, "BACKWARD", []string{own.Text, needed}, true},
		{needed, "BACKWARD_TRANSITIVE", []string{own.Text, needed}, false},
		{own.Text, "FORWARD", []string{needed}, false},
		{micros, "BACKWARD", []string{own.Text}, false},
		{"{}", "FULL", nil, false},
		{own.Text, "SIDEWAYS", nil, false},
	} {
		if err := Compatible(c.changed, c.before, c.mode); (err == nil) != c.want {
			t.Errorf("%s, %.80s after %d versions: %v", c.mode, c.changed, len(c.before), err)
		}
	}
}

func BenchmarkDecodeEvidence(b *testing.B) {
	value := NewInternalEncoder[schemas.Evidence]().Append(nil, &schemas.Evidence{EvidenceID: "HEALTH-000123456789", CitizenID: "341621-0000012345", Kind: "INPT_ADMIT", Source: "HEALTH", Op: schemas.Assert, OccurredAt: 1685581323000, RecordedAt: 1685584923000, Attributes: map[string]string{"ward": "3 East"}})
	decoder := NewDecoder[schemas.Evidence](New(nil))
	var e schemas.Evidence
	b.ReportAllocs()
	for b.Loop() {
		if err := decoder.Decode(background, value, &e); err != nil || e.Kind != "INPT_ADMIT" {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeCompleted(b *testing.B) {
	encoder := NewInternalEncoder[schemas.CertificationCompleted]()
	c := schemas.CertificationCompleted{EventID: "efa7ff5b1d0c8d44ad224b3f2af7c429", CitizenID: "341621-0000012345", Channel: "AUTOMATIC", Benefits: []schemas.CertifiedBenefit{{Benefit: "URRP", Department: "HRSS"}}, Catalogue: "0123456789abcdef"}
	var room [512]byte
	b.ReportAllocs()
	for b.Loop() {
		if len(encoder.Append(room[:0], &c)) < 100 {
			b.Fatal("too short")
		}
	}
}
