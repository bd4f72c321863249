package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/topology"
)

func statusCommand() *cobra.Command {
	var kafka connection
	command := &cobra.Command{
		Use:   "status --brokers BROKERS",
		Short: "Tell how far the engine has come",
		Long: `status prints, of every group, its members, how many records of each input are
committed by producers and not yet by the group (its lag), the age of the last
tick in the log, and whether the group has caught up with its inputs.`,
		Example: `  vouch status --brokers localhost:9092`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			client, err := kafka.client(command.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			groups, err := topology.ReadStatus(command.Context(), client, kafka.prefix)
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "GROUP\tSTATE\tMEMBERS\tTOPIC\tLAG\tLAST TICK\tCAUGHT UP")
			for _, group := range groups {
				for i, topic := range group.Topics {
					if i == 0 {
						fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%d\t%s\t%s\n", group.Name, group.State, group.Members, topic.Name, topic.Lag, age(group.LastTick), yesNo(group.CaughtUp()))
					} else {
						fmt.Fprintf(table, "\t\t\t%s\t%d\t\t\n", topic.Name, topic.Lag)
					}
				}
			}
			return table.Flush()
		},
	}
	kafka.flags(command)
	return command
}

func age(of time.Time) string {
	if of.IsZero() {
		return "none"
	}
	return time.Since(of).Truncate(time.Second).String() + " ago"
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
