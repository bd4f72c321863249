package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// quietHours are a span of the day on the wall clock of a zone, over midnight if
// it ends before it begins.
type quietHours struct {
	from, to time.Duration // since midnight
	zone     *time.Location
}

// parseQuietHours reads HH:MM-HH:MM. The two differ: a day without quiet hours,
// or of nothing else, is a mistake.
func parseQuietHours(text, zone string) (q quietHours, err error) {
	if q.zone, err = time.LoadLocation(zone); err != nil {
		return q, fmt.Errorf("--zone %s: %w", zone, err)
	}
	from, to, _ := strings.Cut(text, "-")
	var failed [2]error
	q.from, failed[0] = sinceMidnight(from)
	q.to, failed[1] = sinceMidnight(to)
	if errors.Join(failed[:]...) != nil {
		return q, fmt.Errorf("--quiet %s: must be like 21:00-08:00", text)
	}
	if q.from == q.to {
		return q, fmt.Errorf("--quiet %s: must begin and end at different times", text)
	}
	return q, nil
}

// sinceMidnight reads HH:MM.
func sinceMidnight(clock string) (time.Duration, error) {
	at, err := time.Parse("15:04", clock)
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute, err
}

// left is how long the quiet hours still last at an instant; 0 outside them.
func (q quietHours) left(at time.Time) time.Duration {
	hour, minute, second := at.In(q.zone).Clock()
	since := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second + time.Duration(at.Nanosecond())
	switch {
	case q.from < q.to && q.from <= since && since < q.to, q.from > q.to && since < q.to:
		return q.to - since
	case q.from > q.to && since >= q.from:
		return q.to - since + 24*time.Hour
	default:
		return 0
	}
}

// rateMax bounds the messages a second, so that the pause between two of them is
// never none.
const rateMax = 10_000

// pace spaces messages evenly: no burst follows a pause, since a gateway counts
// by the second.
type pace struct {
	every time.Duration
	free  time.Time // when the next may go
}

func newPace(rate int) *pace { return &pace{every: time.Second / time.Duration(rate)} }

// next takes the next place and says how long to wait for it.
func (p *pace) next(now time.Time) time.Duration {
	if p.free.Before(now) {
		p.free = now
	}
	wait := p.free.Sub(now)
	p.free = p.free.Add(p.every)
	return wait
}
