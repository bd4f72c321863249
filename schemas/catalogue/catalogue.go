// Package catalogue holds what is law in one place: which departments there
// are, which benefits they pay and until when a proof certifies them, and
// which kinds of evidence show what. Source: SPEC section 1.
//
// Law: a catalogue is valid as a whole or not at all. Load reports every
// mistake at once, each with file, line and field, and what it gives never
// changes. Its canonical form, RFC 8785 JSON with every default filled in,
// every list of coded things sorted by code, without provenance and without
// what is absent, is the same however the file was written; its hash travels
// in every output record.
package catalogue

import (
	"crypto/sha256"
	_ "embed" // for the shipped catalogue
	"encoding/hex"
	"sync"

	"github.com/vouch-engine/vouch/schemas"
)

// Catalogue is a valid catalogue. The place of a benefit or kind in its slice
// is a compact name for it, within this catalogue.
type Catalogue struct {
	Version       int64
	Zone          schemas.Zone
	SendAt        int // minutes after midnight at which the day's messages begin
	SpreadMinutes int // minutes over which they are spread
	Departments   []Department
	Benefits      []Benefit // sorted by code
	Kinds         []Kind    // sorted by code
	DeathNeeds    int       // lineages of death reports that confirm a death
	PayeeLimit    int       // citizens that may share a payee
	NoLapse       []Span
	Scopes        []KindSet // the distinct sets of strong kinds that benefits accept

	benefits  map[string]int
	kinds     map[string]int
	canonical []byte
	hash      string
}

// Name is what something is called.
type Name struct {
	Zh string `json:"zh"`
	En string `json:"en"`
}

// Department pays benefits and sends evidence.
type Department struct {
	Code string
	Name Name
}

// Rule says until when a proof certifies: see Benefit.Until.
type Rule string

// The rules.
const (
	RollingMonthEnd Rule = "rolling_month_end"
	RollingDay      Rule = "rolling_day"
	FixedWindow     Rule = "fixed_window"
	Anniversary     Rule = "anniversary"
)

// Benefit is a pension or an allowance.
type Benefit struct {
	Code             string
	Name             Name
	Department       string
	CycleMonths      int
	Rule             Rule
	Windows          []Window // in the order of the year
	RenewAfterMonths int
	GraceDays        int
	Reminders        []int // days before the due date, falling
	VisitDays        int
	Accepts          KindSet // strong kinds that count
	Scope            int     // in Catalogue.Scopes
	CountsFrom       *schemas.Date
	ExemptUntilAge   *int
	ExclusiveWith    []string
	Eligibility      string // a CEL expression, empty if there is none
}

// Window is a span of days within each year.
type Window struct{ From, To MonthDay }

// MonthDay is a day of every year; never 02-29.
type MonthDay struct{ Month, Day int }

// Strength says what evidence shows.
type Strength string

// The strengths.
const (
	Strong  Strength = "strong"  // by itself, that the person is alive
	Weak    Strength = "weak"    // not by itself
	Adverse Strength = "adverse" // the contrary, or a hindrance
)

// Effect is what adverse evidence does.
type Effect string

// The effects.
const (
	Death   Effect = "death"
	Suspend Effect = "suspend"
	Lift    Effect = "lift"
	Review  Effect = "review"
)

// Kind is a kind of evidence.
type Kind struct {
	Code            string
	Name            Name
	Source          string // the department that sends it
	Strength        Strength
	Channel         string // strong: AUTOMATIC, SELF_SERVICE, COUNTER or HOME_VISIT
	Assurance       byte   // 'A' to 'D'; 0 for adverse kinds
	Effect          Effect // adverse only
	Lineage         string // death: reports of one lineage copy one another; empty if it has none
	Reason          string // suspend
	LiftedByStrong  bool
	LiftedBy        KindSet
	NamedInLiftedBy bool // some kind's LiftedBy has this one
}

// Span is a span of days, both ends in it, on which nobody lapses.
type Span struct {
	Benefit  string // empty: all
	From, To schemas.Date
}

// KindSet is a set of evidence kinds by their place in Catalogue.Kinds.
type KindSet [kindsMax / 64]uint64

// Has reports whether kind is in the set.
func (s KindSet) Has(kind int) bool { return s[kind/64]&(1<<(kind%64)) != 0 }

// Add puts kind into the set.
func (s *KindSet) Add(kind int) { s[kind/64] |= 1 << (kind % 64) }

// BenefitIndex is the place of a benefit in Benefits.
func (c *Catalogue) BenefitIndex(code string) (int, bool) {
	i, known := c.benefits[code]
	return i, known
}

// KindIndex is the place of an evidence kind in Kinds.
func (c *Catalogue) KindIndex(code string) (int, bool) {
	i, known := c.kinds[code]
	return i, known
}

// Canonical is the catalogue's canonical form: see the package comment.
func (c *Catalogue) Canonical() []byte { return c.canonical }

// Hash is the first 8 bytes of SHA-256 of the canonical form, in hex.
func (c *Catalogue) Hash() string { return c.hash }

func hashOf(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:8])
}

//go:embed bozhou.yaml
var bozhou []byte

// DefaultText is the text of the shipped catalogue, which has the shape that
// the newspaper gave Bozhou; it says of each entry whether a public source
// names it.
func DefaultText() []byte { return bozhou }

// Default is the shipped catalogue.
var Default = sync.OnceValue(func() *Catalogue {
	c, err := Load("bozhou.yaml", bozhou)
	if err != nil {
		panic("catalogue: the shipped catalogue has mistakes: " + err.Error())
	}
	return c
})
