package engine.vouch.peers.command;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import org.junit.jupiter.api.Test;

class FlagsTest {
    private static Flags flags(String... arguments) {
        return new Flags(List.of(arguments), List.of("state", "cache", "commit"));
    }

    @Test
    void values() {
        Flags flags = flags("--state", "/s", "--cache=10MB", "--commit=1s");
        assertEquals("/s", flags.required("state"));
        assertEquals(10 << 20, flags.bytesOr("cache", "off"));
        assertEquals(1000, flags.millisOr("commit", "100ms"));
        assertEquals(0, flags().bytesOr("cache", "off"));
        assertEquals(100, flags().millisOr("commit", "100ms"));
    }

    @Test
    void complaints() {
        for (String[] wrong : new String[][] {{"--colour", "red"}, {"--state"}, {"state", "/s"}}) {
            assertThrows(IllegalArgumentException.class, () -> flags(wrong));
        }
        assertThrows(IllegalArgumentException.class, () -> flags().required("state"));
        assertThrows(IllegalArgumentException.class, () -> flags("--cache", "much").bytesOr("cache", "off"));
        assertThrows(IllegalArgumentException.class, () -> flags("--commit", "soon").millisOr("commit", "1s"));
    }
}
