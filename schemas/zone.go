package schemas

import (
	"archive/zip"
	"bytes"
	_ "embed" // for the zone histories
	"fmt"
	"io"
	"sort"
	"time"
)

// zoneHistories is the IANA database as the Go distribution ships it
// (lib/time/zoneinfo.zip of go1.26.8, tzdata 2025b and its "backward" links). It
// is embedded, and no other is ever asked, since a machine's own may lack the
// years before 1970.
//
//go:embed zoneinfo.zip
var zoneHistories []byte

// Zone turns instants into civil dates. It is a value to be shared; it reads
// nothing once it is loaded.
type Zone struct {
	name    string
	periods []period // in the order of time; the first begins before 1850
}

// period is a stretch of time with one offset from UTC.
type period struct {
	from   Instant
	offset Instant // to be added to UTC
}

// LoadZone finds a zone of the IANA database by name, such as Asia/Shanghai.
func LoadZone(name string) (Zone, error) {
	data, err := zoneHistory(name)
	if err != nil {
		return Zone{}, fmt.Errorf("schemas: zone %q: %w; give a name of the IANA database such as Asia/Shanghai", name, err)
	}
	location, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return Zone{}, fmt.Errorf("schemas: zone %q: %w", name, err)
	}
	zone := Zone{name: name}
	last := time.UnixMilli(int64(LastDate+1) * millisPerDay)
	for at := time.UnixMilli(int64(FirstDate-1) * millisPerDay); at.Before(last); {
		_, seconds := at.In(location).Zone()
		offset := Instant(seconds) * Second
		if n := len(zone.periods); n == 0 || zone.periods[n-1].offset != offset {
			zone.periods = append(zone.periods, period{Instant(at.UnixMilli()), offset})
		}
		_, end := at.In(location).ZoneBounds()
		if end.IsZero() {
			break
		}
		if !end.After(at) {
			// In the years that a rule governs, the bounds may end at the
			// year's own last second: step over it.
			end = at.Add(time.Second)
		}
		at = end
	}
	return zone, nil
}

func zoneHistory(name string) ([]byte, error) {
	archive, err := zip.NewReader(bytes.NewReader(zoneHistories), int64(len(zoneHistories)))
	if err != nil {
		return nil, err
	}
	file, err := archive.Open(name)
	if err != nil {
		return nil, fmt.Errorf("no such zone")
	}
	defer file.Close()
	return io.ReadAll(file)
}

// Name is the zone's name in the IANA database.
func (z Zone) Name() string { return z.name }

// Date is the civil date of t in the zone.
func (z Zone) Date(t Instant) Date {
	// Almost every instant is of our day and so of the last period.
	at := len(z.periods) - 1
	if t < z.periods[at].from {
		at = max(0, sort.Search(len(z.periods), func(i int) bool { return z.periods[i].from > t })-1)
	}
	return Date(floorDiv(int(t+z.periods[at].offset), millisPerDay))
}
