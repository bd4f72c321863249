package topology

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The topics, without prefix: SPEC section 2.
const (
	Roster   = "roster"
	Evidence = "evidence"
	Payout   = "payout"
	Clock    = "clock"

	CertificationCompleted = "certification-completed"
	CertificationRevoked   = "certification-revoked"
	ExpiryReminder         = "expiry-reminder"
	VisitRequested         = "visit-requested"
	Standing               = "standing"
	Alert                  = "alert"
	Quarantine             = "quarantine"

	Schedule = "schedule"
	Payee    = "payee"

	CertifierGroup = "certifier"
	CertifierTable = CertifierGroup + "-table"
	TimerGroup     = "timer"
	TimerTable     = TimerGroup + "-table"
)

// Inputs are the certifier's inputs in the order in which records of equal
// Kafka timestamps are applied.
var Inputs = []string{Roster, Evidence, Payout, Clock}

// inputsOf are the inputs of each group, in that order.
var inputsOf = map[string][]string{CertifierGroup: Inputs, TimerGroup: {Schedule}}

// DefaultPrefix stands before the name of every topic and group.
const DefaultPrefix = "vouch."

// Bounds of the topics.
const (
	// valueBytesMax is max.message.bytes of inputs and outputs, the broker's own
	// default. produce refuses a greater value, and names the line.
	valueBytesMax = 1<<20 + 12
	// quarantineBytesMax leaves room for an input at its limit with the headers
	// that say why it lies there.
	quarantineBytesMax = 2 * valueBytesMax
	// ReplicasWanted is the replication of new topics, where the cluster has
	// that many brokers.
	ReplicasWanted = 3
	// inSyncMin is the least min.insync.replicas of a replicated topic: with 1,
	// what one broker acknowledged may be lost with it.
	inSyncMin = 2
	// tickAheadMillisMax makes a broker refuse a tick of a clock that is ahead.
	tickAheadMillisMax = 300_000
	// createdTimeout is how long the brokers may take to make and to know a topic;
	// createdPause is the wait between two questions.
	createdTimeout = 30 * time.Second
	createdPause   = 50 * time.Millisecond
	// PartitionsDefault is the partition count of new topics.
	PartitionsDefault = 12
)

// topicSpec is what a topic needs so that nothing is lost and nothing is out
// of order.
type topicSpec struct {
	name    string
	demands map[string]string // a setting and the value that it must have
	creates map[string]string // a setting that topics create gives, and the operator may change
	shared  bool              // has the partition count that all share
	groups  []string          // those that read or write it
}

// topicSpecs lists every topic of SPEC section 2 that this program uses.
func topicSpecs() []topicSpec {
	log := map[string]string{"cleanup.policy": "delete", "message.timestamp.type": "CreateTime"}
	forever := map[string]string{"retention.ms": "-1", "retention.bytes": "-1"}
	compacted := map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"}
	with := func(settings map[string]string, more ...string) map[string]string {
		all := map[string]string{}
		for name, value := range settings {
			all[name] = value
		}
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return all
	}
	uncut := with(log, "retention.ms", "-1", "retention.bytes", "-1")
	certifier, timer := []string{CertifierGroup}, []string{TimerGroup}
	return []topicSpec{
		{name: Roster, demands: log, creates: forever, shared: true, groups: certifier},
		{name: Evidence, demands: log, creates: forever, shared: true, groups: certifier},
		{name: Payout, demands: log, creates: forever, shared: true, groups: certifier},
		{name: Clock, demands: with(log, "message.timestamp.after.max.ms", strconv.Itoa(tickAheadMillisMax)), creates: forever, shared: true, groups: certifier},
		{name: CertificationCompleted, demands: log, creates: forever, groups: certifier},
		{name: CertificationRevoked, demands: log, creates: forever, groups: certifier},
		{name: ExpiryReminder, demands: log, creates: forever, groups: timer},
		{name: VisitRequested, demands: log, creates: forever, groups: timer},
		{name: Standing, demands: compacted, creates: forever, shared: true, groups: timer},
		{name: Alert, demands: log, creates: forever, groups: certifier},
		{name: Quarantine, demands: log, creates: with(forever, "max.message.bytes", strconv.Itoa(quarantineBytesMax)), groups: []string{CertifierGroup, TimerGroup}},
		{name: Schedule, demands: uncut, shared: true, groups: []string{CertifierGroup, TimerGroup}},
		{name: Payee, demands: uncut, shared: true, groups: certifier},
		{name: CertifierTable, demands: compacted, creates: forever, shared: true, groups: certifier},
		{name: TimerTable, demands: compacted, creates: forever, shared: true, groups: timer},
	}
}

// specsOfGroup are the topics that a group reads or writes.
func specsOfGroup(group string) []topicSpec {
	return slices.DeleteFunc(topicSpecs(), func(spec topicSpec) bool { return !slices.Contains(spec.groups, group) })
}

// CreateTopics makes the topics that are missing and leaves the others as they
// are. Replication 0 is 3, or as many as the cluster has brokers; it returns
// what it took. It fails, with one sentence a topic, if after it the topics are
// not as they must be.
func CreateTopics(ctx context.Context, client *kgo.Client, prefix string, partitions, replication int) (created []string, replicas int, err error) {
	admin := kadm.NewClient(client)
	if replication == 0 {
		brokers, err := admin.ListBrokers(ctx)
		if err != nil {
			return nil, 0, fmt.Errorf("topics: count the brokers: %w", err)
		}
		replication = min(ReplicasWanted, len(brokers))
	}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = int32(createdTimeout.Milliseconds())
	for _, spec := range topicSpecs() {
		request.Topics = append(request.Topics, spec.creation(prefix, partitions, replication))
	}
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, replication, fmt.Errorf("topics: create them: %w", err)
	}
	var failed []error
	for _, topic := range answer.Topics {
		switch err := kerr.ErrorForCode(topic.ErrorCode); {
		case err == nil:
			created = append(created, topic.Topic)
		case !errors.Is(err, kerr.TopicAlreadyExists):
			failed = append(failed, fmt.Errorf("topics: create %s: %w%s", topic.Topic, err, because(topic.ErrorMessage)))
		}
	}
	slices.Sort(created)
	if len(failed) > 0 {
		return created, replication, errors.Join(failed...)
	}
	if err := awaitTopics(ctx, admin, created); err != nil {
		return created, replication, err
	}
	return created, replication, CheckTopics(ctx, client, prefix)
}

// creation asks for a topic.
func (s topicSpec) creation(prefix string, partitions, replication int) kmsg.CreateTopicsRequestTopic {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = prefix+s.name, int32(partitions), int16(replication)
	settings := map[string]string{}
	maps.Copy(settings, s.demands)
	maps.Copy(settings, s.creates)
	if replication > 1 {
		settings["min.insync.replicas"] = strconv.Itoa(inSyncMin)
	}
	for _, name := range sortedKeys(settings) {
		setting := kmsg.NewCreateTopicsRequestTopicConfig()
		setting.Name, setting.Value = name, kmsg.StringPtr(settings[name])
		topic.Configs = append(topic.Configs, setting)
	}
	return topic
}

// awaitTopics waits until every broker that is asked knows new topics: the one
// that made them tells the others afterwards.
func awaitTopics(ctx context.Context, admin *kadm.Client, names []string) error {
	ctx, stop := context.WithTimeout(ctx, createdTimeout)
	defer stop()
	for len(names) > 0 {
		topics, err := admin.ListTopics(ctx, names...)
		if err == nil && topics.Error() == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("topics: wait until the brokers know the new topics: %w", cmp.Or(err, topics.Error(), ctx.Err()))
		case <-time.After(createdPause):
		}
	}
	return nil
}

// CheckTopics demands of every topic what would otherwise lose data or order.
// The error has one sentence a mistake.
func CheckTopics(ctx context.Context, client *kgo.Client, prefix string) error {
	_, err := checkTopics(ctx, client, prefix, topicSpecs())
	return err
}

// checkTopics is CheckTopics for some of the topics; it also counts the
// partitions that they share.
func checkTopics(ctx context.Context, client *kgo.Client, prefix string, specs []topicSpec) (partitions int, err error) {
	admin := kadm.NewClient(client)
	var names []string
	for _, spec := range specs {
		names = append(names, prefix+spec.name)
	}
	topics, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return 0, fmt.Errorf("topics: list them: %w", err)
	}
	configs, err := admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return 0, fmt.Errorf("topics: read their settings: %w", err)
	}
	var mistakes []error
	inputBytes := 0
	for _, spec := range specs {
		topic, config := topics[prefix+spec.name], settingsOf(configs, prefix+spec.name)
		if topic.Err != nil && !errors.Is(topic.Err, kerr.UnknownTopicOrPartition) {
			mistakes = append(mistakes, fmt.Errorf("topic %s cannot be looked at: %w", prefix+spec.name, topic.Err))
			continue
		}
		if topic.Err != nil || len(topic.Partitions) == 0 {
			mistakes = append(mistakes, fmt.Errorf("topic %s is missing: make it with `vouch topics create`", prefix+spec.name))
			continue
		}
		if spec.shared {
			if partitions == 0 {
				partitions = len(topic.Partitions)
			}
			if len(topic.Partitions) != partitions {
				mistakes = append(mistakes, fmt.Errorf("topic %s has %d partitions and %s has %d: a citizen's records would not meet; delete the newer one and make it again with --partitions %d", prefix+spec.name, len(topic.Partitions), prefix+specs[0].name, partitions, partitions))
			}
		}
		if slices.Contains(Inputs, spec.name) {
			inputBytes = max(inputBytes, number(config["max.message.bytes"]))
		}
		mistakes = append(mistakes, checkSettings(prefix, spec, config, inputBytes)...)
		mistakes = append(mistakes, checkReplicas(prefix+spec.name, topic, config)...)
	}
	return partitions, errors.Join(mistakes...)
}

// batchLimits reads how large a batch each of some topics takes, by their full
// names. One of which the broker says nothing is left out.
func batchLimits(ctx context.Context, client *kgo.Client, prefix string, specs []topicSpec) (map[string]int32, error) {
	var names []string
	for _, spec := range specs {
		names = append(names, prefix+spec.name)
	}
	configs, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("topics: read their settings: %w", err)
	}
	limits := map[string]int32{}
	for _, name := range names {
		if limit := number(settingsOf(configs, name)["max.message.bytes"]); limit > 0 {
			limits[name] = int32(limit)
		}
	}
	return limits, nil
}

func checkSettings(prefix string, spec topicSpec, config map[string]string, inputBytes int) (mistakes []error) {
	for _, name := range sortedKeys(spec.demands) {
		want, is := spec.demands[name], config[name]
		if is == want || is == "" {
			continue // a broker that does not tell a setting (the embedded one) does not have it
		}
		mistakes = append(mistakes, fmt.Errorf("topic %s has %s=%s, must be %s: %s; set it with kafka-configs --alter", prefix+spec.name, name, is, want, whyDemanded[name]))
	}
	if is := number(config["max.message.bytes"]); spec.name == Quarantine && is > 0 && is < 2*inputBytes {
		mistakes = append(mistakes, fmt.Errorf("topic %s has max.message.bytes=%d, must be at least %d, twice that of the inputs: a record at their limit could not be put in quarantine; raise it with kafka-configs --alter", prefix+spec.name, is, 2*inputBytes))
	}
	return mistakes
}

// whyDemanded says what would go wrong.
var whyDemanded = map[string]string{
	"cleanup.policy":                 "records would be lost, or a table would grow for ever",
	"message.timestamp.type":         "the order of inputs and the time of events are the producers'",
	"message.timestamp.after.max.ms": "a clock that runs ahead would lapse people before their day",
	"retention.ms":                   "its reader purges it; by time it would lose what is not read yet",
	"retention.bytes":                "its reader purges it; by size it would lose what is not read yet",
}

func checkReplicas(name string, topic kadm.TopicDetail, config map[string]string) (mistakes []error) {
	replicas := len(topic.Partitions[0].Replicas)
	if is := number(config["min.insync.replicas"]); replicas > 1 && is < inSyncMin {
		mistakes = append(mistakes, fmt.Errorf("topic %s has %d replicas and min.insync.replicas=%d, must be at least %d: what one broker acknowledged would be lost with it; set it with kafka-configs --alter", name, replicas, is, inSyncMin))
	}
	if config["unclean.leader.election.enable"] == "true" {
		mistakes = append(mistakes, fmt.Errorf("topic %s has unclean.leader.election.enable=true, must be false: a replica that lags would become the truth; set it with kafka-configs --alter", name))
	}
	return mistakes
}

func settingsOf(all kadm.ResourceConfigs, topic string) map[string]string {
	settings := map[string]string{}
	for _, config := range all {
		if config.Name == topic {
			for _, setting := range config.Configs {
				settings[setting.Key] = setting.MaybeValue()
			}
		}
	}
	return settings
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func because(message *string) string {
	if message == nil || *message == "" {
		return ""
	}
	return ": " + *message
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
