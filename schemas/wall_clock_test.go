package schemas

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zoneNamed(t testing.TB, name string) Zone {
	t.Helper()
	zone, err := LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// What java.time gives: ZonedDateTime.of and LocalDate.atStartOfDay.
func TestWallClockDoesAsJavaDoes(t *testing.T) {
	for _, c := range []struct {
		zone, day string
		ofDay     Instant
		want      string
	}{
		{"Asia/Shanghai", "2024-02-29", 9*60*Minute + 41*Minute, "2024-02-29T01:41:00.000Z"},
		{"America/New_York", "2024-03-10", 150 * Minute, "2024-03-10T07:30:00.000Z"}, // 02:30 was jumped over: 03:30
		{"America/New_York", "2024-11-03", 90 * Minute, "2024-11-03T05:30:00.000Z"},  // 01:30 came twice: the first
		{"America/New_York", "2024-11-03", 120 * Minute, "2024-11-03T07:00:00.000Z"}, // 02:00 came once, an hour later
		{"Asia/Shanghai", "1840-11-01", 540 * Minute, "1840-11-01T00:54:17.000Z"},    // before the zone's history begins
		{"Pacific/Apia", "2011-12-30", 540 * Minute, "2011-12-30T19:00:00.000Z"},     // the whole day was jumped over
	} {
		day, _ := ParseDate(c.day)
		if got := zoneNamed(t, c.zone).Instant(day, c.ofDay); got.String() != c.want {
			t.Errorf("%s, %s and %d minutes: %s, want %s", c.zone, c.day, c.ofDay/Minute, got, c.want)
		}
	}
	for _, c := range []struct{ zone, day, want string }{
		{"Asia/Shanghai", "2024-02-29", "2024-02-28T16:00:00.000Z"},
		{"Asia/Shanghai", "1840-11-01", "1840-10-31T15:54:17.000Z"},
		{"Asia/Shanghai", "1940-06-01", "1940-05-31T16:00:00.000Z"},    // 00:00 was jumped over: 01:00
		{"America/St_Johns", "2008-11-02", "2008-11-02T02:30:00.000Z"}, // 00:00 came twice: the first
		{"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00.000Z"},     // no such day: the next
	} {
		day, _ := ParseDate(c.day)
		if got := zoneNamed(t, c.zone).StartOf(day); got.String() != c.want {
			t.Errorf("%s begins in %s at %s, want %s", c.day, c.zone, got, c.want)
		}
	}
}

// Wherever clocks show a time exactly once, there is only one answer, and the
// standard library has it too; and a day begins when its date first comes up.
func TestWallClockAgreesWithStandardLibrary(t *testing.T) {
	names := []string{"Asia/Shanghai", "America/New_York", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe"}
	zones, locations := map[string]Zone{}, map[string]*time.Location{}
	for _, name := range names {
		zones[name] = zoneNamed(t, name)
		data, err := zoneHistory(name)
		if err != nil {
			t.Fatal(err)
		}
		if locations[name], err = time.LoadLocationFromTZData(name, data); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "zone")
		zone, location := zones[name], locations[name]
		day := Date(rapid.Int32Range(int32(FirstDate), int32(LastDate)).Draw(t, "day"))
		minutes := rapid.IntRange(0, 24*60-1).Draw(t, "minute")
		year, month, ofMonth := day.Civil()
		got := zone.Instant(day, Instant(minutes)*Minute)
		clock := time.Date(year, time.Month(month), ofMonth, 0, minutes, 0, 0, location)
		once := offsetOf(clock.Add(-24*time.Hour)) == offsetOf(clock.Add(24*time.Hour))
		if once && got != Instant(clock.UnixMilli()) {
			t.Fatalf("%s minute %d in %s: %s, want %s", day, minutes, name, got, clock.UTC())
		}
		if start := zone.StartOf(day); zone.Date(start) < day || zone.Date(start-1) >= day {
			t.Fatalf("%s does not begin in %s at %s", day, name, start)
		}
	})
}

func offsetOf(t time.Time) int {
	_, seconds := t.Zone()
	return seconds
}
