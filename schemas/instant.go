package schemas

import "fmt"

// Instant is a moment: milliseconds of UTC since 1970-01-01T00:00:00Z.
type Instant int64

const (
	millisPerSecond = 1000
	millisPerMinute = 60 * millisPerSecond
	millisPerDay    = 24 * 60 * millisPerMinute
)

// Lengths of time, in milliseconds like the instants they are added to.
const (
	Second Instant = millisPerSecond
	Minute Instant = millisPerMinute
	Day    Instant = millisPerDay
)

// InRange reports whether t lies in the years 1850 to 2199 of UTC.
func (t Instant) InRange() bool {
	return Instant(FirstDate)*Day <= t && t < Instant(LastDate+1)*Day
}

// String is t in RFC 3339, UTC, with milliseconds: 2023-06-01T01:02:03.000Z.
func (t Instant) String() string { return string(t.AppendText(nil)) }

// AppendText appends t in RFC 3339, UTC, with milliseconds.
func (t Instant) AppendText(b []byte) []byte {
	day := floorDiv(int(t), millisPerDay)
	ofDay := int(t) - day*millisPerDay
	b = append(Date(day).AppendText(b), 'T')
	b = append(appendDigits(b, ofDay/(60*millisPerMinute), 2), ':')
	b = append(appendDigits(b, ofDay/millisPerMinute%60, 2), ':')
	b = append(appendDigits(b, ofDay/millisPerSecond%60, 2), '.')
	return append(appendDigits(b, ofDay%millisPerSecond, 3), 'Z')
}

// MarshalText is t in RFC 3339, UTC, with milliseconds.
func (t Instant) MarshalText() ([]byte, error) { return t.AppendText(nil), nil }

// UnmarshalText reads what ParseInstant reads.
func (t *Instant) UnmarshalText(text []byte) (err error) {
	*t, err = ParseInstant(string(text))
	return err
}

// ParseInstant reads an instant in RFC 3339, UTC ("Z"), of the years 0000 to
// 9999, with milliseconds or whole seconds.
func ParseInstant(s string) (Instant, error) {
	var millis int
	ok := len(s) == len("2006-01-02T15:04:05Z") || len(s) == len("2006-01-02T15:04:05.000Z")
	ok = ok && s[10] == 'T' && s[13] == ':' && s[16] == ':' && s[len(s)-1] == 'Z'
	if ok && len(s) > 20 {
		millis, ok = digits(s[20:23])
		ok = ok && s[19] == '.'
	}
	if ok {
		day, err := ParseDate(s[:10])
		hour, okHour := digits(s[11:13])
		minute, okMinute := digits(s[14:16])
		second, okSecond := digits(s[17:19])
		if err == nil && okHour && okMinute && okSecond && hour < 24 && minute < 60 && second < 60 {
			return Instant(day)*Day + Instant(hour)*60*Minute + Instant(minute)*Minute + Instant(second)*Second + Instant(millis), nil
		}
	}
	return 0, fmt.Errorf("not an instant 2006-01-02T15:04:05.000Z: %.30q", s)
}
