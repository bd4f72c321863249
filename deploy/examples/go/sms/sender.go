package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/department/records"
)

// The topics that a citizen is told of, without prefix.
const (
	completed = "certification-completed"
	revoked   = "certification-revoked"
	reminder  = "expiry-reminder"
)

// texts are what citizens are told, by language and topic; %s is each benefit
// with its date. They give dates and no days that are left: a message may have
// waited for the morning, or in the queue of a first load.
var texts = map[string]map[string]string{
	"zh": {
		completed: "您的待遇资格已认证,有效期至:%s。您无需办理任何手续。",
		revoked:   "更正:您的待遇资格有效期至:%s。请在此之前认证。",
		reminder:  "您的待遇资格即将到期:%s。请用手机认证,或到窗口办理。",
	},
	"en": {
		completed: "You are certified until: %s. You need do nothing.",
		revoked:   "Correction: you are certified until: %s. Please certify by then.",
		reminder:  "Your certification ends: %s. Please certify by phone or at a counter.",
	},
}

// event is what a message needs of the three schemas.
type event struct {
	ID       string    `avro:"event_id"`
	Phone    *string   `avro:"phone"`
	Benefits []benefit `avro:"benefits"`
}

// benefit has one of the two dates, by topic.
type benefit struct {
	Benefit    string    `avro:"benefit"`
	ValidUntil time.Time `avro:"valid_until"`
	DueOn      time.Time `avro:"due_on"`
}

// text words an event.
func (e event) text(topic string, by map[string]string) string {
	dates := make([]string, len(e.Benefits))
	for i, b := range e.Benefits {
		until := b.DueOn
		if topic == completed {
			until = b.ValidUntil
		}
		dates[i] = b.Benefit + " " + until.UTC().Format(time.DateOnly)
	}
	return fmt.Sprintf(by[topic], strings.Join(dates, ", "))
}

// gateway sends messages. It is asked twice with the same key only if the first
// answer was lost, and sends once.
type gateway interface {
	send(key, phone, text string) error
}

// counts are what became of the records; they are all that reaches the log.
type counts struct{ sent, sentBefore, withoutPhone int }

func (c counts) String() string {
	return fmt.Sprintf("sent %d, sent before %d, without a phone %d", c.sent, c.sentBefore, c.withoutPhone)
}

// sender decides of each record what is to be done with it.
type sender struct {
	reader  *records.Reader
	gateway gateway
	memory  *memory
	quiet   quietHours
	texts   map[string]string
	pace    *pace
	counts  counts

	now   func() time.Time
	sleep func(context.Context, time.Duration)
}

// errNight ends a turn: the record is read again in the morning.
var errNight = errors.New("quiet hours have begun")

// take sends what a record says, unless it was sent, or nobody can be reached.
// After it has returned nil the record may be committed, once the memory is on
// the disk. The wall clock is asked last, after the wait for the pace.
func (s *sender) take(ctx context.Context, topic string, value []byte) error {
	var e event
	if err := s.reader.Decode(ctx, value, &e); err != nil {
		return err
	}
	if len(e.ID) != idBytes {
		return fmt.Errorf("its event id has %d characters, not %d: is this a topic of events?", len(e.ID), idBytes)
	}
	if s.memory.has(e.ID) {
		s.counts.sentBefore++
		return nil
	}
	if e.Phone == nil {
		s.counts.withoutPhone++
		return nil
	}
	s.sleep(ctx, s.pace.next(s.now()))
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.quiet.left(s.now()) > 0 {
		return errNight
	}
	if err := s.gateway.send(e.ID, *e.Phone, e.text(topic, s.texts)); err != nil {
		return err
	}
	if err := s.memory.add(e.ID); err != nil {
		return err
	}
	s.counts.sent++
	return nil
}
