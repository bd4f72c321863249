// Package city makes up a city: who draws which benefits, what departments saw
// of them over a year, what was paid, and what went wrong on the way. It feeds
// the demo, the tests that kill and the benchmarks with the same facts.
//
// Law: a fact is a function of the seed and of its place, of nothing else. No
// clock is read, no map is walked, no float is added, so that the same seed
// gives the same bytes on any machine; and nothing is remembered from one fact
// to the next, so that memory does not grow with the city or with the years.
//
// How that goes: the facts are those of some twenty strands (visits to the
// doctor, taps of bus cards, deaths, pay runs, ...). The i-th fact of a strand
// is at a known time, times rise with i, and everything about it is drawn from
// numbers that begin at hash(seed, strand, i). A Stream merges the strands by
// time. What is said again (repeated, corrected, retracted) is an earlier fact
// made once more. Citizens are ranks 0 to Citizens-1; what befalls them is
// arranged by rank, and their ids hide it.
package city
