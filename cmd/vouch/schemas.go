package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology"
)

func schemasCommand() *cobra.Command {
	return family("schemas", "List, show, register or check the schemas of the records",
		schemasListCommand(), schemasShowCommand(), schemasRegisterCommand(), schemasCheckCommand())
}

func schemasListCommand() *cobra.Command {
	var prefix string
	command := &cobra.Command{
		Use:   "list",
		Short: "List the schemas with file, fingerprint and subjects",
		Long: `list prints every schema with its file, its CRC-64-AVRO fingerprint, which stands
in single-object encoding, and the subjects under which a registry keeps it.
Records of the engine's own topics have no subject: they never need a registry.`,
		Example: `  vouch schemas list`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "NAME\tFILE\tFINGERPRINT\tSUBJECTS")
			for _, schema := range avro.Schemas() {
				var subjects []string
				for _, topic := range topology.RegisteredTopics() {
					if topic.Record == schema.Name {
						subjects = append(subjects, avro.Subject(prefix+topic.Name))
					}
				}
				fmt.Fprintf(table, "%s\t%s\t%016x\t%s\n", schema.Name, schema.File, schema.Fingerprint, strings.Join(subjects, " "))
			}
			return table.Flush()
		},
	}
	command.Flags().StringVar(&prefix, "prefix", topology.DefaultPrefix, "stands before the name of every topic")
	return command
}

func schemasShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Print a schema",
		Example: `  vouch schemas show Evidence > evidence.avsc`,
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			schema, found := avro.Find(args[0])
			if !found {
				return misused("there is no schema %s: `vouch schemas list` lists them", args[0])
			}
			fmt.Fprintln(command.OutOrStdout(), schema.Text)
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
			for _, schema := range avro.Schemas() {
				names = append(names, schema.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func schemasRegisterCommand() *cobra.Command {
	var prefix, url string
	command := &cobra.Command{
		Use:   "register --registry URL",
		Short: "Register the schemas of all topics",
		Long: `register writes the schema of every input and output under the subject of its
topic, unless it is there. One that could not read what an older version of its
subject wrote is not registered.`,
		Example: `  vouch schemas register --registry http://localhost:8081`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			if url == "" {
				return misused("--registry is missing: name the URL of the schema registry")
			}
			registry, err := avro.NewRegistry(url)
			if err != nil {
				return err
			}
			for _, topic := range topology.RegisteredTopics() {
				id, err := topology.Register(command.Context(), registry, prefix, topic)
				if err != nil {
					return err
				}
				fmt.Fprintf(command.OutOrStdout(), "%s has id %d under %s\n", topic.Record, id, avro.Subject(prefix+topic.Name))
			}
			return nil
		},
	}
	command.Flags().StringVar(&prefix, "prefix", topology.DefaultPrefix, "stands before the name of every topic")
	command.Flags().StringVar(&url, "registry", "", "URL of the schema registry")
	return command
}

func schemasCheckCommand() *cobra.Command {
	var mode string
	command := &cobra.Command{
		Use:   "check [--mode MODE] OLD… NEW",
		Short: "Check a changed schema against older ones",
		Long: `check says whether NEW is compatible with the OLD versions of it, oldest first.
BACKWARD: it reads what the last of them wrote; FORWARD: that one reads what it
writes; FULL: both; with _TRANSITIVE: not the last one only, but all of them.`,
		Example: `  vouch schemas check --mode FULL_TRANSITIVE v1.avsc v2.avsc v3.avsc`,
		Args:    arguments(cobra.MinimumNArgs(2)),
		RunE: func(command *cobra.Command, files []string) error {
			var texts []string
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					return fmt.Errorf("read the schema: %w", err)
				}
				texts = append(texts, string(text))
			}
			last := len(texts) - 1
			if err := avro.Compatible(texts[last], texts[:last], strings.ToUpper(mode)); err != nil {
				return fmt.Errorf("%s is not %s compatible: %w", filepath.Base(files[last]), strings.ToUpper(mode), err)
			}
			fmt.Fprintf(command.OutOrStdout(), "%s is %s compatible\n", filepath.Base(files[last]), strings.ToUpper(mode))
			return nil
		},
	}
	command.Flags().StringVar(&mode, "mode", "BACKWARD", "one of "+strings.Join(avro.Modes, ", "))
	return command
}
