package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// askAgain is the pause between two questions to the status.
const askAgain = 2 * time.Second

// complete stands before the instant in the status, which is how far every
// lapse and every decision is in the topic standing.
const complete = "standing is complete up to "

// await returns once standing is complete up to an instant. It asks the command
// `vouch status`, and not the brokers: the sentence is part of what vouch
// promises, how the engine keeps it among its offsets is not. A status that
// fails, while brokers restart, is asked again.
func await(ctx context.Context, start time.Time, status func(context.Context) (string, error), pause time.Duration) error {
	said := ""
	for {
		text, err := status(ctx)
		upTo, some, found := "", time.Time{}, false
		if err == nil {
			upTo, some, found, err = completeUpTo(text)
		}
		switch {
		case err == nil && found && !some.Before(start):
			return nil
		case err != nil:
			upTo = err.Error()
		default:
			upTo = complete + upTo
		}
		if upTo != said { // once each, not every two seconds of a night
			fmt.Fprintf(os.Stderr, "payroll: waiting for %s: %s\n", start.UTC().Format(time.RFC3339), upTo)
			said = upTo
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until standing is complete up to %s: %w; the last answer: %s", start.UTC().Format(time.RFC3339), ctx.Err(), said)
		case <-time.After(pause):
		}
	}
}

// completeUpTo finds the sentence in a status; found is false as long as there
// was no tick.
func completeUpTo(status string) (text string, at time.Time, found bool, err error) {
	for line := range strings.Lines(status) {
		text, is := strings.CutPrefix(strings.TrimSpace(line), complete)
		if !is {
			continue
		}
		if text == "no time yet" {
			return text, at, false, nil
		}
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return text, at, false, fmt.Errorf("the status says %q, which is no instant", complete+text)
		}
		return text, at, true, nil
	}
	return "", at, false, fmt.Errorf("the status has no line %q: is vouch of this version?", complete+"…")
}

// status asks vouch. Its security flags come from the environment (VOUCH_TLS
// and the like), where it finds them by itself.
func (o options) status(ctx context.Context) (string, error) {
	command := exec.CommandContext(ctx, o.vouch, "status", "--brokers", o.brokers, "--prefix", o.prefix)
	output, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("%s status: %w: %s", o.vouch, err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return "", fmt.Errorf("%s status: %w", o.vouch, err)
	}
	return string(output), nil
}
