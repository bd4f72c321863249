package main

import "github.com/spf13/cobra"

func benchCommand() *cobra.Command {
	return family("bench", "Measure the engine, and torture it", benchRunCommand(), benchListCommand(), benchReportCommand(), benchCompareCommand(), tortureCommand())
}
