package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/benchmarks"
)

func demoCommand() *cobra.Command {
	var o benchmarks.DemoOptions
	command := &cobra.Command{
		Use:   "demo [--citizens N] [--seed S] [--serve]",
		Short: "Show a year of a made-up city on a broker inside the process",
		Long: `demo makes up a city, writes a year of it to an embedded broker, lets certifier
and timer decide it, tells what happened to a few people and to all, and checks
every record against the offline decision. It needs nothing but this program and
ends by itself. The same seed tells the same story; its last line says how many
were certified by data, by phone, by visit, and how many lapsed.`,
		Example: `  vouch demo
  vouch demo --citizens 20000 --seed 7
  vouch demo --serve --listen localhost:9090`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			if o.Listen != "" && !o.Serve {
				return misused("--listen needs --serve: without it the demo ends before anybody can look")
			}
			if o.Serve {
				o.Logger = logger()
			}
			o.Out, o.Progress = command.OutOrStdout(), progressLine()
			return benchmarks.Demo(command.Context(), o)
		},
	}
	flags := command.Flags()
	flags.IntVar(&o.Citizens, "citizens", 2_000, "citizens of the city")
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of the city")
	flags.BoolVar(&o.Serve, "serve", false, "stay up until Ctrl-C, with the addresses printed")
	flags.StringVar(&o.Listen, "listen", "", "with --serve: address of /metrics, /ready and /live, such as localhost:9090 (default: none)")
	return command
}

// progressLine shows a text in place of the last one on standard error, if
// that is a terminal.
func progressLine() func(text string) {
	info, err := os.Stderr.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return func(text string) { fmt.Fprintf(os.Stderr, "\r\x1b[K%s", text) }
}
