package catalogue

// places finds codes. Those of all that is held of a citizen are looked up at
// every step, so that it is a hash table of its own, which samples a code where
// a map would hash all of it. Codes that share a slot stand in the next ones.
type places struct {
	codes []string      // by place
	slots [slots]uint16 // a code's place plus 1; 0 is empty
}

const slots = 2 * kindsMax // at least half of them are empty

// add gives a code the next place. One beyond the bounds of a catalogue, which
// is refused for it, is not found.
func (p *places) add(code string) {
	p.codes = append(p.codes, code)
	if len(p.codes) > kindsMax {
		return
	}
	slot := slotOf(code)
	for p.slots[slot] != 0 {
		slot = (slot + 1) % slots
	}
	p.slots[slot] = uint16(len(p.codes))
}

// find is the place of a code.
func (p *places) find(code string) (int, bool) {
	for slot := slotOf(code); p.slots[slot] != 0; slot = (slot + 1) % slots {
		if place := int(p.slots[slot]) - 1; p.codes[place] == code {
			return place, true
		}
	}
	return 0, false
}

// slotOf samples a code.
func slotOf(code string) uint {
	n := len(code)
	if n == 0 {
		return 0
	}
	return (uint(n) + 7*uint(code[0]) + 31*uint(code[n/2]) + 127*uint(code[n-1])) % slots
}
