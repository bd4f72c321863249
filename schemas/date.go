package schemas

import "fmt"

// Date is a civil date: days since 1970-01-01, negative before. It is a day of
// the calendar, never an instant: in Shanghai midnight did not exist on eight
// days between 1919 and 1949, when recipients were born.
type Date int32

// The first and the last civil date that a record may carry. A record with
// another is quarantined as out_of_range; dates computed from them may lie
// beyond (a proof of 2199 holds into 2200).
const (
	FirstDate Date = -43829 // 1850-01-01
	LastDate  Date = 84005  // 2199-12-31
)

// InRange reports whether d lies in the years 1850 to 2199.
func (d Date) InRange() bool { return FirstDate <= d && d <= LastDate }

// The calendar is computed from a day that is so far back that no date lies
// before it: 1 March of the first year of an era, as eras of 400 years are all
// alike. Years begin in March, so that the leap day is the last of its year.
const (
	erasBefore   = 14_704 // before year 0; an int32 of days reaches back less
	yearsBefore  = erasBefore * 400
	daysOfAnEra  = 146_097
	daysBefore   = erasBefore*daysOfAnEra + 719_468 // from that day to 1970-01-01
	marchToMarch = 306                              // days from 1 March to 1 January
)

// DateOf is the date of a day in the proleptic Gregorian calendar. The day
// must exist; the months are 1 to 12. Source: Cassio Neri and Lorenz Schneider,
// "Euclidean affine functions and their application to calendar algorithms",
// 2023, as is Civil.
func DateOf(year, month, day int) Date {
	if month <= 2 {
		year--
		month += 12
	}
	years := uint64(year + yearsBefore)
	centuries := years / 100
	days := 1461*years/4 - centuries + centuries/4 + (979*uint64(month)-2919)/32 + uint64(day-1)
	return Date(int64(days) - daysBefore)
}

// Civil is the year, the month (1 to 12) and the day of the month of d.
func (d Date) Civil() (year, month, day int) {
	quarters := 4*uint64(int64(d)+daysBefore) + 3 // of a day
	centuries := quarters / daysOfAnEra
	quarters = quarters%daysOfAnEra | 3
	product := 2_939_745 * quarters // in units of 2^-32 years
	dayOfYear := product & 0xffff_ffff / 2_939_745 / 4
	year = int(100*centuries+product>>32) - yearsBefore
	product = 2_141*dayOfYear + 197_913 // in units of 2^-16 months
	month, day = int(product>>16), int(product&0xffff/2_141)+1
	if dayOfYear >= marchToMarch {
		month -= 12
		year++
	}
	return year, month, day
}

// AddMonths is the same day of the month n months later (earlier for a
// negative n), or that month's last day where it has no such day: 2024-02-29
// and 12 months give 2025-02-28. (time.Time.AddDate would give 2025-03-01.)
func (d Date) AddMonths(n int) Date {
	year, month, day := d.Civil()
	months := year*12 + month - 1 + n
	year = floorDiv(months, 12)
	month = months - year*12 + 1
	return DateOf(year, month, min(day, daysIn(year, month)))
}

// EndOfMonth is the last day of d's month.
func (d Date) EndOfMonth() Date { return d.EndOfMonthAfter(0) }

// EndOfMonthAfter is the last day of the month n months after d's: the end of
// the month of AddMonths(n).
func (d Date) EndOfMonthAfter(n int) Date {
	year, month, _ := d.Civil()
	months := year*12 + month + n // of the month after it, whose first day is the next
	year = floorDiv(months, 12)
	return DateOf(year, months-year*12+1, 1) - 1
}

// Month numbers d's civil month: months since January of year 0.
func (d Date) Month() int32 {
	year, month, _ := d.Civil()
	return int32(year*12 + month - 1)
}

// String is d as YYYY-MM-DD.
func (d Date) String() string { return string(d.AppendText(nil)) }

// AppendText appends d as YYYY-MM-DD.
func (d Date) AppendText(b []byte) []byte {
	year, month, day := d.Civil()
	b = appendDigits(b, year, 4)
	b = append(b, '-')
	b = appendDigits(b, month, 2)
	b = append(b, '-')
	return appendDigits(b, day, 2)
}

// MarshalText is d as YYYY-MM-DD.
func (d Date) MarshalText() ([]byte, error) { return d.AppendText(nil), nil }

// UnmarshalText reads YYYY-MM-DD.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDate(string(text))
	return err
}

// ParseDate reads a date of the years 0000 to 9999 as YYYY-MM-DD.
func ParseDate(s string) (Date, error) {
	if len(s) == 10 && s[4] == '-' && s[7] == '-' {
		year, okYear := digits(s[:4])
		month, okMonth := digits(s[5:7])
		day, okDay := digits(s[8:])
		if okYear && okMonth && okDay && 1 <= month && month <= 12 && 1 <= day && day <= daysIn(year, month) {
			return DateOf(year, month, day), nil
		}
	}
	return 0, fmt.Errorf("not a date YYYY-MM-DD of the calendar: %.20q", s)
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// digits reads a string of nothing but decimal digits.
func digits(s string) (n int, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// appendDigits appends n, not negative, with at least width digits.
func appendDigits(b []byte, n, width int) []byte {
	start := len(b)
	for i := 0; i < width || n > 0; i++ {
		b = append(b, byte('0'+n%10))
		n /= 10
	}
	for i, j := start, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}
