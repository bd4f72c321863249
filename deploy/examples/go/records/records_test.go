package records

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/avro"
)

const standing = `{"type": "record", "name": "Standing", "namespace": "vouch.v1", "fields": [
	{"name": "citizen_id", "type": "string"},
	{"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["GOOD", "LAPSED"]}},
	{"name": "catalogue", "type": "string"}]}`

// row names some of the fields, and one that the writer does not have.
type row struct {
	Citizen string `avro:"citizen_id"`
	Status  string `avro:"status"`
	Since   int64  `avro:"since"`
}

// body is the record {citizen_id: "chen", status: LAPSED, catalogue: "9970"}, by hand.
var body = []byte("\x08chen\x02\x089970")

func reader(t *testing.T, registry string) *Reader {
	t.Helper()
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "standing.avsc"), []byte(standing), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(directory, registry)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// singleObject writes a value as the engine does without a registry.
func singleObject(schema string, body []byte) []byte {
	sum := avro.NewRabin()
	sum.Write(avro.MustParse(schema).Canonical())
	return append(binary.LittleEndian.AppendUint64([]byte{0xC3, 0x01}, sum.Sum64()), body...)
}

func TestBothWireFormatsAreRead(t *testing.T) {
	asked := 0
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path != "/schemas/ids/258" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"schema": standing})
	}))
	defer registry.Close()
	r := reader(t, registry.URL)
	confluent := append([]byte{0, 0, 0, 1, 2}, body...)
	for _, value := range [][]byte{confluent, confluent, singleObject(standing, body)} {
		var got row
		if err := r.Decode(t.Context(), value, &got); err != nil {
			t.Fatal(err)
		}
		if got != (row{Citizen: "chen", Status: "LAPSED"}) {
			t.Errorf("%x is read as %+v", value, got)
		}
	}
	if asked != 1 {
		t.Errorf("the registry was asked %d times for one schema", asked)
	}
}

func TestWhatCannotBeReadIsSaid(t *testing.T) {
	r := reader(t, "")
	foreign := strings.Replace(standing, "citizen_id", "person_id", 1)
	for name, broken := range map[string]struct {
		value []byte
		says  string
	}{
		"empty":               {nil, "neither wire format"},
		"json":                {[]byte(`{"citizen_id":"chen"}`), "neither wire format"},
		"without a registry":  {append([]byte{0, 0, 0, 0, 7}, body...), "--registry"},
		"unknown fingerprint": {singleObject(foreign, body), "fingerprint"},
		"cut short":           {singleObject(standing, body[:3]), "does not fit"},
		"too long":            {append(singleObject(standing, body), 0), "1 bytes are left over"},
	} {
		err := r.Decode(t.Context(), broken.value, &row{})
		if err == nil || !strings.Contains(err.Error(), broken.says) {
			t.Errorf("%s: %v, which does not say %q", name, err, broken.says)
		}
		if err != nil && strings.Contains(err.Error(), "chen") {
			t.Errorf("%s: the error shows the value: %v", name, err)
		}
	}
	if _, err := NewReader(t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "vouch schemas show") {
		t.Errorf("a directory without schemas: %v", err)
	}
}
