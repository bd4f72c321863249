package kafka

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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

// A partition of all topics goes to one member, what moves is nobody's until
// its owner has given it up, and of two that claim one the later is right: the
// other has been away.
func TestBalance(t *testing.T) {
	topics := []string{"one", "two"}
	member := func(name string, generation int32, owned ...int32) kmsg.JoinGroupResponseMember {
		return kmsg.JoinGroupResponseMember{MemberID: name, ProtocolMetadata: copartitioned{}.JoinGroupMetadata(topics, map[string][]int32{"one": owned, "two": owned}, generation)}
	}
	for name, c := range map[string]struct {
		members []kmsg.JoinGroupResponseMember
		want    map[string][]int32
	}{
		"stays":    {[]kmsg.JoinGroupResponseMember{member("a", 5, 1, 3), member("b", 5, 0, 2)}, map[string][]int32{"a": {1, 3}, "b": {0, 2}}},
		"moves":    {[]kmsg.JoinGroupResponseMember{member("a", 5, 0, 1, 2, 3), member("b", -1)}, map[string][]int32{"a": {0, 1}, "b": nil}},
		"given up": {[]kmsg.JoinGroupResponseMember{member("a", 6, 0, 1), member("b", 6)}, map[string][]int32{"a": {0, 1}, "b": {2, 3}}},
		"away":     {[]kmsg.JoinGroupResponseMember{member("a", 4, 2, 3), member("b", 5, 0, 1), member("c", 5, 2, 3)}, map[string][]int32{"a": nil, "b": {0, 1}, "c": {2}}},
	} {
		balancer, subscribed, err := copartitioned{}.MemberBalancer(c.members)
		if err != nil || len(subscribed) != len(topics) {
			t.Fatalf("%s: %v, subscribed to %v", name, err, subscribed)
		}
		plan := copartitioned{}.Balance(balancer.(*kgo.ConsumerBalancer), map[string]int32{"one": 4, "two": 4})
		for _, assigned := range plan.IntoSyncAssignment() {
			got, err := copartitioned{}.ParseSyncAssignment(assigned.MemberAssignment)
			if err != nil {
				t.Fatal(err)
			}
			for _, topic := range topics {
				slices.Sort(got[topic])
				if !slices.Equal(got[topic], c.want[assigned.MemberID]) {
					t.Errorf("%s: %s gets %v of %s, want %v", name, assigned.MemberID, got[topic], topic, c.want[assigned.MemberID])
				}
			}
		}
	}
}
