package city

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/schemas/catalogue"
)

// Skew says how unequal citizens are in the number of their records.
type Skew int

// The skews.
const (
	Uniform Skew = iota // all alike
	Zipf                // of exponent 1: of a million citizens, one has a twentieth of the records
)

// Config says which city. The zero value is the year 2024 of 2,000 citizens
// under the shipped catalogue.
type Config struct {
	Seed      uint64
	Citizens  int                  // 0: 2,000; at most about 4 billion
	Catalogue *catalogue.Catalogue // nil: the shipped one
	From, To  schemas.Date         // the first day and the one behind the last; both 0: 2024
	Tick      time.Duration        // between two ticks, a divisor or a multiple of a minute; 0: a day, from midnight to midnight
	Skew      Skew                 // of evidence
	// Unseen is so many people more, who draw one benefit each, all until the
	// same month's end, and of whom nobody hears anything: what is due to one of
	// them is due to all on the same day, so that they make storms.
	Unseen int
	// Wire adds bad records that no facts file can express: of a schema that
	// nobody knows, cut off. WriteFacts fails on them.
	Wire bool
}

// City is a city. It never changes and may be shared.
type City struct {
	config   Config
	rules    *catalogue.Catalogue
	calendar calendar
	ranks    ranks
	strands  []strand
	cut      *avro.Encoder[schemas.Evidence] // of records that are cut off

	benefits []int // by weight
	kinds    kindTables
	own      [][]int // of benefits that accept little: the kinds; nil of all others
	pays     []schemas.Instant
}

// kindTables hold evidence kinds by their place in the catalogue, each as often
// as it has weight.
type kindTables struct {
	automatic, weak                 []int
	selfService, counter, homeVisit []int
	suspend, review                 []int
	deaths                          [][]int // by lineage, in the order of their codes, those of none last
}

// New makes a city. Its error has one sentence a mistake.
func New(config Config) (*City, error) {
	if config.Citizens == 0 {
		config.Citizens = 2_000
	}
	if config.Catalogue == nil {
		config.Catalogue = catalogue.Default()
	}
	if config.From == 0 && config.To == 0 {
		config.From, config.To = schemas.DateOf(2024, 1, 1), schemas.DateOf(2025, 1, 1)
	}
	if config.Tick == 0 {
		config.Tick = 24 * time.Hour
	}
	c := &City{config: config, rules: config.Catalogue}
	c.tabulate()
	if err := c.complaints(); err != nil {
		return nil, err
	}
	c.calendar = newCalendar(c.rules.Zone, config.From, config.To)
	for first := config.From; first < config.To; first = first.EndOfMonth() + 1 {
		year, month, _ := first.Civil()
		if day := schemas.DateOf(year, month, payDay); config.From <= day && day < config.To {
			c.pays = append(c.pays, midnight(c.rules.Zone, day))
		}
	}
	c.cut = avro.NewInternalEncoder[schemas.Evidence]()
	c.settle()
	c.strands = c.weave()
	return c, nil
}

func (c *City) complaints() error {
	var all []error
	complain := func(wrong bool, format string, args ...any) {
		if wrong {
			all = append(all, fmt.Errorf("city: "+format, args...))
		}
	}
	complain(c.config.Citizens < citizensMin, "%d citizens: it takes %d for every way of being certified", c.config.Citizens, citizensMin)
	complain(c.config.Citizens > citizensMax, "%d citizens: at most %d", c.config.Citizens, citizensMax)
	complain(c.config.Unseen < 0 || c.config.Unseen > unseenMax, "%d people whom nobody sees: must be 0 to %d", c.config.Unseen, unseenMax)
	complain(c.config.From >= c.config.To, "it ends on %s, no day after it begins on %s", c.config.To, c.config.From)
	complain(!c.config.From.InRange() || !c.config.To.InRange(), "its days lie outside 1850 to 2199")
	complain(c.config.Tick < time.Minute || c.config.Tick%time.Minute != 0, "ticks every %v: must be whole minutes", c.config.Tick)
	for _, need := range []struct {
		table []int
		what  string
	}{
		{c.kinds.automatic, "strong kind that comes by itself"}, {c.kinds.weak, "weak kind"}, {c.kinds.selfService, "kind by self-service"},
		{c.kinds.counter, "kind at a counter"}, {c.kinds.homeVisit, "kind by a home visit"},
		{c.kinds.suspend, "kind that suspends"}, {c.kinds.review, "kind to review"},
	} {
		complain(len(need.table) == 0, "the catalogue has no %s", need.what)
	}
	complain(len(c.kinds.deaths) < 2, "the catalogue has death reports of %d lineages, and a city needs 2", len(c.kinds.deaths))
	return errors.Join(all...)
}

// Catalogue is what the city lives under.
func (c *City) Catalogue() *catalogue.Catalogue { return c.rules }

// Citizens is how many there are.
func (c *City) Citizens() int { return c.config.Citizens }

// UnseenDueOn is the day on which those whom nobody sees are due.
func (c *City) UnseenDueOn() schemas.Date { return c.config.From.AddMonths(unseenMonths).EndOfMonth() }

// LastDay is the last day of the city's time.
func (c *City) LastDay() schemas.Date { return c.config.To - 1 }

// tabulate reads from the catalogue what is drawn from.
func (c *City) tabulate() {
	for i := range c.rules.Kinds {
		kind := &c.rules.Kinds[i]
		weight, listed := kindWeights[kind.Code]
		if !listed {
			weight = 1
		}
		if table := c.kinds.of(kind); table != nil {
			*table = append(*table, slices.Repeat([]int{i}, weight)...)
		}
	}
	c.kinds.deaths = deaths(c.rules)
	for i := range c.rules.Benefits {
		c.benefits = append(c.benefits, slices.Repeat([]int{i}, c.trait(i).weight)...)
		c.own = append(c.own, ownKinds(c.rules, i))
	}
}

// of is the table that a kind belongs in, nil if there is none.
func (t *kindTables) of(kind *catalogue.Kind) *[]int {
	switch {
	case kind.Strength == catalogue.Weak:
		return &t.weak
	case kind.Effect == catalogue.Suspend:
		return &t.suspend
	case kind.Effect == catalogue.Review:
		return &t.review
	case kind.Strength == catalogue.Adverse:
		return nil
	case kind.Channel == "SELF_SERVICE":
		return &t.selfService
	case kind.Channel == "COUNTER":
		return &t.counter
	case kind.Channel == "HOME_VISIT":
		return &t.homeVisit
	}
	return &t.automatic
}

// deaths lists the death reports by lineage, those of none last.
func deaths(rules *catalogue.Catalogue) (all [][]int) {
	var lineages []string
	for i := range rules.Kinds {
		if kind := &rules.Kinds[i]; kind.Effect == catalogue.Death && kind.Lineage != "" && !slices.Contains(lineages, kind.Lineage) {
			lineages = append(lineages, kind.Lineage)
		}
	}
	slices.Sort(lineages)
	for _, lineage := range append(lineages, "") {
		var kinds []int
		for i := range rules.Kinds {
			if kind := &rules.Kinds[i]; kind.Effect == catalogue.Death && kind.Lineage == lineage {
				kinds = append(kinds, i)
			}
		}
		if kinds != nil {
			all = append(all, kinds)
		}
	}
	return all
}

// ownKinds lists what a benefit accepts if that is not every strong kind.
func ownKinds(rules *catalogue.Catalogue, benefit int) (accepted []int) {
	strong := 0
	for kind := range rules.Kinds {
		if rules.Kinds[kind].Strength != catalogue.Strong {
			continue
		}
		strong++
		if rules.Benefits[benefit].Accepts.Has(kind) {
			accepted = append(accepted, kind)
		}
	}
	if len(accepted) == strong {
		return nil
	}
	return accepted
}

func (c *City) trait(benefit int) trait {
	if known, listed := traits[c.rules.Benefits[benefit].Code]; listed {
		return known
	}
	return anyBenefit
}
