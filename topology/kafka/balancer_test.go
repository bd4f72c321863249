package kafka

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Shares are complete and disjoint, nobody has more than one above anybody
// else, and nobody gives up more than that demands.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.IntRange(1, 9).Draw(t, "members")
		partitions := rapid.IntRange(0, 40).Draw(t, "partitions")
		owned := make([][]int32, members)
		for p := range int32(partitions + 3) { // some are owned of a topic that has shrunk
			if owner := rapid.IntRange(-1, members-1).Draw(t, "owner"); owner >= 0 {
				owned[owner] = append(owned[owner], p)
			}
		}
		before := make([][]int32, members)
		for i := range owned {
			before[i] = slices.Clone(owned[i])
		}
		result := shares(owned, partitions)
		taken := map[int32]bool{}
		least, most := partitions, 0
		for member, mine := range result {
			least, most = min(least, len(mine)), max(most, len(mine))
			kept := 0
			for _, p := range mine {
				if taken[p] || p < 0 || int(p) >= partitions {
					t.Fatalf("partition %d: given twice, or there is none", p)
				}
				taken[p] = true
				if slices.Contains(before[member], p) {
					kept++
				}
			}
			valid := 0
			for _, p := range before[member] {
				if int(p) < partitions {
					valid++
				}
			}
			if kept < min(valid, len(mine)) {
				t.Fatalf("member %d owned %d, has %d and kept %d", member, valid, len(mine), kept)
			}
		}
		if len(taken) != partitions || most-least > 1 {
			t.Fatalf("%d of %d partitions given, between %d and %d each", len(taken), partitions, least, most)
		}
		// Who owned more keeps the one more: otherwise one partition moves for nothing.
		for a := range result {
			for b := range result {
				if len(result[a]) < len(result[b]) && len(before[a]) > len(before[b]) && len(before[a]) > len(result[a]) && len(before[b]) < len(result[b]) {
					t.Fatalf("member %d owned %d and has %d, member %d owned %d and has %d", a, len(before[a]), len(result[a]), b, len(before[b]), len(result[b]))
				}
			}
		}
	})
}
