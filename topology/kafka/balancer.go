package kafka

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// copartitioned is the group's balancer: a partition of all inputs goes to one
// member as a whole, members keep what they have as far as the balance allows,
// and what moves is given up by its owner before another gets it (cooperative:
// a rebalance does not disturb partitions that stay). franz-go's own sticky
// balancer would place each topic by itself.
type copartitioned struct{}

// consumerMetadataVersion is the first version with a generation, by which two
// claims to one partition are told apart.
const consumerMetadataVersion = 2

func (copartitioned) ProtocolName() string { return "vouch-copartitioned" }
func (copartitioned) IsCooperative() bool  { return true }

func (copartitioned) JoinGroupMetadata(topics []string, owned map[string][]int32, generation int32) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version = consumerMetadataVersion
	meta.Topics = topics
	meta.Generation = generation
	for _, topic := range topics {
		if len(owned[topic]) > 0 {
			meta.OwnedPartitions = append(meta.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition{Topic: topic, Partitions: owned[topic]})
		}
	}
	return meta.AppendTo(nil)
}

func (copartitioned) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	return kgo.ParseConsumerSyncAssignment(assignment)
}

func (c copartitioned) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	b, err := kgo.NewConsumerBalancer(c, members)
	return b, b.MemberTopics(), err
}

// Balance makes the plan for all topics as if they were one.
func (copartitioned) Balance(b *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	var partitions int32
	for _, count := range topics {
		partitions = max(partitions, count)
	}
	plan := b.NewPlan()
	for member, mine := range shares(claims(b), int(partitions)) {
		m, meta := b.MemberAt(member)
		for _, topic := range meta.Topics {
			for _, partition := range mine {
				if partition < topics[topic] {
					plan.AddPartition(m, topic, partition)
				}
			}
		}
	}
	plan.AdjustCooperative(b)
	return plan
}

// claims lists, member by member, the partitions it owns. Of two that claim
// the same one the later generation is right.
func claims(b *kgo.ConsumerBalancer) [][]int32 {
	type claim struct {
		member     int
		generation int32
	}
	owners, member := map[int32]claim{}, 0
	b.EachMember(func(_ *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		for _, topic := range meta.OwnedPartitions {
			for _, partition := range topic.Partitions {
				if owner, taken := owners[partition]; !taken || owner.generation < meta.Generation {
					owners[partition] = claim{member, meta.Generation}
				}
			}
		}
		member++
	})
	owned := make([][]int32, member)
	for partition, owner := range owners {
		owned[owner.member] = append(owned[owner.member], partition)
	}
	return owned
}

// shares divides the partitions: nobody has more than one above anybody else,
// and as few as possible change hands. Those who own most are the ones to keep
// one more.
func shares(owned [][]int32, partitions int) [][]int32 {
	members := len(owned)
	byWealth := make([]int, members)
	for i := range byWealth {
		byWealth[i] = i
	}
	slices.SortStableFunc(byWealth, func(a, b int) int { return cmp.Compare(len(owned[b]), len(owned[a])) })
	free := map[int32]bool{}
	for p := range int32(partitions) {
		free[p] = true
	}
	result := make([][]int32, members)
	quotas := make([]int, members)
	for rank, member := range byWealth {
		quotas[member] = partitions / members
		if rank < partitions%members {
			quotas[member]++
		}
		slices.Sort(owned[member])
		for _, partition := range owned[member] {
			if free[partition] && len(result[member]) < quotas[member] {
				result[member] = append(result[member], partition)
				delete(free, partition)
			}
		}
	}
	member := 0
	for p := range int32(partitions) {
		if !free[p] {
			continue
		}
		for len(result[member]) == quotas[member] {
			member++
		}
		result[member] = append(result[member], p)
	}
	return result
}
