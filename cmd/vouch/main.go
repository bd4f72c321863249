// Command vouch certifies, as evidence arrives, who is alive and entitled, and
// says so exactly once. Each file of this folder is one of its commands; they
// read flags and call the packages, nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run()) }

// run is main with an exit status.
func run() int {
	ctx, stop := interruptible()
	defer stop()
	err := root().ExecuteContext(ctx)
	switch {
	case err == nil, ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitDone
	case errors.As(err, new(usageError)):
		fmt.Fprintf(os.Stderr, "vouch: %v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(os.Stderr, "vouch: %v\n", err)
		return exitFailed
	}
}

// interruptible is a context that the first Ctrl-C or SIGTERM ends, so that
// the work in hand is finished; the second one ends the process at once.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitFailed)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// usageError is a wrong use of a command, as against one that failed.
type usageError struct{ error }

// misused makes a usageError.
func misused(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// arguments makes a command's own complaint about its arguments a usageError.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if err := check(command, args); err != nil {
			return usageError{fmt.Errorf("%w; see `%s --help`", err, command.CommandPath())}
		}
		return nil
	}
}

// family is a command whose work is done by those below it.
func family(name, short string, members ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{
		Use: name, Short: short, Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			return misused("say what to do; see `%s --help`", command.CommandPath())
		},
	}
	command.AddCommand(members...)
	return command
}
