package engine.vouch.peers.rules;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneId;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The arithmetic of days is that of java.time. */
class DatesTest {
    private static final long SEED = 1;

    @Test
    void calendar() {
        Random random = new Random(SEED);
        ByteWriter text = new ByteWriter();
        for (int date = Dates.FIRST; date <= Dates.LAST; date++) {
            LocalDate want = LocalDate.ofEpochDay(date);
            int months = random.nextInt(600) - 300;
            assertEquals(want.toEpochDay(), Dates.of(want.getYear(), want.getMonthValue(), want.getDayOfMonth()));
            assertEquals(want.plusMonths(months).toEpochDay(), Dates.addMonths(date, months), want + " and months " + months);
            assertEquals(want.withDayOfMonth(want.lengthOfMonth()).toEpochDay(), Dates.endOfMonth(date), want.toString());
            assertEquals(want.getYear(), Dates.year(date));
            Dates.append(text.reset(), date);
            assertEquals(want.toString(), new String(text.toBytes(), StandardCharsets.US_ASCII));
        }
    }

    @Test
    void zone() {
        Random random = new Random(SEED);
        for (String name : new String[] {"Asia/Shanghai", "Europe/Berlin", "UTC"}) {
            Zone zone = new Zone(name);
            for (int i = 0; i < 200_000; i++) {
                long at = random.nextLong(Dates.FIRST * Dates.DAY, (Dates.LAST + 1) * Dates.DAY);
                LocalDate want = Instant.ofEpochMilli(at).atZone(ZoneId.of(name)).toLocalDate();
                assertEquals(want.toEpochDay(), zone.date(at), () -> name + " at " + Instant.ofEpochMilli(at));
            }
        }
    }
}
