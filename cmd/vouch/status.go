package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/schemas"
	"github.com/vouch-engine/vouch/topology"
)

func statusCommand() *cobra.Command {
	var kafka connection
	command := &cobra.Command{
		Use:   "status --brokers BROKERS",
		Short: "Tell how far the engine has come",
		Long: `status prints, of every group, its members, how many records of each input are
committed by producers and not yet by the group (its lag), whether it has caught
up with its inputs, and the last tick that all its partitions have applied; then
the last tick in the log, which a dead clock lets grow old.

The last line says up to when standing is complete: every Standing that follows
from what was in the log before that tick can be read. A pay run waits until it
has reached the day, and then reads standing to its end.`,
		Example: `  vouch status --brokers localhost:9092`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			client, err := kafka.client(command.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			status, err := topology.ReadStatus(command.Context(), client, kafka.prefix)
			if err != nil {
				return err
			}
			return printStatus(command.OutOrStdout(), status)
		},
	}
	kafka.flags(command)
	return command
}

func printStatus(out io.Writer, status topology.Status) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "GROUP\tSTATE\tMEMBERS\tTOPIC\tLAG\tCAUGHT UP\tTICK APPLIED")
	for _, group := range status.Groups {
		for i, topic := range group.Topics {
			if i == 0 {
				fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%d\t%s\t%s\n", group.Name, group.State, group.Members, topic.Name, topic.Lag, yesNo(group.CaughtUp()), age(group.Applied))
			} else {
				fmt.Fprintf(table, "\t\t\t%s\t%d\t\t\n", topic.Name, topic.Lag)
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, "last tick in the log:", age(status.LastTick))
	until := "no time yet"
	if at := status.StandingUntil; !at.IsZero() {
		until = schemas.Instant(at.UnixMilli()).String()
	}
	_, err := fmt.Fprintln(out, "standing is complete up to", until)
	return err
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
