package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/benchmarks"
)

func benchReportCommand() *cobra.Command {
	var page string
	command := &cobra.Command{
		Use:   "report RESULTS…",
		Short: "Write results as a page with plots, and as Markdown tables",
		Long: `report reads what bench run --out has written. Medians are over the runs that were
measured in the same way. Rows of the broker in memory stand apart from those of
a real one.`,
		Example: `  vouch bench report results.ndjson > results.md
  vouch bench report --html report.html results.ndjson`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(command *cobra.Command, files []string) error {
			var results []benchmarks.Result
			for _, file := range files {
				more, err := readResults(file)
				if err != nil {
					return err
				}
				results = append(results, more...)
			}
			if page != "" {
				var drawn bytes.Buffer
				if err := benchmarks.HTML(results, &drawn); err != nil {
					return err
				}
				if err := os.WriteFile(page, drawn.Bytes(), 0o644); err != nil {
					return fmt.Errorf("bench: write the page: %w", err)
				}
			}
			return benchmarks.Markdown(results, command.OutOrStdout())
		},
	}
	command.Flags().StringVar(&page, "html", "", "file to write the page to (default: none)")
	return command
}

func readResults(file string) ([]benchmarks.Result, error) {
	from, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("bench: open the results: %w", err)
	}
	defer from.Close()
	return benchmarks.ReadResults(file, from)
}
