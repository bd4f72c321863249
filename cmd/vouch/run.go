package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology"
)

func runCommand() *cobra.Command {
	return family("run", "Run a part of the engine until it is told to end", runCertifierCommand(), runClockCommand())
}

func runCertifierCommand() *cobra.Command {
	var (
		kafka         connection
		catalogueFile string
		o             topology.RunOptions
	)
	command := &cobra.Command{
		Use:   "certifier --brokers BROKERS --state DIR",
		Short: "Decide evidence, roster and payouts the moment they arrive",
		Long: `certifier reads the roster, evidence, payouts and the clock, and writes
certifications, revocations and alerts, each exactly once. Several instances
share the work; each needs a name and a state directory of its own, and the same
ones after a restart. A state directory that is lost is rebuilt from Kafka.`,
		Example: `  vouch run certifier --brokers localhost:9092 --state /var/lib/vouch
  vouch run certifier --brokers localhost:9092 --state ./state-b --instance b --listen :9090`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) (err error) {
			if o.State == "" {
				return misused("--state is missing: name the directory of the local state")
			}
			if o.Client, err = kafka.options(); err != nil {
				return err
			}
			if o.Registry, err = kafka.openRegistry(); err != nil {
				return err
			}
			if o.Catalogue, err = openCatalogue(catalogueFile); err != nil {
				return err
			}
			o.Brokers, o.Prefix, o.Logger = kafka.brokers, kafka.prefix, logger()
			tradeMemory()
			return topology.RunCertifier(command.Context(), o)
		},
	}
	kafka.flags(command)
	flags := command.Flags()
	flags.StringVar(&o.State, "state", "", "directory of the local state")
	flags.StringVar(&o.Instance, "instance", "0", "name of this instance, unique in its group and the same after a restart")
	flags.StringVar(&catalogueFile, "catalogue", "", "catalogue file (default: the shipped one)")
	flags.StringVar(&o.Listen, "listen", "", "address of /metrics, /ready and /live, such as :9090 (default: none)")
	return command
}

func runClockCommand() *cobra.Command {
	var (
		kafka connection
		every time.Duration
	)
	command := &cobra.Command{
		Use:   "clock --brokers BROKERS [--tick 1m]",
		Short: "Write the time to the log, tick by tick",
		Long: `clock writes a tick on every partition of the clock topic. All that the engine
knows of the time is what the log says, so that without a clock nothing lapses.
Two clocks at once say the same and do no harm.`,
		Example: `  vouch run clock --brokers localhost:9092
  vouch run clock --brokers localhost:9092 --tick 10s`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			if every < time.Second {
				return misused("--tick %v: must be at least 1s", every)
			}
			registry, err := kafka.openRegistry()
			if err != nil {
				return err
			}
			client, err := kafka.client(command.Context(), topology.ProduceOptions()...)
			if err != nil {
				return err
			}
			defer client.Close()
			encoders, err := topology.NewClockEncoders(command.Context(), avro.New(registry), kafka.prefix)
			if err != nil {
				return err
			}
			return topology.RunClock(command.Context(), client, kafka.prefix, encoders, every, logger())
		},
	}
	kafka.flags(command)
	command.Flags().DurationVar(&every, "tick", time.Minute, "time between two ticks")
	return command
}
