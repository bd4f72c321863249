package topology

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kfake"
)

// EmbeddedBroker is a Kafka inside this process, in memory, for a demo or a
// first look. It forgets everything with the process, and is no broker for
// anything that matters: a crash may tear a transaction in it.
type EmbeddedBroker struct{ cluster *kfake.Cluster }

// StartEmbeddedBroker starts one on a free port of this machine.
func StartEmbeddedBroker() (*EmbeddedBroker, error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	return &EmbeddedBroker{cluster}, nil
}

// Addresses are host:port of its brokers.
func (b *EmbeddedBroker) Addresses() []string { return b.cluster.ListenAddrs() }

// Close ends it.
func (b *EmbeddedBroker) Close() { b.cluster.Close() }
