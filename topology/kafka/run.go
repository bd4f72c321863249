package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kerr"
)

// fatal is an error that a new generation would meet again: Run returns it.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

func fatalf(format string, args ...any) error { return fatal{fmt.Errorf(format, args...)} }

// reset is an error after which a new generation starts.
type reset struct {
	reason string // one of a few words, for metrics
	error
}

func (r reset) Unwrap() error { return r.error }

// The reasons of a reset.
const (
	resetGroup  = "group"  // the group's coordinator refused or lost this member
	resetCommit = "commit" // a transaction was not confirmed
	resetFetch  = "fetch"  // an input could not be read
	resetBroker = "broker" // a request at the start of a generation failed
)

// Run processes the inputs until ctx ends, then finishes the transaction in
// hand and leaves the group; it then returns nil. It returns an error for what
// would happen again: ErrFenced, a processor or a table that failed, offsets
// that are gone, a broker that refuses what is needed. Everything else, a
// broker that is away too, is tried again in a new generation.
func Run(ctx context.Context, config Config) error {
	c, err := config.withDefaults()
	if err != nil {
		return err
	}
	backoff := c.Limits.BackoffMin
	for ctx.Err() == nil {
		g := newGeneration(&c)
		err := g.run(ctx)
		if ctx.Err() != nil && !errors.As(err, new(fatal)) {
			return nil
		}
		if err == nil {
			continue
		}
		if fenced(err) {
			return fmt.Errorf("kafka: group %s, instance %s: %w", c.Group, c.Instance, ErrFenced)
		}
		var stop fatal
		if errors.As(err, &stop) {
			return stop.error
		}
		var again reset
		if !errors.As(err, &again) {
			again.reason = resetBroker
		}
		observe1(c.Observer.Reset, again.reason)
		if g.committed > 0 {
			backoff = c.Limits.BackoffMin
		}
		c.Logger.Warn("a generation ended without its last transaction confirmed; the next one starts from what the brokers hold", "group", c.Group, "reason", again.reason, "error", limited(err.Error()), "wait", backoff)
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, c.Limits.BackoffMax)
	}
	return nil
}

// fenced says whether another process has this member's name.
func fenced(err error) bool {
	return errors.Is(err, kerr.FencedInstanceID) || errors.Is(err, ErrFenced)
}

// limited bounds an error's text.
func limited(text string) string {
	if len(text) > errorTextMax {
		return text[:errorTextMax] + "…"
	}
	return text
}

// without takes a word out of a text, wherever it stands as a word.
func without(text, word string) string {
	if word == "" {
		return text
	}
	var kept strings.Builder
	copied := 0
	for from := 0; ; {
		at := strings.Index(text[from:], word)
		if at < 0 {
			return kept.String() + text[copied:]
		}
		at += from
		from = at + len(word)
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[from:])
		if !wordRune(before) && !wordRune(after) {
			kept.WriteString(text[copied:at] + "(key)")
			copied = from
		}
	}
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func observe1[A any](f func(A), a A) {
	if f != nil {
		f(a)
	}
}
