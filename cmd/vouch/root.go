package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// environmentPrefix stands before a flag's name, in capitals, in the
// environment: VOUCH_BROKERS is --brokers.
const environmentPrefix = "VOUCH_"

func root() *cobra.Command {
	command := &cobra.Command{
		Use:   "vouch",
		Short: "Certify, as evidence arrives, who is alive and entitled",
		Long: `vouch reads who draws which benefit and what departments saw of them, and says,
exactly once and the moment a strong record arrives, that a person is certified.

Every flag can also come from the environment (--brokers as VOUCH_BROKERS) or
from a YAML file given with --config; a flag beats the environment, which beats
the file. Results go to standard output, everything else to standard error.
Exit status: 0 done, 1 failed, 2 wrong usage.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          arguments(cobra.NoArgs),
		RunE:          func(command *cobra.Command, _ []string) error { return command.Help() },
		PersistentPreRunE: func(command *cobra.Command, _ []string) error {
			return settle(command)
		},
	}
	command.PersistentFlags().String("config", "", "YAML file with values for flags")
	command.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see `%s --help`", err, command.CommandPath())}
	})
	command.AddCommand(
		demoCommand(),
		runCommand(),
		decideCommand(),
		topicsCommand(),
		produceCommand(),
		tailCommand(),
		statusCommand(),
		schemasCommand(),
		catalogueCommand(),
		benchCommand(),
	)
	return command
}

// settle gives every flag that was not on the command line its value from the
// environment, or else from the configuration file.
func settle(command *cobra.Command) error {
	values := koanf.New(".")
	path, _ := command.Flags().GetString("config")
	if path == "" {
		path = os.Getenv(environmentPrefix + "CONFIG")
	}
	if path != "" {
		if err := values.Load(file.Provider(path), yaml.Parser()); err != nil {
			return fmt.Errorf("read the configuration %s: %w", path, err)
		}
	}
	fromEnvironment := env.Provider(".", env.Opt{Prefix: environmentPrefix, TransformFunc: func(name, value string) (string, any) {
		return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, environmentPrefix)), "_", "-"), value
	}})
	if err := values.Load(fromEnvironment, nil); err != nil {
		return fmt.Errorf("read the environment: %w", err)
	}
	var failed error
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		if flag.Changed || failed != nil || !values.Exists(flag.Name) {
			return
		}
		if err := command.Flags().Set(flag.Name, values.String(flag.Name)); err != nil {
			failed = misused("--%s from the environment or %s: %v", flag.Name, path, err)
		}
	})
	return failed
}

// logger writes to standard error.
func logger() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }
