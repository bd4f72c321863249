package remind

import (
	"encoding/hex"
	"slices"

	"github.com/vouch-engine/vouch/schemas"
)

// NoTick is the clock of a timer that has seen no tick: it is before every
// lapse, so that nobody has lapsed.
const NoTick schemas.Instant = -1 << 62

// The reasons that this package gives or asks for; the others are the
// certifier's.
const (
	lapsed   = "lapsed"
	deceased = "deceased"
)

// Citizen is the last ScheduleEntry of a citizen, with what the catalogue said
// of it when it came. The zero value is a citizen of whom nothing is known,
// which is as good as one who draws nothing.
type Citizen struct {
	at         schemas.Instant // the entry's Kafka timestamp
	clock      schemas.Instant // the certifier's when it wrote the entry, or NoTick
	catalogue  catalogueHash   // under which the instants were set
	region     string
	phone      optional[string]
	lastSeenAt optional[schemas.Instant]
	leads      []schemas.Lead
	weak       []schemas.Lead
	enrolments []enrolment                // sorted by code
	unknown    []schemas.ScheduledBenefit // that the catalogue does not know; sorted by code
}

// knows tells whether the last ScheduleEntry had any benefit in it.
func (c *Citizen) knows() bool { return len(c.enrolments)+len(c.unknown) > 0 }

// optional is a value that may be missing, in the place where a pointer to it
// would be one more piece of memory a row.
type optional[T any] struct {
	value T
	given bool
}

func given[T any](value *T) (o optional[T]) {
	if value != nil {
		o = optional[T]{*value, true}
	}
	return o
}

// pointer points to a copy of the value in room, or nowhere if it is missing.
func (o *optional[T]) pointer(room *T) *T {
	if !o.given {
		return nil
	}
	*room = o.value
	return room
}

// enrolment is one benefit of a citizen.
type enrolment struct {
	benefit, department string
	dueOn               schemas.Date
	reasons             []string // sorted; never lapsed
	lapsesAt            schemas.Instant
	visitAt             schemas.Instant
	remindAt            []schemas.Instant // by stage
}

// catalogueHash is a catalogue's hash, in bytes.
type catalogueHash [8]byte

func (h catalogueHash) String() string { return hex.EncodeToString(h[:]) }

// latest is the time by which enrolments of the row have lapsed when the
// timer's last tick was T₀. The certifier's clock is ahead of T₀ only for a
// timer whose table was lost, or was added later: what had lapsed by then is
// lapsed at once there too, not good until the next tick.
func (c *Citizen) latest(clock schemas.Instant) schemas.Instant {
	return max(clock, c.clock)
}

func (n *enrolment) lapsed(by schemas.Instant) bool { return n.lapsesAt <= by }

// standsLike tells whether a citizen stands by a time as by another row and its
// time: in the same benefits, with the same reasons and due dates.
func (c *Citizen) standsLike(by schemas.Instant, other *Citizen, otherBy schemas.Instant) bool {
	if len(c.enrolments) != len(other.enrolments) {
		return false
	}
	for i := range c.enrolments {
		a, b := &c.enrolments[i], &other.enrolments[i]
		if a.benefit != b.benefit || a.dueOn != b.dueOn || a.lapsed(by) != b.lapsed(otherBy) || !slices.Equal(a.reasons, b.reasons) {
			return false
		}
	}
	return true
}

// status follows from the reasons.
func status(reasons []string) schemas.Status {
	switch {
	case slices.Contains(reasons, deceased):
		return schemas.Terminated
	case slices.ContainsFunc(reasons, func(reason string) bool { return reason != lapsed }):
		return schemas.Suspended
	case len(reasons) > 0:
		return schemas.Lapsed
	}
	return schemas.Good
}

// standing is a Standing and what it holds, in one piece of memory, of which a
// month's end asks for a million. It is enough for most citizens.
type standing struct {
	schemas.Standing
	benefits [2]schemas.BenefitStanding
	reasons  [2]string
}

// standing is how the citizen stands at a time, of the last entry, or of the
// latest lapse that it shows, whichever is later. It is what was written last,
// if the time is T₀ and the row is that of the last entry.
func (r *Rules) standing(c *Citizen, id string, by schemas.Instant) *schemas.Standing {
	s := &standing{Standing: schemas.Standing{CitizenID: id, At: c.at, Catalogue: r.hashText(c.catalogue)}}
	s.Benefits = slices.Grow(s.benefits[:0], len(c.enrolments))
	all := s.reasons[:0]
	for i := range c.enrolments {
		n := &c.enrolments[i]
		from := len(all)
		all = append(all, n.reasons...)
		if n.lapsed(by) {
			s.At = max(s.At, n.lapsesAt)
			all = append(all, lapsed)
		}
		reasons := all[from:len(all):len(all)]
		slices.Sort(reasons)
		s.Benefits = append(s.Benefits, schemas.BenefitStanding{Benefit: n.benefit, Status: status(reasons), Reasons: reasons, DueOn: n.dueOn})
	}
	return &s.Standing
}
