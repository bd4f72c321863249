package main

import (
	"github.com/spf13/cobra"

	"github.com/vouch-engine/vouch/schemas/avro"
	"github.com/vouch-engine/vouch/topology"
)

func tailCommand() *cobra.Command {
	var (
		kafka    connection
		from     string
		untilEnd bool
	)
	command := &cobra.Command{
		Use:   "tail --brokers BROKERS [--from start|end] [--until-end] [TOPIC…]",
		Short: "Print the committed records of topics",
		Long: `tail prints committed records as the lines of a facts file, with partition and
offset beside them. Topics are named without prefix, the engine's own too
(schedule, payee); without a name they are all outputs. With --until-end it
stops at the end as it stood when it was called. What cannot be decoded is
shown as bytes, in base64.`,
		Example: `  vouch tail --brokers localhost:9092 certification-completed
  vouch tail --brokers localhost:9092 --until-end evidence quarantine
  vouch tail --brokers localhost:9092 --from end`,
		RunE: func(command *cobra.Command, topics []string) error {
			if from != "start" && from != "end" {
				return misused("--from %s: must be start or end", from)
			}
			registry, err := kafka.openRegistry()
			if err != nil {
				return err
			}
			return topology.Tail(command.Context(), kafka.connector(command.Context()), avro.New(registry), topology.TailOptions{
				Prefix: kafka.prefix, Topics: topics, FromEnd: from == "end", UntilEnd: untilEnd,
			}, command.OutOrStdout())
		},
	}
	kafka.flags(command)
	command.Flags().StringVar(&from, "from", "start", "where to begin: start or end")
	command.Flags().BoolVar(&untilEnd, "until-end", false, "stop at the end as it stands now")
	return command
}
