package engine.vouch.peers.rules;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The facts that the engine is tested with lead to the same certifications, ends of certifications and refusals here.
 * <code>rules</code> are seeded facts under a catalogue that has every rule; its events are what
 * <code>vouch decide</code> gives for them.
 */
class ExamplesTest {
    private static final Path RESOURCES = Path.of("src/test/resources");
    private static final Set<String> PORTED = Set.of("certification-completed", "certification-revoked");

    record Example(String catalogue, Path facts) {
        @Override
        public String toString() {
            return facts.getFileName().toString();
        }

        Path events() {
            return facts.resolveSibling(facts.getFileName().toString().replace(".facts.", ".events."));
        }
    }

    static List<Example> examples() throws IOException {
        List<Example> all = new ArrayList<>();
        all.add(new Example("rules", RESOURCES.resolve("rules.facts.ndjson")));
        for (String folder : List.of("stories", "awkward")) {
            try (Stream<Path> files = Files.list(AvroText.ROOT.resolve("topology/testdata/examples").resolve(folder))) {
                files.filter(file -> file.toString().endsWith(".facts.ndjson")).sorted().forEach(file -> all.add(new Example(folder, file)));
            }
        }
        assertTrue(all.size() > 2, "the engine's examples are not where they were");
        return all;
    }

    /** As Kafka Streams runs them, and Flink on RocksDB: every row is written and read again at every step. */
    @ParameterizedTest
    @MethodSource("examples")
    void rowsThatAreWritten(Example example) throws IOException {
        Rows rows = new Rows();
        check(example, citizen -> Rows.decode(rows.encode(citizen)));
    }

    /** As Flink runs them on its heap: a row changes in place, or its copy does while a checkpoint reads it. */
    @ParameterizedTest
    @MethodSource("examples")
    void rowsThatLive(Example example) throws IOException {
        check(example, citizen -> citizen);
    }

    @ParameterizedTest
    @MethodSource("examples")
    void rowsThatAreCopied(Example example) throws IOException {
        check(example, citizen -> {
            Citizen copy = citizen.copy();
            citizen.entries.forEach(entry -> entry.announced = !entry.announced); // the copy does not see it
            citizen.evidence.clear();
            return copy;
        });
    }

    private static void check(Example example, UnaryOperator<Citizen> keep) throws IOException {
        List<JsonNode> events = lines(example.events());
        List<JsonNode> want = events.stream().filter(event -> PORTED.contains(event.get("topic").asText())).toList();
        boolean hashed = want.stream().anyMatch(event -> event.get("value").has("catalogue"));
        Catalogue catalogue = new Catalogue(Files.readAllBytes(RESOURCES.resolve(example.catalogue + ".catalogue.json")));
        Fold fold = new Fold(catalogue, keep);
        for (JsonNode line : lines(example.facts)) {
            fold.step(line);
        }
        if (!hashed) { // the engine's examples leave the hash out
            fold.events.forEach(event -> ((ObjectNode) event.get("value")).remove("catalogue"));
        }
        for (int i = 0; i < Math.min(want.size(), fold.events.size()); i++) {
            assertEquals(want.get(i), fold.events.get(i), example + ", event " + i);
        }
        assertEquals(want.size(), fold.events.size());
        assertEquals(refusals(events), fold.refused);
    }

    /** How many inputs but payouts the engine puts in quarantine. */
    private static long refusals(List<JsonNode> events) {
        return events.stream().filter(event -> event.get("topic").asText().equals("quarantine") && !event.get("value").has("payout_id")
                && !event.get("value").has("at")).count();
    }

    private static List<JsonNode> lines(Path file) throws IOException {
        List<JsonNode> lines = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            lines.add(AvroText.JSON.readTree(line));
        }
        return lines;
    }

    /** One partition, offline. */
    private static final class Fold {
        final List<JsonNode> events = new ArrayList<>();
        long refused;
        private final Inputs inputs;
        private final Rules rules;
        private final UnaryOperator<Citizen> keep;
        private final Map<String, Citizen> citizens = new HashMap<>();
        private long clock = Rules.NO_TICK;
        private final Map<String, Schema> schemas = new HashMap<>();

        Fold(Catalogue catalogue, UnaryOperator<Citizen> keep) throws IOException {
            inputs = new Inputs(catalogue);
            rules = new Rules(catalogue);
            this.keep = keep;
            for (String name : List.of("evidence", "roster_entry", "clock_tick", "certification_completed", "certification_revoked")) {
                schemas.put(name, AvroText.schema(name));
            }
        }

        void step(JsonNode line) throws IOException {
            String topic = line.get("topic").asText();
            if (topic.equals("payout")) {
                return;
            }
            long at = Instant.parse(line.get("at").asText()).toEpochMilli();
            Input input = input(topic, line.get("value"));
            if (input instanceof ClockTick tick) {
                clock = Rules.onTick(clock, tick, at);
                return;
            }
            String key = line.has("key") ? line.get("key").asText("") : line.get("value").path("citizen_id").asText();
            Citizen citizen = citizens.getOrDefault(key, new Citizen());
            Decision decision = input == null ? null : rules.step(citizen, key.getBytes(StandardCharsets.UTF_8), input, at, clock);
            if (decision == null || decision.refused()) {
                refused++;
                return;
            }
            if (decision.changed()) {
                citizens.put(key, keep.apply(citizen));
            }
            for (byte[] value : decision.completed()) {
                event("certification-completed", key, AvroText.decode(schemas.get("certification_completed"), value));
            }
            if (decision.revoked() != null) {
                event("certification-revoked", key, AvroText.decode(schemas.get("certification_revoked"), decision.revoked()));
            }
        }

        /** The input, null where it does not fit its schema. */
        private Input input(String topic, JsonNode value) throws IOException {
            try {
                return inputs.decode(switch (topic) {
                    case "evidence" -> AvroText.encode(schemas.get("evidence"), Inputs.EVIDENCE, value);
                    case "roster" -> AvroText.encode(schemas.get("roster_entry"), Inputs.ROSTER_ENTRY, value);
                    default -> AvroText.encode(schemas.get("clock_tick"), Inputs.CLOCK_TICK, value);
                });
            } catch (AvroRuntimeException e) {
                return null;
            }
        }

        private void event(String topic, String key, JsonNode value) {
            ObjectNode event = AvroText.JSON.createObjectNode();
            event.put("key", key).put("topic", topic).set("value", value);
            events.add(event);
        }
    }
}
