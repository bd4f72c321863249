package benchmarks

import "math/rand/v2"

// When an instance is killed.
const (
	// Of so many instances in a round, one is killed early first; of so many,
	// among several, one is killed twice at work; in one round of so many the
	// last instance of a group is killed when it has taken over from the others.
	earlyOneOf, twiceOneOf, takeoverOneOf = 4, 3, 4
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
		ofGroups := make([][]kill, len(groups))
		for i, group := range groups {
			ofGroups[i] = planGroup(random, group, instances)
		}
		for place := 0; len(ofGroups[0])+len(ofGroups[1]) > place; place++ {
			for _, all := range ofGroups {
				if place < len(all) {
					round = append(round, all[place])
				}
			}
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
		k := kill{group: group, instance: instance}
		again := func(early bool) {
			first := k
			first.early, first.back, first.moment = early, true, random.Float64()
			round = append(round, first)
		}
		if k.takeover = takeover && place == instances-1; !k.takeover {
			if random.IntN(earlyOneOf) == 0 {
				again(true)
			}
			if instances > 1 && random.IntN(twiceOneOf) == 0 {
				again(false)
			}
		}
		k.moment = random.Float64()
		round = append(round, k)
	}
	return round
}
