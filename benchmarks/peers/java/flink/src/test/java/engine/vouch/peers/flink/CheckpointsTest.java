package engine.vouch.peers.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointsTest {
    @TempDir
    private Path directory;

    /** Of all jobs the greatest number, 10 after 9, of those that were written to their end. */
    @Test
    void newest() throws IOException {
        assertEquals(Optional.empty(), Checkpoints.newest(directory.resolve("none")));
        assertEquals(Optional.empty(), Checkpoints.newest(directory));
        Files.createDirectories(directory.resolve("older/shared"));
        checkpoint("older/chk-8", true);
        checkpoint("older/chk-9", true);
        Path newest = checkpoint("newer/chk-10", true);
        checkpoint("newer/chk-11", false);
        assertEquals(Optional.of(newest), Checkpoints.newest(directory));
    }

    private Path checkpoint(String name, boolean complete) throws IOException {
        Path checkpoint = Files.createDirectories(directory.resolve(name));
        if (complete) {
            Files.createFile(checkpoint.resolve("_metadata"));
        }
        return checkpoint;
    }
}
