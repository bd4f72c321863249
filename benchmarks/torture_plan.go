package benchmarks

import "math/rand/v2"

// When an instance is killed.
const (
	// Of so many kills one is early; of so many, among several instances, one is
	// followed by the return of the victim; in one round of so many the last
	// instance is killed when it has taken over from the others.
	earlyOneOf, backOneOf, takeoverOneOf = 5, 3, 4
	// One round of so many begins with a clean end.
	cleanOneOf = 2
)

// kill is one of one instance.
type kill struct {
	group    string
	instance int     // of the group
	early    bool    // while it starts, not when it is seen at work
	moment   float64 // of the window, 0 to 1
	back     bool    // it comes back at once
	takeover bool    // when it has taken over from all others of its group, which are dead by then
}

// plan makes rounds of kills in all groups at once. Those in a round happen at
// the same time, each when its own moment comes, but takeovers, which are last.
// After each round but the last no instance is left, so that the next slice can
// be produced.
func plan(random *rand.Rand, kills, instances int) (rounds [][]kill) {
	for kills > 0 {
		var round []kill
		for _, group := range groups {
			round = append(round, planGroup(random, group, instances)...)
		}
		round = round[:min(kills, len(round))]
		kills -= len(round)
		rounds = append(rounds, round)
	}
	return rounds
}

// planGroup is a group's part of a round.
func planGroup(random *rand.Rand, group string, instances int) (round []kill) {
	takeover := instances > 1 && random.IntN(takeoverOneOf) == 0
	for place, instance := range random.Perm(instances) {
		k := kill{group: group, instance: instance, early: random.IntN(earlyOneOf) == 0, moment: random.Float64()}
		if last := place == instances-1; takeover && last {
			k.early, k.takeover = false, true
		} else if !takeover && instances > 1 && random.IntN(backOneOf) == 0 {
			first := k
			first.moment, first.back = random.Float64(), true
			round = append(round, first)
		}
		round = append(round, k)
	}
	return round
}
