package engine.vouch.peers.flink;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;
import java.util.stream.Stream;

/** Finds the checkpoint with which a process goes on. Each job that Flink starts has a directory of its own. */
final class Checkpoints {
    private static final String NAME = "chk-";

    private Checkpoints() {}

    /** The newest one that is complete, if there is one. Numbers rise from job to job. */
    static Optional<Path> newest(Path directory) throws IOException {
        if (!Files.isDirectory(directory)) {
            return Optional.empty();
        }
        try (Stream<Path> all = Files.find(directory, 2, (path, attributes) -> path.getFileName().toString().startsWith(NAME))) {
            return all.filter(path -> Files.exists(path.resolve("_metadata"))).max(Comparator.comparingLong(Checkpoints::number));
        }
    }

    private static long number(Path checkpoint) {
        return Long.parseLong(checkpoint.getFileName().toString().substring(NAME.length()));
    }
}
