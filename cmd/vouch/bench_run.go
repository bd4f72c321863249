package main

import (
	"fmt"
	"io"
	"os"
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
		out   string
		o     benchmarks.Options
	)
	command := &cobra.Command{
		Use:   "run [NAME…] --brokers BROKERS",
		Short: "Measure the engine against a broker, and check what it wrote",
		Long: `run measures by name (see bench list), or everything. The certifier runs as a
process of its own, as an operator would start it. Every run checks what came out
against the rules, and fails if it differs. A line of NDJSON a run goes to --out.`,
		Example: `  deploy/local/kafka run -- sh -c 'vouch bench run drain --brokers $VOUCH_TEST_BROKERS'
  vouch bench run --brokers localhost:9092 --scale 0.1 --runs 3 --out results.ndjson`,
		RunE: func(command *cobra.Command, names []string) (err error) {
			if len(kafka.brokers) == 0 {
				return misused("--brokers is missing: name the Kafka brokers as host:port")
			}
			if o.Scale <= 0 || o.Scale > 10 {
				return misused("--scale %v: must be above 0 and at most 10", o.Scale)
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
			o.Names, o.Brokers, o.Out = names, kafka.brokers, to
			o.Say = func(format string, args ...any) { fmt.Fprintf(command.ErrOrStderr(), format+"\n", args...) }
			return benchmarks.Run(command.Context(), o)
		},
	}
	command.Flags().StringSliceVar(&kafka.brokers, "brokers", nil, "Kafka brokers, host:port, separated by commas")
	command.Flags().Float64Var(&o.Scale, "scale", 1, "size: 1 is 100,000 citizens and 1.2 million records of evidence")
	command.Flags().IntVar(&o.Runs, "runs", 1, "runs of each measure")
	command.Flags().StringVar(&out, "out", "", "file to append results to (default: standard output)")
	return command
}
