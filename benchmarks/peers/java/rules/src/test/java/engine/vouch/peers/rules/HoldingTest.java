package engine.vouch.peers.rules;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;

/** What is held is what a plain reading of the bounds says, whatever comes. */
class HoldingTest {
    private static final long SEED = 1;
    private static final int CITIZENS = 60;
    private static final int RECORDS = 150;

    private final Catalogue catalogue;

    HoldingTest() throws IOException {
        catalogue = new Catalogue(Files.readAllBytes(Path.of("src/test/resources/rules.catalogue.json")));
    }

    @Test
    void bounds() {
        Random random = new Random(SEED);
        Holding holding = new Holding(catalogue);
        for (int citizen = 0; citizen < CITIZENS; citizen++) {
            ArrayList<Evidence> held = new ArrayList<>();
            int months = 1 + random.nextInt(8); // few: many records of a month
            for (int i = 0; i < RECORDS; i++) {
                Evidence version = version(random, i, months);
                List<Evidence> want = plain(held, version);
                holding.takeDown(held, version);
                assertEquals(want, held, "seed " + SEED + ", citizen " + citizen + ", record " + i);
            }
            checkRow(held);
        }
    }

    /** A row that is written and read again is the same, and so are its bytes. */
    private static void checkRow(List<Evidence> held) {
        Citizen citizen = new Citizen();
        citizen.evidence.addAll(held);
        Rows rows = new Rows();
        byte[] row = rows.encode(citizen);
        assertArrayEquals(row, rows.encode(Rows.decode(row)));
    }

    private Evidence version(Random random, int i, int months) {
        int id = random.nextInt(4) > 0 ? i : random.nextInt(i + 1); // a new record, or another version of one
        long at = (19_500 + random.nextInt(30 * months)) * Dates.DAY;
        Evidence e = new Evidence(("e" + id).getBytes(StandardCharsets.UTF_8), random.nextInt(catalogue.kinds.length), at,
                at + random.nextInt(90) * Dates.DAY, random.nextInt(6) == 0);
        e.look(catalogue);
        return e;
    }

    private List<Evidence> plain(List<Evidence> before, Evidence version) {
        List<Evidence> all = new ArrayList<>(before);
        for (Evidence held : before) {
            if (held.sameIdentity(version)) {
                if (Evidence.compareVersion(version, held) <= 0) {
                    return all;
                }
                version.corrected = held.corrected || held.occurredAt != version.occurredAt || held.kind != version.kind;
                all.remove(held);
            }
        }
        all.add(version);
        all.sort(Evidence::compareNewest);
        Set<Evidence> keep = new HashSet<>();
        for (Catalogue.Benefit benefit : catalogue.benefits) {
            keepStrong(all, keep, benefit.accepts);
        }
        keepStrong(all, keep, catalogue.assuredA);
        List<Evidence> weak = newestOfEach(all, e -> !e.retracted && e.of.strength == Catalogue.Strength.WEAK, e -> e.kind);
        keep.addAll(weak.subList(0, Math.min(3, weak.size())));
        for (int kind = 0; kind < catalogue.kinds.length; kind++) {
            int of = kind;
            if (catalogue.kinds[kind].strength == Catalogue.Strength.ADVERSE || catalogue.kinds[kind].namedInLiftedBy) {
                all.stream().filter(e -> !e.retracted && e.kind == of).limit(2).forEach(keep::add);
            }
        }
        all.stream().filter(e -> e.retracted || e.corrected).sorted(Comparator.comparing(e -> -e.recordedAt)).limit(16).forEach(keep::add);
        return all.stream().filter(keep::contains).toList();
    }

    private static void keepStrong(List<Evidence> all, Set<Evidence> keep, boolean[] scope) {
        Predicate<Evidence> in = e -> !e.retracted && scope[e.kind];
        all.stream().filter(in).limit(4).forEach(keep::add);
        List<Evidence> months = newestOfEach(all, in, e -> e.month);
        keep.addAll(months.subList(0, Math.min(4, months.size())));
    }

    private static List<Evidence> newestOfEach(List<Evidence> all, Predicate<Evidence> among, Function<Evidence, Integer> each) {
        Set<Integer> seen = new HashSet<>();
        return all.stream().filter(among).filter(e -> seen.add(each.apply(e))).toList();
    }
}
