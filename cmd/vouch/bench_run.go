package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/benchmarks"
)

func benchListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List what can be measured", Example: "  vouch bench list", Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, m := range benchmarks.Measures() {
				fmt.Fprintf(table, "%s\t%s\n", m.Name, m.About)
			}
			return table.Flush()
		},
	}
}

func benchRunCommand() *cobra.Command {
	var (
		kafka connection
		local bool
		out   string
		o     benchmarks.Options
	)
	command := &cobra.Command{
		Use:   "run [NAME…]",
		Short: "Measure the engine and its peers, and check what they wrote",
		Long: `run measures by name (see bench list), or everything. The systems run as processes
of their own, as an operator would start them, each in turn on the same broker.
Every run checks what came out against the rules, and fails if it differs. A line
of NDJSON a run goes to --out; bench report and bench compare read it.

Without --brokers the broker is one in this process's memory, which is good to
see that a measure works; its rows are marked and are never compared with those
of a real broker. --local-kafka starts a real one on this machine.`,
		Example: `  vouch bench run drain --scale 0.01
  vouch bench run --local-kafka --scale 1 --runs 3 --peers goka,bare --out results.ndjson
  vouch bench run open-loop --brokers localhost:9092 --out results.ndjson`,
		RunE: func(command *cobra.Command, names []string) (err error) {
			if err := checkBenchRun(o, names, local, kafka.brokers); err != nil {
				return err
			}
			if o.Program, err = os.Executable(); err != nil {
				return fmt.Errorf("bench: find this program: %w", err)
			}
			var to io.Writer = command.OutOrStdout()
			if out != "" {
				file, err := os.OpenFile(out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
				if err != nil {
					return fmt.Errorf("bench: open the results: %w", err)
				}
				defer file.Close()
				to = file
			}
			stop, err := openBenchBroker(command.Context(), &o, local, kafka.brokers)
			if err != nil {
				return err
			}
			defer stop()
			o.Names, o.Out, o.Command = names, to, strings.Join(append([]string{"vouch"}, os.Args[1:]...), " ")
			o.Say = func(format string, args ...any) { fmt.Fprintf(command.ErrOrStderr(), format+"\n", args...) }
			return benchmarks.Run(command.Context(), o)
		},
	}
	flags := command.Flags()
	flags.StringSliceVar(&kafka.brokers, "brokers", nil, "Kafka brokers, host:port, separated by commas (default: a broker in memory)")
	flags.BoolVar(&local, "local-kafka", false, "start a real broker on this machine, with deploy/local/kafka")
	flags.Float64Var(&o.Scale, "scale", 1, "size; what 1 is, benchmarks/README.md tells of each measure")
	flags.IntVar(&o.Runs, "runs", 1, "runs of each measure")
	flags.StringSliceVar(&o.Peers, "peers", nil, "systems to measure in turn with the engine: "+strings.Join(benchmarks.PeerNames(), ", "))
	flags.StringVar(&o.PeersAt, "peers-at", "benchmarks/peers", "folder in which the peers were built")
	flags.StringVar(&out, "out", "", "file to append results to (default: standard output)")
	return command
}

// checkBenchRun says what is wrong with a command line.
func checkBenchRun(o benchmarks.Options, names []string, local bool, brokers []string) error {
	if local && len(brokers) > 0 {
		return misused("--local-kafka starts a broker and --brokers names one: give one of them")
	}
	if o.Scale <= 0 || o.Scale > 10 {
		return misused("--scale %v: must be above 0 and at most 10", o.Scale)
	}
	if o.Runs < 1 {
		return misused("--runs %d: must be at least 1", o.Runs)
	}
	var known []string
	for _, m := range benchmarks.Measures() {
		known = append(known, m.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return misused("there is no measure %s, only %s", name, strings.Join(known, ", "))
		}
	}
	for _, name := range o.Peers {
		if !slices.Contains(benchmarks.PeerNames(), name) {
			return misused("--peers %s: there is no such peer, only %s", name, strings.Join(benchmarks.PeerNames(), ", "))
		}
	}
	return nil
}

// openBenchBroker finds or starts the broker that is measured on.
func openBenchBroker(ctx context.Context, o *benchmarks.Options, local bool, brokers []string) (stop func(), err error) {
	switch {
	case local:
		o.Broker = benchmarks.BrokerLocal
		o.Brokers, stop, err = benchmarks.StartLocal(ctx, os.Stderr)
	case len(brokers) > 0:
		o.Broker, o.Brokers, stop = benchmarks.BrokerGiven, brokers, func() {}
	default:
		o.Broker = benchmarks.BrokerEmbedded
		o.Brokers, stop, err = benchmarks.StartEmbedded()
	}
	return stop, err
}
