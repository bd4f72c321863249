package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology"
)

func runCommand() *cobra.Command {
	return family("run", "Run a part of the engine until it is told to end", runCertifierCommand(), runTimerCommand(), runClockCommand(), runAllCommand())
}

func runCertifierCommand() *cobra.Command {
	e := engine{run: topology.RunCertifier}
	command := e.command(&cobra.Command{
		Use:   "certifier --brokers BROKERS --state DIR",
		Short: "Decide evidence, roster and payouts the moment they arrive",
		Long: `certifier reads the roster, evidence, payouts and the clock, and writes
certifications, revocations and alerts, each exactly once. Several instances
share the work; each needs a name and a state directory of its own, and the same
ones after a restart. A state directory that is lost is rebuilt from Kafka.

Started with another catalogue than before it decides every citizen anew before
it takes records, which announces and revokes nothing.`,
		Example: `  vouch run certifier --brokers localhost:9092 --state /var/lib/vouch
  vouch run certifier --brokers localhost:9092 --state ./state-b --instance b --listen :9090`,
	})
	e.resendFlag(command)
	return command
}

func runTimerCommand() *cobra.Command {
	e := engine{run: topology.RunTimer}
	return e.command(&cobra.Command{
		Use:   "timer --brokers BROKERS --state DIR",
		Short: "Remind, send for visits, and say how everybody stands",
		Long: `timer reads what the certifier writes to schedule, ticks among it, and writes
reminders, visits and the standing of every citizen, each exactly once. Several
instances share the work, as those of the certifier do. Start it with the
certifier's catalogue, and before it when the catalogue changes.

A timer that is added later, or has lost its table in Kafka, is told everything
again by run certifier --resend.`,
		Example: `  vouch run timer --brokers localhost:9092 --state /var/lib/vouch-timer
  vouch run timer --brokers localhost:9092 --state ./timer-b --instance b --listen :9091`,
	})
}

func runAllCommand() *cobra.Command {
	var every time.Duration
	e := engine{run: func(ctx context.Context, o topology.RunOptions) error {
		if every < tickMin {
			return misused("--tick %v: must be at least %v", every, tickMin)
		}
		return topology.RunAll(ctx, o, every)
	}}
	command := e.command(&cobra.Command{
		Use:   "all --brokers BROKERS --state DIR [--tick 1m]",
		Short: "Run certifier, timer and clock in one process",
		Long: `all is certifier, timer and clock in one process, for a small deployment or a
try. Certifier and timer have directories of their own below --state, and one
listener. Several instances share the work; their clocks do no harm.`,
		Example: `  vouch run all --brokers localhost:9092 --state /var/lib/vouch --listen :9090`,
	})
	e.resendFlag(command)
	command.Flags().DurationVar(&every, "tick", time.Minute, "time between two ticks")
	return command
}

// engine is a command that runs groups.
type engine struct {
	run     func(context.Context, topology.RunOptions) error
	options topology.RunOptions
}

// command adds what all of them have.
func (e *engine) command(command *cobra.Command) *cobra.Command {
	var (
		kafka         connection
		catalogueFile string
	)
	o := &e.options
	command.Args = arguments(cobra.NoArgs)
	command.RunE = func(command *cobra.Command, _ []string) (err error) {
		if o.State == "" {
			return misused("--state is missing: name the directory of the local state")
		}
		if o.CommitInterval < 0 || o.CommitInterval > topology.CommitIntervalMax {
			return misused("--commit-interval %v: must be from 0 to %v", o.CommitInterval, topology.CommitIntervalMax)
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
		limitMemory()
		return e.run(command.Context(), *o)
	}
	kafka.flags(command)
	flags := command.Flags()
	flags.StringVar(&o.State, "state", "", "directory of the local state")
	flags.StringVar(&o.Instance, "instance", "0", "name of this instance, unique in its group and the same after a restart")
	flags.StringVar(&catalogueFile, "catalogue", "", "catalogue file (default: the shipped one)")
	flags.DurationVar(&o.CommitInterval, "commit-interval", 0, "at least this long between two commits, such as 100ms: longer transactions cost the engine and the brokers less, and outputs are visible later; a backlog does not wait (default 0: commit as soon as there is something to commit)")
	flags.StringVar(&o.Listen, "listen", "", "address of /metrics, /ready and /live, such as :9090 (default: none)")
	return command
}

// resendFlag adds the flag of what runs a certifier.
func (e *engine) resendFlag(command *cobra.Command) {
	command.Flags().BoolVar(&e.options.Resend, "resend", false, "first write every schedule entry and payee claim again, for a timer or guard that was added later or lost its table")
}

// tickMin is the least time between two ticks.
const tickMin = time.Second

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
			if every < tickMin {
				return misused("--tick %v: must be at least %v", every, tickMin)
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
