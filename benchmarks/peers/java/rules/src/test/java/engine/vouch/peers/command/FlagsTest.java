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
        assertEquals("/s", flags.oneOf("state", "/r", "/s"));
        assertEquals("/r", flags().oneOf("state", "/r", "/s"));
        assertEquals(0, flags().bytesOr("cache", "off"));
        assertEquals(100, flags().millisOr("commit", "100ms"));
    }

    @Test
    void complaints() {
        for (String[] wrong : new String[][] {{"--colour", "red"}, {"--state"}, {"state", "/s"}}) {
            assertThrows(Flags.WrongUsage.class, () -> flags(wrong));
        }
        assertThrows(Flags.WrongUsage.class, () -> flags().required("state"));
        assertThrows(Flags.WrongUsage.class, () -> flags("--cache", "much").bytesOr("cache", "off"));
        assertThrows(Flags.WrongUsage.class, () -> flags("--state", "gone").oneOf("state", "heap", "rocksdb"));
        assertThrows(Flags.WrongUsage.class, () -> flags("--commit", "soon").millisOr("commit", "1s"));
    }
}
