package store

import (
	"testing"

	"pgregory.net/rapid"
)

// TestPlacesModel: whatever is put, moved and removed in whatever order, the
// table has the places of a map. Hashes that meet at its two ends make long
// probes, which wrap around, the rule.
func TestPlacesModel(t *testing.T) { rapid.Check(t, checkPlaces) }

func checkPlaces(t *rapid.T) {
	var table places
	defer func() { table.free() }()
	hashes, last := map[place]uint64{}, place(0)
	free := func(hash uint64) (slot int) {
		for slot = table.home(hash); ; slot = table.after(slot) {
			if _, at := table.at(slot); at == 0 {
				return slot
			}
		}
	}
	slotOf := func(at place) int {
		slot, is := table.slot(hashes[at], at)
		if !is {
			t.Fatalf("place %d with hash %d is not found", at, hashes[at])
		}
		return slot
	}
	anyOf := func(t *rapid.T) place {
		for at := place(rapid.IntRange(1, int(last)+1).Draw(t, "place")); at <= last; at++ {
			if _, is := hashes[at]; is {
				return at
			}
		}
		return 0
	}
	t.Repeat(map[string]func(*rapid.T){
		"put": func(t *rapid.T) {
			for range rapid.IntRange(1, 200).Draw(t, "rows") {
				last++
				hash := uint64(rapid.IntRange(-4, 300).Draw(t, "hash"))
				table.reserve()
				table.set(free(hash), hash, last)
				table.rows++
				hashes[last] = hash
			}
		},
		"move": func(t *rapid.T) {
			if at := anyOf(t); at != 0 {
				last++
				table.set(slotOf(at), hashes[at], last)
				hashes[last] = hashes[at]
				delete(hashes, at)
			}
		},
		"remove": func(t *rapid.T) {
			for range rapid.IntRange(1, 200).Draw(t, "rows") {
				if at := anyOf(t); at != 0 {
					table.remove(slotOf(at))
					delete(hashes, at)
				}
			}
		},
		"shrink": func(*rapid.T) { table.shrink() },
		"": func(t *rapid.T) {
			checkTaken(t, &table, len(hashes))
			for at := range hashes {
				slotOf(at)
			}
			if table.count() > 0 {
				if _, is := table.slot(uint64(rapid.IntRange(-4, 300).Draw(t, "hash")), last+1); is {
					t.Fatalf("a place is found that was never put")
				}
			}
		},
	})
}

// checkTaken: so many slots are taken as there are rows.
func checkTaken(t *rapid.T, table *places, rows int) {
	taken := 0
	for slot := range table.count() {
		if _, at := table.at(slot); at != 0 {
			taken++
		}
	}
	same(t, "rows, and slots that are taken", []int{table.rows, taken}, []int{rows, rows})
}

// TestPlacesShrink: a table keeps no slots for rows that are gone.
func TestPlacesShrink(t *testing.T) {
	const rows, segmentBytes = 50_000, 64 << 10
	m := newMemory(true)
	defer m.free()
	forget := func(share int64) {
		places, _ := m.freeze()
		m.complete(places)
		m.trim(share, m.used, segmentBytes)
	}
	for n := range uint64(rows) {
		m.put(string(appendPrefix(nil, int32(n), kindRow)), []byte("row"), segmentBytes)
	}
	forget(64 << 20)
	same(t, "rows", m.places.rows, rows)
	forget(m.places.bytes() / 2)
	forget(m.places.bytes() / 2)
	if most := slackSegments * segmentBytes; m.places.bytes() > int64(most) {
		t.Errorf("the table takes %d bytes for %d rows", m.places.bytes(), m.places.rows)
	}
}
