package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vouch-engine/vouch/benchmarks"
)

func tortureCommand() *cobra.Command {
	var (
		kafka connection
		o     benchmarks.TortureOptions
	)
	command := &cobra.Command{
		Use:   "torture --brokers BROKERS",
		Short: "Kill certifiers and timers at random, and compare what they wrote with the rules",
		Long: `torture makes up a city, writes the greater part of its facts in slices to
topics of its own, and kills the certifiers and timers that work on them with
SIGKILL, at random, while they work; once the timers alone, again and again
within one tick on which thousands fire. What a reader of committed records then
sees must be exactly what decide gives for these facts, in each partition in the
same order. Fresh instances must restore the same rows into empty directories,
and then decide the rest as exactly. At least three of four kills must have found
lag or an open transaction.`,
		Example: `  vouch bench torture --brokers localhost:9092
  vouch bench torture --brokers localhost:9092 --kills 50 --citizens 40000 --instances 2 --seed 7`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) (err error) {
			if o.Kills < 1 || o.Instances < 1 {
				return misused("--kills and --instances must be at least 1")
			}
			if o.Program, err = os.Executable(); err != nil {
				return fmt.Errorf("torture: find this program: %w", err)
			}
			o.Flags, o.Prefix, o.Registry = kafka.given(command), kafka.prefix, kafka.registry
			o.Connect = kafka.connector(command.Context())
			o.Summary, o.Progress = command.OutOrStdout(), command.ErrOrStderr()
			return benchmarks.Torture(command.Context(), o)
		},
	}
	kafka.flags(command)
	flags := command.Flags()
	flags.IntVar(&o.Kills, "kills", 20, "how often to kill")
	flags.IntVar(&o.Citizens, "citizens", 12_000, "people in the city; more make more work")
	flags.IntVar(&o.Instances, "instances", 1, "certifiers at once, and as many timers")
	flags.Uint64Var(&o.Seed, "seed", 1, "of the city and of the kills")
	return command
}

// given are the flags of the connection as a command was given them, but prefix
// and registry: for another vouch that is to connect in the same way.
func (c *connection) given(command *cobra.Command) (flags []string) {
	named := new(cobra.Command)
	new(connection).flags(named)
	command.Flags().Visit(func(flag *pflag.Flag) {
		switch {
		case flag.Name == "prefix" || flag.Name == "registry" || named.Flags().Lookup(flag.Name) == nil:
		case flag.Name == "brokers":
			flags = append(flags, "--brokers="+strings.Join(c.brokers, ","))
		default:
			flags = append(flags, "--"+flag.Name+"="+flag.Value.String())
		}
	})
	return flags
}
