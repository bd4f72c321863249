package engine.vouch.peers.rules;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeSet;

/**
 * A catalogue as <code>vouch catalogue show</code> prints it: the canonical form, every default filled in, lists sorted
 * by code, indented for people. Without the white space it is what the hash is taken of.
 */
public final class Catalogue {
    /** How a benefit's due date follows from its proof. */
    enum Rule {
        ROLLING_MONTH_END,
        ROLLING_DAY,
        FIXED_WINDOW,
        ANNIVERSARY
    }

    /** What evidence shows. */
    enum Strength {
        STRONG,
        WEAK,
        ADVERSE
    }

    /** What adverse evidence does; OTHER is of no consequence here. */
    enum Effect {
        NONE,
        DEATH,
        SUSPEND,
        OTHER
    }

    /** A pension or an allowance. */
    static final class Benefit {
        byte[] code;
        byte[] department;
        int cycleMonths;
        Rule rule;
        int[][] windows; // from month, from day, to month, to day, in the order of the year
        int renewAfterMonths;
        int graceDays;
        boolean[] accepts; // by kind
        int countsFrom = Dates.NO_DATE;
        int exemptUntilAge = -1;
        int[][] noLapse; // from, to

        /** The last day on which a proof dated on a day certifies; only an anniversary counts from the base. */
        int until(int base, int on) {
            return switch (rule) {
                case ROLLING_DAY -> Dates.addMonths(on, cycleMonths);
                case FIXED_WINDOW -> windowAfter(on);
                case ANNIVERSARY -> anniversaryFrom(base, Dates.addMonths(on, renewAfterMonths));
                case ROLLING_MONTH_END -> Dates.endOfMonth(Dates.addMonths(on, cycleMonths));
            };
        }

        private int windowAfter(int on) {
            for (int year = Dates.year(on); ; year++) {
                for (int[] window : windows) {
                    if (Dates.of(year, window[0], window[1]) > on) {
                        return Dates.of(year, window[2], window[3]);
                    }
                }
            }
        }

        private int anniversaryFrom(int base, int on) {
            int cycles = (Dates.month(on) - Dates.month(base)) / cycleMonths;
            while (Dates.addMonths(base, cycles * cycleMonths) >= on) {
                cycles--;
            }
            while (Dates.addMonths(base, cycles * cycleMonths) < on) {
                cycles++;
            }
            return Dates.addMonths(base, cycles * cycleMonths);
        }

        /** The first day on which an enrolment that is due on a day has lapsed. */
        int lapseOn(int due) {
            int day = due + graceDays + 1;
            for (boolean moved = true; moved; ) {
                moved = false;
                for (int[] span : noLapse) {
                    if (span[0] <= day && day <= span[1]) {
                        day = span[1] + 1;
                        moved = true;
                    }
                }
            }
            return day;
        }
    }

    /** A kind of evidence. */
    static final class Kind {
        byte[] code;
        byte[] source;
        int sourcePlace; // in the order of the sources' codes
        Strength strength;
        int channel; // of Avro's enum Channel
        boolean assuredA;
        Effect effect = Effect.NONE;
        String lineage = ""; // none
        String reason;
        boolean liftedByStrong;
        boolean[] liftedBy; // by kind
        boolean namedInLiftedBy;
    }

    private static final List<String> CHANNELS = List.of("automatic", "self_service", "counter", "home_visit");

    final Zone zone;
    final int deathNeeds;
    final Benefit[] benefits;
    final Kind[] kinds;
    final Codes benefitCodes;
    final Codes kindCodes;
    final List<boolean[]> scopes = new ArrayList<>(); // the distinct sets of kinds that benefits accept
    final boolean[] assuredA; // the strong kinds of assurance A, which are like a scope
    final byte[] hash; // 16 hex digits

    /** Reads the canonical form. */
    public Catalogue(byte[] canonical) throws IOException {
        JsonNode whole = new ObjectMapper().readTree(canonical);
        hash = hash(canonical);
        zone = new Zone(whole.required("zone").asText());
        deathNeeds = whole.required("death_needs").asInt();
        benefitCodes = new Codes(codes(whole.required("benefits")));
        kindCodes = new Codes(codes(whole.required("evidence_kinds")));
        kinds = new Kind[kindCodes.codes.length];
        benefits = new Benefit[benefitCodes.codes.length];
        assuredA = new boolean[kinds.length];
        readKinds(whole.get("evidence_kinds"));
        for (int place = 0; place < benefits.length; place++) {
            Benefit benefit = benefit(whole.get("benefits").get(place), whole.required("no_lapse"));
            benefits[place] = benefit;
            if (scopes.stream().noneMatch(scope -> Arrays.equals(scope, benefit.accepts))) {
                scopes.add(benefit.accepts);
            }
        }
    }

    private static List<String> codes(JsonNode list) {
        List<String> codes = new ArrayList<>();
        list.forEach(entry -> codes.add(entry.required("code").asText()));
        return codes;
    }

    private static byte[] bytes(JsonNode text) {
        return text.asText().getBytes(StandardCharsets.UTF_8);
    }

    private void readKinds(JsonNode list) {
        TreeSet<String> sources = new TreeSet<>();
        list.forEach(entry -> sources.add(entry.required("source").asText()));
        for (int place = 0; place < kinds.length; place++) {
            kinds[place] = new Kind();
        }
        for (int place = 0; place < kinds.length; place++) {
            JsonNode entry = list.get(place);
            Kind kind = kinds[place];
            kind.code = kindCodes.codes[place];
            kind.source = bytes(entry.get("source"));
            kind.sourcePlace = sources.headSet(entry.get("source").asText()).size();
            kind.strength = Strength.valueOf(entry.required("strength").asText().toUpperCase());
            kind.channel = CHANNELS.indexOf(entry.path("channel").asText());
            kind.assuredA = kind.strength == Strength.STRONG && entry.path("assurance").asText().equals("A");
            assuredA[place] = kind.assuredA;
            kind.effect =
                    switch (entry.path("effect").asText()) {
                        case "" -> Effect.NONE;
                        case "death" -> Effect.DEATH;
                        case "suspend" -> Effect.SUSPEND;
                        default -> Effect.OTHER;
                    };
            kind.lineage = entry.path("lineage").asText();
            kind.reason = entry.path("reason").asText();
            readLiftedBy(kind, entry.path("lifted_by"));
        }
    }

    private void readLiftedBy(Kind kind, JsonNode by) {
        kind.liftedBy = new boolean[kinds.length];
        kind.liftedByStrong = by.asText().equals("strong");
        for (JsonNode code : by) {
            int place = place(kindCodes, code);
            kind.liftedBy[place] = true;
            kinds[place].namedInLiftedBy = true;
        }
    }

    private static int place(Codes codes, JsonNode code) {
        byte[] bytes = bytes(code);
        int place = codes.place(bytes, 0, bytes.length);
        if (place < 0) {
            throw new IllegalArgumentException("the catalogue names " + code.asText() + " and does not have it");
        }
        return place;
    }

    private Benefit benefit(JsonNode entry, JsonNode noLapse) {
        Benefit benefit = new Benefit();
        benefit.code = bytes(entry.get("code"));
        benefit.department = bytes(entry.required("department"));
        benefit.cycleMonths = entry.required("cycle_months").asInt();
        benefit.rule = Rule.valueOf(entry.required("rule").asText().toUpperCase());
        benefit.renewAfterMonths = entry.required("renew_after_months").asInt();
        benefit.graceDays = entry.required("grace_days").asInt();
        benefit.exemptUntilAge = entry.path("exempt_until_age").asInt(-1);
        if (entry.has("counts_from")) {
            benefit.countsFrom = date(entry.get("counts_from"));
        }
        List<int[]> windows = new ArrayList<>();
        for (JsonNode window : entry.path("windows")) {
            String from = window.required("from").asText();
            String to = window.required("to").asText();
            windows.add(new int[] {two(from, 0), two(from, 3), two(to, 0), two(to, 3)});
        }
        benefit.windows = windows.toArray(int[][]::new);
        List<int[]> spans = new ArrayList<>();
        for (JsonNode span : noLapse) {
            if (!span.has("benefit") || span.get("benefit").equals(entry.get("code"))) {
                spans.add(new int[] {date(span.required("from")), date(span.required("to"))});
            }
        }
        benefit.noLapse = spans.toArray(int[][]::new);
        benefit.accepts = accepts(entry.required("accepts"), benefit.department);
        return benefit;
    }

    private boolean[] accepts(JsonNode accepts, byte[] department) {
        boolean[] set = new boolean[kinds.length];
        for (int kind = 0; kind < kinds.length; kind++) {
            boolean named = accepts.asText().equals("all") || accepts.asText().equals("own") && Arrays.equals(kinds[kind].source, department);
            set[kind] = named && kinds[kind].strength == Strength.STRONG;
        }
        for (JsonNode code : accepts) {
            set[place(kindCodes, code)] = true;
        }
        return set;
    }

    private static int two(String text, int at) {
        return Integer.parseInt(text.substring(at, at + 2));
    }

    private static int date(JsonNode text) {
        return Math.toIntExact(java.time.LocalDate.parse(text.asText()).toEpochDay());
    }

    /** The first 8 bytes of SHA-256 of the canonical form, which is what people are shown without its white space. */
    private static byte[] hash(byte[] shown) {
        ByteArrayOutputStream canonical = new ByteArrayOutputStream(shown.length);
        boolean inText = false;
        for (int i = 0; i < shown.length; i++) {
            byte b = shown[i];
            if (inText && b == '\\') {
                canonical.write(b);
                b = shown[++i];
            } else if (b == '"') {
                inText = !inText;
            }
            if (inText || b > ' ' || b < 0) {
                canonical.write(b);
            }
        }
        byte[] sum = sha256().digest(canonical.toByteArray());
        return HexFormat.of().formatHex(sum, 0, 8).getBytes(StandardCharsets.US_ASCII);
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}
