import java.time.Instant;
import java.time.LocalDate;

/**
 * The benchmarks' workload "renewals", as a facts file: <code>java Renewals.java CITIZENS MONTHS roster|evidence</code>.
 * Each citizen draws two benefits and is seen once a month, in another order every month; a tick passes every day.
 */
final class Renewals {
    private static final LocalDate FROM = LocalDate.parse("2023-01-01");
    private static final long DAY = 86_400_000;
    private static final String[][] KINDS = {
        {"INPT_ADMIT", "HEALTH"}, {"RAIL_BOARD", "RAIL"}, {"FACE_SELF", "HRSS"}, {"OUTPT_VISIT", "HEALTH"},
    };

    private Renewals() {}

    private static String id(int citizen) {
        return "3416%014d".formatted(citizen);
    }

    private static void fact(String topic, long at, String value) {
        System.out.printf("{\"topic\":\"%s\",\"at\":\"%s\",\"value\":{%s}}%n", topic, instant(at), value);
    }

    private static String instant(long at) {
        return java.time.format.DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(java.time.ZoneOffset.UTC).format(Instant.ofEpochMilli(at));
    }

    private static void roster(int citizens) {
        long at = FROM.toEpochDay() * DAY;
        for (int i = 0; i < citizens; i++) {
            for (String benefit : new String[] {"OLDAGE", "URRP"}) {
                at++;
                fact("roster", at, ("\"entry_id\":\"r%d%s\",\"citizen_id\":\"%s\",\"benefit\":\"%s\",\"recorded_at\":\"%s\",\"effective_on\":\"%s\","
                        + "\"last_certified_on\":\"%s\",\"region\":\"%d\",\"phone\":\"138%08d\",\"payee\":\"6217%015d\",\"amount_fen\":18000,\"birth_on\":\"%s\"")
                        .formatted(i, benefit, id(i), benefit, instant(at), FROM.minusDays(2000), FROM.minusDays(300 + i % 60), 341600 + i % 20, i, i, FROM.minusDays(22_000 + i % 8_000)));
            }
        }
    }

    private static void evidence(int citizens, int months) {
        long start = (FROM.toEpochDay() + 2) * DAY;
        long step = Math.max(30L * months * DAY / ((long) citizens * months), 1);
        long ticked = 0;
        for (int i = 0; i < citizens * months; i++) {
            long at = start + i * step;
            if (at / DAY > ticked) {
                ticked = at / DAY;
                fact("clock", at - 1, "\"at\":\"%s\"".formatted(instant(ticked * DAY)));
            }
            int citizen = (int) ((i % citizens * 7_919L + i / citizens * 104_729L) % citizens);
            String[] kind = KINDS[i % KINDS.length];
            fact("evidence", at, "\"evidence_id\":\"e%d\",\"citizen_id\":\"%s\",\"kind\":\"%s\",\"source\":\"%s\",\"occurred_at\":\"%s\",\"recorded_at\":\"%s\""
                    .formatted(i, id(citizen), kind[0], kind[1], instant(at - i % 7 * 60_000), instant(at)));
        }
    }

    public static void main(String[] arguments) {
        int citizens = Integer.parseInt(arguments[0]);
        if (arguments[2].equals("roster")) {
            roster(citizens);
        } else {
            evidence(citizens, Integer.parseInt(arguments[1]));
        }
    }
}
