package benchmarks

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/vouch-engine/vouch/topology"
)

// The kinds of brokers. Figures of different kinds say nothing of each other.
const (
	// BrokerEmbedded lives in the memory of the program that measures.
	BrokerEmbedded = "embedded"
	// BrokerLocal is the one of deploy/local, on this machine's own cores.
	BrokerLocal = "local"
	// BrokerGiven is whatever stands behind --brokers.
	BrokerGiven = "given"
)

// localKafka is the script that starts a real broker, seen from the root of
// this repository.
const localKafka = "deploy/local/kafka"

// StartEmbedded starts a broker in this process, for trying the measures out.
func StartEmbedded() (brokers []string, stop func(), err error) {
	broker, err := topology.StartEmbeddedBroker()
	if err != nil {
		return nil, nil, err
	}
	return broker.Addresses(), broker.Close, nil
}

// StartLocal starts a real broker on a free port. It has to be called at the
// root of this repository, where the script lies.
func StartLocal(ctx context.Context, progress *os.File) (brokers []string, stop func(), err error) {
	directory, err := os.MkdirTemp("", "vouch-kafka-")
	if err != nil {
		return nil, nil, fmt.Errorf("bench: make a directory for the broker: %w", err)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, nil, fmt.Errorf("bench: find a port for the broker: %w", err)
	}
	_, port, _ := strings.Cut(address, ":")
	var said bytes.Buffer
	start := exec.CommandContext(ctx, localKafka, "start", "--dir", directory, "--port", port)
	start.Stdout, start.Stderr = &said, progress
	if err := start.Run(); err != nil {
		os.RemoveAll(directory)
		return nil, nil, fmt.Errorf("bench: start a broker with %s: %w: call it at the root of the repository, or name brokers with --brokers", localKafka, err)
	}
	stop = func() {
		end := exec.Command(localKafka, "stop", "--dir", directory)
		end.Stderr = progress
		if err := end.Run(); err != nil {
			fmt.Fprintf(progress, "bench: stop the broker in %s: %v\n", directory, err)
		}
		os.RemoveAll(directory)
	}
	return strings.Split(lastLine(said.Bytes()), ","), stop, nil
}
