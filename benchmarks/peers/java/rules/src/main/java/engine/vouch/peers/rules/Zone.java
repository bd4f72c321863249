package engine.vouch.peers.rules;

import java.time.Instant;
import java.time.ZoneId;
import java.time.zone.ZoneOffsetTransition;
import java.time.zone.ZoneRules;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Turns instants into civil dates. The offsets of 1850 to 2199 are looked up once, so that a date is an addition. */
final class Zone {
    private final long[] from; // the first begins before 1850
    private final long[] offset;

    Zone(String name) {
        ZoneRules rules = ZoneId.of(name).getRules();
        List<Long> begins = new ArrayList<>();
        List<Long> offsets = new ArrayList<>();
        Instant at = Instant.ofEpochMilli((Dates.FIRST - 1) * Dates.DAY);
        begins.add(at.toEpochMilli());
        offsets.add(rules.getOffset(at).getTotalSeconds() * 1000L);
        ZoneOffsetTransition next = rules.nextTransition(at);
        while (next != null && next.toEpochSecond() * 1000 < (Dates.LAST + 2) * Dates.DAY) {
            begins.add(next.toEpochSecond() * 1000);
            offsets.add(next.getOffsetAfter().getTotalSeconds() * 1000L);
            next = rules.nextTransition(next.getInstant());
        }
        from = begins.stream().mapToLong(Long::longValue).toArray();
        offset = offsets.stream().mapToLong(Long::longValue).toArray();
    }

    /** The civil date of an instant. */
    int date(long instant) {
        int at = from.length - 1; // almost every instant is of our day
        if (instant < from[at]) {
            int found = Arrays.binarySearch(from, instant);
            at = Math.max(0, found >= 0 ? found : -found - 2);
        }
        return (int) Math.floorDiv(instant + offset[at], Dates.DAY);
    }
}
