package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/schemas/facts"
	"github.com/vouch-engine/vouch/topology"
)

func decideCommand() *cobra.Command {
	var catalogueFile string
	command := &cobra.Command{
		Use:   "decide [--catalogue FILE] FACTS",
		Short: "Decide a facts file offline",
		Long: `decide reads a facts file, one input record a line, and writes the records that
the engine would write, one a line, in the order decided. - reads standard input.`,
		Example: `  vouch decide facts.ndjson
  vouch decide --catalogue next-year.yaml - < facts.ndjson`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			return decide(catalogueFile, args[0], command.OutOrStdout())
		},
	}
	command.Flags().StringVar(&catalogueFile, "catalogue", "", "catalogue file (default: the shipped one)")
	return command
}

func decide(catalogueFile, path string, to io.Writer) error {
	rules, err := openCatalogue(catalogueFile)
	if err != nil {
		return err
	}
	from, err := openFacts(path)
	if err != nil {
		return err
	}
	defer from.Close()
	fold := topology.NewFold(rules)
	lines, written := facts.NewReader(from), bufio.NewWriterSize(to, 1<<20)
	for {
		line, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(written.Flush(), fmt.Errorf("decide %s: %w", path, err))
		}
		for _, output := range fold.Step(line) {
			if err := facts.Write(written, output); err != nil {
				return fmt.Errorf("decide %s: write the records decided: %w", path, err)
			}
		}
	}
	if err := written.Flush(); err != nil {
		return fmt.Errorf("decide %s: write the records decided: %w", path, err)
	}
	return nil
}

// openFacts opens a facts file; - is standard input.
func openFacts(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the facts: %w", err)
	}
	return file, nil
}
