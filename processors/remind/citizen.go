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
	phone      *string
	lastSeenAt *schemas.Instant
	leads      []schemas.Lead
	weak       []schemas.Lead
	enrolments []enrolment                // sorted by code
	unknown    []schemas.ScheduledBenefit // that the catalogue does not know; sorted by code
}

// knows tells whether the last ScheduleEntry had any benefit in it.
func (c *Citizen) knows() bool { return len(c.enrolments)+len(c.unknown) > 0 }

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

// stands is how the citizen stands at a time. It is what was written last, if
// that is T₀ and the row is that of the last entry.
func (c *Citizen) stands(by schemas.Instant) []schemas.BenefitStanding {
	all := make([]schemas.BenefitStanding, len(c.enrolments))
	for i := range c.enrolments {
		n := &c.enrolments[i]
		reasons := append(make([]string, 0, len(n.reasons)+1), n.reasons...)
		if n.lapsed(by) {
			reasons = append(reasons, lapsed)
			slices.Sort(reasons)
		}
		all[i] = schemas.BenefitStanding{Benefit: n.benefit, Status: status(reasons), Reasons: reasons, DueOn: n.dueOn}
	}
	return all
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

// standing is the Standing of a time: it is of the last entry, or of the
// latest lapse that it shows, whichever is later.
func (c *Citizen) standing(id string, by schemas.Instant) *schemas.Standing {
	s := &schemas.Standing{CitizenID: id, At: c.at, Benefits: c.stands(by), Catalogue: c.catalogue.String()}
	for i := range c.enrolments {
		if n := &c.enrolments[i]; n.lapsed(by) {
			s.At = max(s.At, n.lapsesAt)
		}
	}
	return s
}

func equalStanding(a, b schemas.BenefitStanding) bool {
	return a.Benefit == b.Benefit && a.DueOn == b.DueOn && slices.Equal(a.Reasons, b.Reasons)
}
