package engine.vouch.peers.rules;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.junit.jupiter.api.Test;

class InputsTest {
    /** The fields that are read and written by hand are those of the engine's schemas. */
    @Test
    void fingerprints() throws IOException {
        Map<String, Long> all = Map.of(
                "evidence", Inputs.EVIDENCE, "roster_entry", Inputs.ROSTER_ENTRY, "clock_tick", Inputs.CLOCK_TICK,
                "certification_completed", Outputs.COMPLETED, "certification_revoked", Outputs.REVOKED, "schedule_entry", Outputs.SCHEDULE);
        for (Map.Entry<String, Long> each : all.entrySet()) {
            assertEquals(SchemaNormalization.parsingFingerprint64(AvroText.schema(each.getKey())), each.getValue(), each.getKey());
        }
    }

    /** A value that is cut off, or goes on, is no value. */
    @Test
    void damaged() throws IOException {
        Inputs inputs = new Inputs(new Catalogue(Files.readAllBytes(Path.of("src/test/resources/rules.catalogue.json"))));
        Schema schema = AvroText.schema("evidence");
        byte[] whole = AvroText.encode(schema, Inputs.EVIDENCE, AvroText.JSON.readTree("""
                {"evidence_id": "e", "citizen_id": "c", "kind": "FACE", "source": "LABOUR", "reference": "r", "attributes": {"a": "b"},
                 "occurred_at": "2023-01-02T03:04:05.006Z", "recorded_at": "2023-01-02T03:04:05.006Z"}"""));
        assertEquals("c", new String(((EvidenceRecord) inputs.decode(whole)).citizen(), java.nio.charset.StandardCharsets.UTF_8));
        for (int size = 0; size < whole.length; size++) {
            byte[] cut = Arrays.copyOf(whole, size);
            assertThrows(IllegalArgumentException.class, () -> inputs.decode(cut));
        }
        assertThrows(IllegalArgumentException.class, () -> inputs.decode(Arrays.copyOf(whole, whole.length + 1)));
        assertThrows(IllegalArgumentException.class, () -> inputs.decode(null));
    }
}
