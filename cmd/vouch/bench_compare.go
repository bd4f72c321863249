package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/benchmarks"
)

func benchCompareCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compare BEFORE AFTER",
		Short: "Say what got worse or better between two results, beyond noise",
		Long: `compare puts side by side what was measured in the same way: measure, system,
settings, scale, kind of broker and machine. With three runs or more on both sides
their own spread is the noise; with fewer a figure must have moved by a quarter.
It fails if anything got worse.`,
		Example: "  vouch bench compare before.ndjson after.ndjson",
		Args:    arguments(cobra.ExactArgs(2)),
		RunE: func(command *cobra.Command, files []string) error {
			before, err := readResults(files[0])
			if err != nil {
				return err
			}
			after, err := readResults(files[1])
			if err != nil {
				return err
			}
			worse, err := benchmarks.Compare(before, after, command.OutOrStdout())
			if err == nil && worse > 0 {
				return fmt.Errorf("bench: %d figures got worse by more than noise", worse)
			}
			return err
		},
	}
}
