package city

import (
	"slices"
	"strconv"

	"github.com/vouch-engine/vouch/schemas"
)

// Way is how somebody comes to be certified.
type Way int

// The ways.
const (
	ByData    Way = iota // by what departments saw
	ByPhone              // by themselves, on the phone
	AtCounter            // at a counter
	ByVisit              // at home
	ByNobody             // nothing shows that they are alive
)

// Fate is what befalls somebody within the year.
type Fate int

// The fates.
const (
	Lives       Fate = iota
	Dies             // and departments report it, one after the other
	Misreported      // is reported dead by mistake
	Suspended        // goes to prison, or is missing for a while
	Reviewed         // emigrates, has payments returned, ...
)

// span is a row of ranks: from the first to the one behind the last.
type span struct{ from, to uint64 }

func (s span) size() uint64         { return s.to - s.from }
func (s span) has(rank uint64) bool { return s.from <= rank && rank < s.to }

// ranks say whose rank means what. Fates are the first ones of ByData.
type ranks struct {
	ways  [5]span // by Way
	fates [5]span // by Fate
	died  span    // of ByNobody: one report of the death comes, which confirms nothing
}

// settle gives everybody their rank.
func (c *City) settle() {
	people, at := uint64(c.config.Citizens), uint64(0)
	for way, part := range []share{shareData, sharePhone, shareCounter, shareVisit} {
		size := max(1, people*uint64(part)/whole)
		c.ranks.ways[way] = span{at, at + size}
		at += size
	}
	c.ranks.ways[ByNobody] = span{at, people}
	at = 0
	for fate, rate := range [5]uint64{Dies: perYearDeath, Misreported: perYearFalse, Suspended: perYearSuspend, Reviewed: perYearReview} {
		if fate != int(Lives) {
			size := min(c.perYear(rate), people/10)
			c.ranks.fates[fate] = span{at, at + size}
			at += size
		}
	}
	c.ranks.fates[Lives] = span{at, c.ranks.ways[ByData].to}
	nobody := c.ranks.ways[ByNobody]
	c.ranks.died = span{nobody.from, nobody.from + (nobody.size()+2)/3}
}

// perYear is how many of something the city has over its span: at least one.
func (c *City) perYear(rate uint64) uint64 {
	return max(1, uint64(c.config.Citizens)*rate/whole*uint64(c.config.To-c.config.From)/daysPerYear)
}

// Person is somebody in the city.
type Person struct {
	Rank     int // 0 to Citizens-1
	ID       string
	Name     Name
	Woman    bool
	Way      Way
	Fate     Fate
	BirthOn  schemas.Date
	Benefits []int // by their place in the catalogue; at most 3
	Region   string
	Phone    string // empty: none
	Payee    string
	Since    schemas.Date // from when the benefits are drawn
}

// Person gives somebody by rank.
func (c *City) Person(rank int) Person {
	var p person
	c.person(uint64(rank), &p)
	name, woman := c.name(p.rank)
	return Person{
		Rank: rank, ID: c.id(p.rank), Name: name, Woman: woman, Way: c.way(p.rank), Fate: c.fate(p.rank), BirthOn: p.birthOn,
		Benefits: slices.Clone(p.benefits), Region: p.region, Phone: p.phone, Payee: p.payee, Since: p.since,
	}
}

// person is Person while it is drawn, with room for its benefits.
type person struct {
	rank                 uint64
	birthOn, since       schemas.Date
	region, phone, payee string
	benefits             []int
	room                 [3]int
}

func (c *City) person(rank uint64, p *person) {
	d := c.draw(tagPerson, rank)
	*p = person{rank: rank}
	main := c.mainBenefit(rank)
	p.benefits = append(p.room[:0], main)
	trait := c.trait(main)
	age := d.between(trait.youngest, trait.oldest)
	p.birthOn = c.config.From.AddMonths(-12*age) - schemas.Date(d.below(365))
	p.since = max(p.birthOn+30, c.config.From-schemas.Date(d.between(400, 5_000)))
	p.region = pick(&d, regions)
	if !d.falls(shareNoPhone) {
		p.phone = "139" + digits(d.next(), 8)
	}
	p.payee = c.payee(rank)
	c.moreBenefits(&d, p, age)
}

// mainBenefit is the first that somebody draws.
func (c *City) mainBenefit(rank uint64) int {
	d := draw(mix(c.key(tagPerson) - rank)) // apart from person's own draw
	return pick(&d, c.benefits)
}

// moreBenefits adds others that go with the main one, and now and then one
// that does not.
func (c *City) moreBenefits(d *draw, p *person, age int) {
	want := 1
	if number := share(d.below(whole)); number < shareThreeBenefits {
		want = 3
	} else if number < shareThreeBenefits+shareTwoBenefits {
		want = 2
	}
	if excluded := c.rules.Benefits[p.benefits[0]].ExclusiveWith; len(excluded) > 0 && d.falls(shareExclusive) {
		other, _ := c.rules.BenefitIndex(pick(d, excluded))
		p.benefits = append(p.benefits, other)
	}
	for tries := 0; len(p.benefits) < want && tries < 8; tries++ {
		other := pick(d, c.benefits)
		trait := c.trait(other)
		fits := trait.youngest <= age && age <= trait.oldest && c.own[other] == nil && !slices.Contains(p.benefits, other)
		for _, held := range p.benefits {
			fits = fits && !slices.Contains(c.rules.Benefits[held].ExclusiveWith, c.rules.Benefits[other].Code)
		}
		if fits {
			p.benefits = append(p.benefits, other)
		}
	}
}

// payee is the account of a citizen, or of those that they share one with.
func (c *City) payee(rank uint64) string {
	holder := rank
	const block, crowd = 1_000, 1_000 * shareCrowd / whole // of so many ranks, the first ones share
	switch place := share(rank+block/2) % block; {
	case place < crowd:
		holder -= uint64(place) % crowdSize
	case place < crowd+block*shareCouple/whole:
		holder -= uint64(place-crowd) % 2
	}
	account := c.draw(tagPayee, holder)
	return "6217" + digits(account.next(), 15)
}

// way is how the citizen of a rank comes to be certified.
func (c *City) way(rank uint64) Way {
	for way, span := range c.ranks.ways {
		if span.has(rank) {
			return Way(way)
		}
	}
	return ByNobody // a stranger
}

// fate is what befalls the citizen of a rank.
func (c *City) fate(rank uint64) Fate {
	for fate, span := range c.ranks.fates {
		if span.has(rank) {
			return Fate(fate)
		}
	}
	return Lives
}

// id is a citizen's id, an opaque token of 16 hexadecimal digits. No two ranks
// have the same.
func (c *City) id(rank uint64) string { return hex(mix(c.key(tagID) + rank)) }

// hex is a number as 16 hexadecimal digits.
func hex(number uint64) string {
	const letters = "0123456789abcdef"
	var text [16]byte
	for i := range text {
		text[i] = letters[number>>(60-4*i)&15]
	}
	return string(text[:])
}

// digits is a number's last decimal digits.
func digits(number uint64, width int) string {
	text := strconv.FormatUint(number, 10)
	for len(text) < width {
		text = "0" + text
	}
	return text[len(text)-width:]
}
