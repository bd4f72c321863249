package schemas

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRangeIs1850To2199(t *testing.T) {
	for _, c := range []struct {
		date Date
		want string
	}{{FirstDate, "1850-01-01"}, {LastDate, "2199-12-31"}, {0, "1970-01-01"}} {
		if c.date.String() != c.want {
			t.Errorf("%d is %s, want %s", int(c.date), c.date, c.want)
		}
	}
	if FirstDate.InRange() != true || (FirstDate - 1).InRange() || (LastDate + 1).InRange() {
		t.Error("the range of dates does not end where it should")
	}
	for _, c := range []struct {
		text string
		want bool
	}{{"1849-12-31T23:59:59.999Z", false}, {"1850-01-01T00:00:00.000Z", true}, {"2199-12-31T23:59:59.999Z", true}, {"2200-01-01T00:00:00.000Z", false}} {
		instant, err := ParseInstant(c.text)
		if err != nil || instant.InRange() != c.want {
			t.Errorf("%s in range: %v (%v), want %v", c.text, instant.InRange(), err, c.want)
		}
	}
}

// The calendar agrees with the standard library's on every day of the range.
func TestCalendarAgreesWithStandardLibrary(t *testing.T) {
	for d := FirstDate; d <= LastDate; d++ {
		want := time.Unix(int64(d)*86400, 0).UTC()
		year, month, day := d.Civil()
		if year != want.Year() || month != int(want.Month()) || day != want.Day() {
			t.Fatalf("day %d is %d-%d-%d, want %s", d, year, month, day, want.Format(time.DateOnly))
		}
		if back := DateOf(year, month, day); back != d {
			t.Fatalf("%s goes to %d and comes back as %d", d, d, back)
		}
	}
}

func TestAddMonthsClampsToTheMonthsEnd(t *testing.T) {
	for _, c := range []struct {
		from   string
		months int
		want   string
	}{
		{"2024-02-29", 12, "2025-02-28"},
		{"2023-08-31", 6, "2024-02-29"},
		{"2024-03-31", -1, "2024-02-29"},
		{"2024-01-15", 12, "2025-01-15"},
		{"2024-12-31", 2, "2025-02-28"},
		{"2024-01-31", -13, "2022-12-31"},
	} {
		from, _ := ParseDate(c.from)
		if got := from.AddMonths(c.months).String(); got != c.want {
			t.Errorf("%s and %d months: %s, want %s", c.from, c.months, got, c.want)
		}
	}
}

// Law 1 rests on this: adding months never turns the order of two dates round.
func TestAddMonthsIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Date(rapid.Int32Range(int32(FirstDate), int32(LastDate)).Draw(t, "a"))
		b := a + Date(rapid.Int32Range(0, 800).Draw(t, "later"))
		months := rapid.IntRange(-240, 240).Draw(t, "months")
		if a.AddMonths(months) > b.AddMonths(months) {
			t.Fatalf("%s before %s, but %s after %s", a, b, a.AddMonths(months), b.AddMonths(months))
		}
	})
}

// The end of a month is the day before the next one's first, also of a month
// that is reached from a day that it does not have.
func TestEndOfMonth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Date(rapid.Int32Range(int32(FirstDate), int32(LastDate)).Draw(t, "day"))
		months := rapid.IntRange(-240, 240).Draw(t, "months")
		end := d.EndOfMonthAfter(months)
		if _, _, first := (end + 1).Civil(); first != 1 || end.Month() != d.AddMonths(months).Month() {
			t.Fatalf("%s and %d months end on %s", d, months, end)
		}
		if d.EndOfMonth() != d.EndOfMonthAfter(0) {
			t.Fatalf("the month of %s ends on %s", d, d.EndOfMonth())
		}
	})
}

// Every number of days is a day of the calendar, also one that no record may
// carry.
func TestCalendarReachesEveryDate(t *testing.T) {
	for days := int64(math.MinInt32); days <= math.MaxInt32; days += 9_973 {
		d := Date(days)
		year, month, day := d.Civil()
		if mean := 1970 + days*400/146_097; int64(year) < mean-3 || int64(year) > mean+3 {
			t.Fatalf("day %d is of year %d, want about %d", days, year, mean)
		}
		if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || DateOf(year, month, day) != d {
			t.Fatalf("day %d is %d-%d-%d and comes back as %d", days, year, month, day, int(DateOf(year, month, day)))
		}
	}
}

func TestTextForms(t *testing.T) {
	for _, bad := range []string{"", "2023-02-29", "2023-13-01", "2023-00-10", "2023-1-1", "2023-01-00", "2023/01/01", "20230101", "２０２３-01-01"} {
		if d, err := ParseDate(bad); err == nil {
			t.Errorf("%q was read as %s", bad, d)
		}
	}
	for _, bad := range []string{"", "2023-01-01", "2023-01-01T00:00:00", "2023-01-01T24:00:00Z", "2023-01-01T00:60:00Z", "2023-01-01T00:00:00+08:00", "2023-01-01T00:00:00.0000Z", "2023-02-30T00:00:00Z", "2023-01-01T00:00:00,000Z"} {
		if i, err := ParseInstant(bad); err == nil {
			t.Errorf("%q was read as %s", bad, i)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		instant := Instant(rapid.Int64Range(int64(FirstDate)*millisPerDay, int64(LastDate)*millisPerDay).Draw(t, "instant"))
		back, err := ParseInstant(instant.String())
		if err != nil || back != instant {
			t.Fatalf("%d is %s and comes back as %d (%v)", instant, instant, back, err)
		}
		if want := time.UnixMilli(int64(instant)).UTC().Format("2006-01-02T15:04:05.000Z"); instant.String() != want {
			t.Fatalf("%d is %s, want %s", instant, instant, want)
		}
	})
}

// Shanghai was 8:05:43 ahead until 1901, and had summer time in 1919, in
// 1940 to 1949 and in 1986 to 1991; its civil dates follow.
func TestShanghaisDates(t *testing.T) {
	zone, err := LoadZone("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ instant, want string }{
		{"1900-12-31T15:54:16.999Z", "1900-12-31"},
		{"1900-12-31T15:59:59.999Z", "1900-12-31"}, // the last midnight of local mean time fell back
		{"1900-12-31T16:00:00.000Z", "1901-01-01"},
		{"1941-06-30T14:59:59.999Z", "1941-06-30"}, // summer time, 9 hours ahead
		{"1941-06-30T15:00:00.000Z", "1941-07-01"},
		{"1987-07-31T14:59:59.999Z", "1987-07-31"},
		{"1987-07-31T15:00:00.000Z", "1987-08-01"},
		{"2023-06-01T15:59:59.999Z", "2023-06-01"},
		{"2023-06-01T16:00:00.000Z", "2023-06-02"},
		{"2199-12-31T15:59:59.999Z", "2199-12-31"},
	} {
		instant, _ := ParseInstant(c.instant)
		if got := zone.Date(instant).String(); got != c.want {
			t.Errorf("%s is %s in Shanghai, want %s", c.instant, got, c.want)
		}
	}
	if _, err := LoadZone("Asia/Nowhere"); err == nil {
		t.Error("a zone that does not exist was loaded")
	}
}

// A zone's dates agree with the standard library's at every instant.
func TestDatesAgreeWithStandardLibrary(t *testing.T) {
	for _, name := range []string{"Asia/Shanghai", "America/New_York", "Pacific/Apia", "UTC"} {
		zone, err := LoadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := zoneHistory(name)
		location, _ := time.LoadLocationFromTZData(name, data)
		rapid.Check(t, func(t *rapid.T) {
			instant := rapid.Int64Range(int64(FirstDate)*millisPerDay, int64(LastDate)*millisPerDay).Draw(t, "instant")
			want := time.UnixMilli(instant).In(location).Format(time.DateOnly)
			if got := zone.Date(Instant(instant)).String(); got != want {
				t.Fatalf("%s: %s is %s, want %s", name, Instant(instant), got, want)
			}
		})
	}
}
