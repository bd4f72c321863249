package engine.vouch.peers.rules;

/** Civil dates as days since 1970-01-01, and instants as milliseconds of UTC. Plain numbers, since a row holds many. */
final class Dates {
    /** Stands for a date that is not there. */
    static final int NO_DATE = Integer.MIN_VALUE;

    /** Stands for an instant, or another number, that is not there. */
    static final long NONE = Long.MIN_VALUE;

    static final long DAY = 24L * 60 * 60 * 1000;
    static final long MINUTE = 60L * 1000;

    /** The first and the last civil date that a record may carry: 1850-01-01 and 2199-12-31. */
    static final int FIRST = -43829;

    static final int LAST = 84005;

    private Dates() {}

    static boolean inRange(int date) {
        return FIRST <= date && date <= LAST;
    }

    static boolean inRange(long instant) {
        return FIRST * DAY <= instant && instant < (LAST + 1) * DAY;
    }

    /** The date of a day in the proleptic Gregorian calendar; years begin in March (Howard Hinnant's days_from_civil). */
    static int of(int year, int month, int day) {
        if (month <= 2) {
            year--;
            month += 12;
        }
        int era = Math.floorDiv(year, 400);
        int yearOfEra = year - era * 400;
        int dayOfYear = (153 * (month - 3) + 2) / 5 + day - 1;
        int dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear;
        return era * 146097 + dayOfEra - 719468;
    }

    /** The months since January of year 0 in the high part, the day of the month in the low five bits. */
    private static int civil(int date) {
        int shifted = date + 719468;
        int era = Math.floorDiv(shifted, 146097);
        int dayOfEra = shifted - era * 146097;
        int yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146096) / 365;
        int dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
        int monthFromMarch = (5 * dayOfYear + 2) / 153;
        int day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1;
        return ((yearOfEra + era * 400) * 12 + monthFromMarch + 2) << 5 | day;
    }

    /** Numbers a date's civil month: months since January of year 0. */
    static int month(int date) {
        return civil(date) >> 5;
    }

    static int year(int date) {
        return Math.floorDiv(month(date), 12);
    }

    /** The same day of the month some months later, or that month's last day where it has no such day. */
    static int addMonths(int date, int months) {
        int civil = civil(date);
        int month = (civil >> 5) + months;
        return ofMonth(month, Math.min(civil & 31, daysIn(month)));
    }

    /** The last day of a date's month. */
    static int endOfMonth(int date) {
        int month = month(date);
        return ofMonth(month, daysIn(month));
    }

    private static int ofMonth(int month, int day) {
        return of(Math.floorDiv(month, 12), Math.floorMod(month, 12) + 1, day);
    }

    private static int daysIn(int month) {
        int year = Math.floorDiv(month, 12);
        switch (Math.floorMod(month, 12)) {
            case 3, 5, 8, 10:
                return 30;
            case 1:
                return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
            default:
                return 31;
        }
    }

    /** Appends a date as YYYY-MM-DD. */
    static void append(ByteWriter to, int date) {
        int civil = civil(date);
        to.digits(Math.floorDiv(civil >> 5, 12), 4);
        to.add('-');
        to.digits(Math.floorMod(civil >> 5, 12) + 1, 2);
        to.add('-');
        to.digits(civil & 31, 2);
    }

    /** Appends an instant in RFC 3339, UTC, with milliseconds. */
    static void appendInstant(ByteWriter to, long instant) {
        int day = (int) Math.floorDiv(instant, DAY);
        int ofDay = (int) Math.floorMod(instant, DAY);
        append(to, day);
        to.add('T');
        to.digits(ofDay / 3_600_000, 2);
        to.add(':');
        to.digits(ofDay / 60_000 % 60, 2);
        to.add(':');
        to.digits(ofDay / 1000 % 60, 2);
        to.add('.');
        to.digits(ofDay % 1000, 3);
        to.add('Z');
    }
}
