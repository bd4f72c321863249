package kafka

import (
	"encoding/json"
	"maps"
	"strconv"
	"testing"
)

// What is put in comes out, once and in order, and again after a clean stop
// with its state, and after the state is lost.
func TestWhatIsPutComesOut(t *testing.T) {
	w := newWorld(t)
	values := w.some(0, 2000)
	stop := w.start(w.config("a"))
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	add(values, w.some(2000, 3000))
	stop = w.start(w.config("a"))
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	before := w.tables.rows()
	w.tables = newTables()
	add(values, w.some(3000, 3001))
	w.start(w.config("b"))
	w.awaitCaughtUp()
	w.same(w.lines("out"), counted(values))
	after := w.tables.rows()
	before["key"+strconv.Itoa(3000%37)] += "3000 "
	if !maps.Equal(before, after) {
		text, _ := json.Marshal(after)
		t.Fatalf("the restored table differs: %s", text)
	}
}
