package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/topology"
)

func topicsCommand() *cobra.Command {
	return family("topics", "Create or check the topics", topicsCreateCommand(), topicsCheckCommand())
}

func topicsCreateCommand() *cobra.Command {
	var (
		kafka                   connection
		partitions, replication int
	)
	command := &cobra.Command{
		Use:   "create --brokers BROKERS",
		Short: "Create the topics that are missing, then check all",
		Long: `create makes the topics that are missing, leaves the others as they are, and
then checks all of them as check does. It may be called again at any time.`,
		Example: `  vouch topics create --brokers localhost:9092
  vouch topics create --brokers localhost:9092 --partitions 48 --replication 3`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			if partitions < 1 || replication < 0 {
				return misused("--partitions must be at least 1, --replication at least 1, or absent")
			}
			client, err := kafka.client(command.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			created, replicas, err := topology.CreateTopics(command.Context(), client, kafka.prefix, partitions, replication)
			for _, topic := range created {
				fmt.Fprintf(command.OutOrStdout(), "created %s\n", topic)
			}
			if err != nil {
				return err
			}
			if len(created) > 0 && replication == 0 && replicas < topology.ReplicasWanted {
				fmt.Fprintf(command.OutOrStdout(), "each with replication %d and not %d, since the cluster has no more brokers: what a broker loses is lost\n", replicas, topology.ReplicasWanted)
			} else if len(created) > 0 {
				fmt.Fprintf(command.OutOrStdout(), "each with replication %d\n", replicas)
			}
			fmt.Fprintln(command.OutOrStdout(), "all topics are as they must be")
			return nil
		},
	}
	kafka.flags(command)
	command.Flags().IntVar(&partitions, "partitions", topology.PartitionsDefault, "partitions of every new topic")
	command.Flags().IntVar(&replication, "replication", 0, "replicas of every new topic (default: 3, or as many as there are brokers)")
	return command
}

func topicsCheckCommand() *cobra.Command {
	var kafka connection
	command := &cobra.Command{
		Use:     "check --brokers BROKERS",
		Short:   "Name every setting that would lose data or order",
		Long:    `check changes nothing. It fails with one sentence for each mistake.`,
		Example: `  vouch topics check --brokers localhost:9092`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			client, err := kafka.client(command.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			if err := topology.CheckTopics(command.Context(), client, kafka.prefix); err != nil {
				return err
			}
			fmt.Fprintln(command.OutOrStdout(), "all topics are as they must be")
			return nil
		},
	}
	kafka.flags(command)
	return command
}
