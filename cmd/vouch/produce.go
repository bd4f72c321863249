package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology"
)

func produceCommand() *cobra.Command {
	var (
		kafka  connection
		format string
	)
	command := &cobra.Command{
		Use:   "produce --brokers BROKERS [--format single|confluent] FACTS",
		Short: "Write a facts file to the topics",
		Long: `produce writes each line of a facts file to its topic, at its Kafka timestamp, a
clock line to every partition, and returns when all replicas have acknowledged
all of it. - reads standard input. A value that does not fit its schema is
written as the JSON it is: the engine puts it in quarantine, as decide does.`,
		Example: `  vouch produce --brokers localhost:9092 facts.ndjson
  vouch produce --brokers localhost:9092 --registry http://localhost:8081 --format confluent - < facts.ndjson`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			return produce(command, &kafka, format, args[0])
		},
	}
	kafka.flags(command)
	command.Flags().StringVar(&format, "format", "", "wire format, single or confluent (default: confluent with --registry, else single)")
	return command
}

func produce(command *cobra.Command, kafka *connection, format, path string) error {
	codec, err := kafka.codecOf(format)
	if err != nil {
		return err
	}
	from, err := openFacts(path)
	if err != nil {
		return err
	}
	defer from.Close()
	client, err := kafka.client(command.Context(), topology.ProduceOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	encoders, err := topology.NewEncoders(command.Context(), codec, kafka.prefix)
	if err != nil {
		return err
	}
	bar := newBar(from)
	lines, err := topology.Produce(command.Context(), client, kafka.prefix, encoders, bar, bar.show)
	bar.end()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	fmt.Fprintf(command.OutOrStdout(), "%d lines written and acknowledged\n", lines)
	return nil
}

// codecOf is the codec that writes a wire format.
func (c *connection) codecOf(format string) (*avro.Codec, error) {
	switch {
	case format == "single":
		return avro.New(nil), nil
	case format == "confluent" && c.registry == "":
		return nil, misused("--format confluent needs --registry")
	case format != "" && format != "confluent":
		return nil, misused("--format %s: must be single or confluent", format)
	}
	registry, err := c.openRegistry()
	if err != nil {
		return nil, err
	}
	return avro.New(registry), nil
}

// bar tells on standard error, if that is a terminal, how much of a file has
// been read.
type bar struct {
	from     io.Reader
	size     int64 // 0 if nobody knows
	read     atomic.Int64
	terminal bool
}

func newBar(from io.Reader) *bar {
	b := &bar{from: from}
	if file, is := from.(*os.File); is {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			b.size = info.Size()
		}
	}
	info, err := os.Stderr.Stat()
	b.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	return b
}

// Read reads on and counts.
func (b *bar) Read(into []byte) (int, error) {
	n, err := b.from.Read(into)
	b.read.Add(int64(n))
	return n, err
}

const barWidth = 30

func (b *bar) show(lines int) {
	switch {
	case !b.terminal:
	case b.size == 0:
		fmt.Fprintf(os.Stderr, "\r%d lines", lines)
	default:
		done := min(1, float64(b.read.Load())/float64(b.size))
		fmt.Fprintf(os.Stderr, "\r[%-*.*s] %3.0f %% %d lines", barWidth, int(done*barWidth), "##############################", 100*done, lines)
	}
}

// end leaves the line to what comes next.
func (b *bar) end() {
	if b.terminal {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
