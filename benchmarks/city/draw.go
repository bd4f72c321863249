package city

import "math/bits"

// draw is a row of numbers that depends on nothing but where it began:
// splitmix64. (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
// Generators", 2014.)
type draw uint64

// tag keeps the numbers of one use apart from those of another.
type tag uint64

// The uses of numbers.
const (
	tagPerson tag = iota + 1
	tagID
	tagPayee
	tagAnnual
	tagStrong
	tagWeak
	tagStranger
	tagAgain
	tagCertified
	tagDeath
	tagDeathReport
	tagFalseDeath
	tagSuspension
	tagReview
	tagChange
	tagPayout
	tagPaidAgain
	tagBad
	tagName
)

func (c *City) draw(of tag, i uint64) draw { return draw(mix(c.key(of) + i)) }

// key is where the numbers of one use begin.
func (c *City) key(of tag) uint64 { return mix(c.config.Seed + uint64(of)*golden) }

const golden = 0x9e3779b97f4a7c15

// mix is splitmix64's finalizer. It maps numbers one to one.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (d *draw) next() uint64 {
	*d += golden
	return mix(uint64(*d))
}

// below draws a number from 0 to n-1.
func (d *draw) below(n uint64) uint64 {
	number, _ := bits.Mul64(d.next(), n)
	return number
}

// between draws a number from a to b.
func (d *draw) between(a, b int) int { return a + int(d.below(uint64(b-a+1))) }

// falls says whether a draw falls into a share.
func (d *draw) falls(s share) bool { return d.below(whole) < uint64(s) }

// pick draws one of several.
func pick[T any](d *draw, from []T) T { return from[d.below(uint64(len(from)))] }

// rank draws a citizen among size, by the city's skew. Zipf is of exponent 1,
// in steps of an octave: the places 2^k to 2^(k+1)-1 are as likely together as
// those of any other k. Who has which place is shuffled, since ranks say what
// befalls people.
func (c *City) rank(d *draw, size uint64) uint64 {
	if c.config.Skew == Uniform {
		return d.below(size)
	}
	octave := d.below(uint64(bits.Len64(size)))
	place := min(1<<octave+d.below(1<<octave), size)
	return c.scatter(place-1, size)
}

// scatter maps 0..size-1 one to one onto itself, neighbours far apart. size is
// below 2^32.
func (c *City) scatter(i, size uint64) uint64 {
	const prime = 4294967291 // 2^32-5: divides no size
	return (i%size*(prime%size) + size/3) % size
}
