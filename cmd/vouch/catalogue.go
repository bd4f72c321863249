package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/schemas/catalogue"
)

func catalogueCommand() *cobra.Command {
	on := func(use, short string, do func(*cobra.Command, *catalogue.Catalogue)) *cobra.Command {
		return &cobra.Command{
			Use: use + " [FILE]", Short: short + "; without a file, the shipped one",
			Example: fmt.Sprintf("  vouch catalogue %s\n  vouch catalogue %s next-year.yaml", use, use),
			Args:    arguments(cobra.MaximumNArgs(1)),
			RunE: func(command *cobra.Command, args []string) error {
				file := ""
				if len(args) > 0 {
					file = args[0]
				}
				c, err := openCatalogue(file)
				if err == nil {
					do(command, c)
				}
				return err
			},
		}
	}
	return family("catalogue", "Show, check or hash a catalogue",
		on("show", "Show the whole catalogue with every default filled in", func(command *cobra.Command, c *catalogue.Catalogue) {
			fmt.Fprintf(command.OutOrStdout(), "%s\n", c.Show())
		}),
		on("check", "Say every mistake with file, line and field", func(command *cobra.Command, c *catalogue.Catalogue) {
			fmt.Fprintf(command.OutOrStdout(), "no mistake: version %d, %d departments, %d benefits, %d evidence kinds\n", c.Version, len(c.Departments), len(c.Benefits), len(c.Kinds))
		}),
		on("hash", "Print the hash that travels in every output record", func(command *cobra.Command, c *catalogue.Catalogue) {
			fmt.Fprintln(command.OutOrStdout(), c.Hash())
		}),
	)
}

// openCatalogue loads a catalogue; without a file it is the shipped one.
func openCatalogue(file string) (*catalogue.Catalogue, error) {
	if file == "" {
		return catalogue.Default(), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("open the catalogue: %w", err)
	}
	return catalogue.Load(file, text)
}
