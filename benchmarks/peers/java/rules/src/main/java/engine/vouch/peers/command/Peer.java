package engine.vouch.peers.command;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/** A system that runs the rules. */
public interface Peer {
    /** How long a peer may take to end once it is told to. */
    Duration END = Duration.ofSeconds(12);

    /** What is produced is compressed with, as the engine and the peers in Go do by default. */
    String COMPRESSION = "snappy";

    /** Starts, calls ready once it processes, and returns only when it has failed. */
    void run(Runnable ready) throws Exception;

    /** Ends cleanly, within {@link #END}; called from another thread. */
    void end() throws Exception;

    /** Makes a peer from its flags. */
    interface Maker {
        /** A peer that is not started yet. */
        Peer make(Flags flags) throws IOException;
    }

    /**
     * The whole of a peer's process: it prints "ready", ends with status 0 when it is told to end, with 1 and a sentence
     * when it fails, with 2 when it is called wrongly.
     */
    static void main(String name, String[] arguments, List<String> known, Maker maker) {
        Peer peer;
        try {
            peer = maker.make(new Flags(List.of(arguments), known));
        } catch (Flags.WrongUsage e) {
            System.err.println(name + ": " + e.getMessage());
            System.exit(2);
            return;
        } catch (Exception e) {
            System.err.println(name + ": " + sentence(e));
            System.exit(1);
            return;
        }
        AtomicBoolean told = new AtomicBoolean(); // to end: what fails from then on fails because of it
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            told.set(true);
            halt(name, peer);
        }, "end"));
        try {
            peer.run(() -> {
                System.out.println("ready");
                System.out.flush();
            });
            throw new IllegalStateException("it stopped by itself, which it never should");
        } catch (Exception e) {
            if (!told.get()) {
                System.err.println(name + ": " + sentence(e));
                Runtime.getRuntime().halt(1);
            }
        }
    }

    /** What failed, and why, down to the first cause. */
    private static String sentence(Throwable failure) {
        StringBuilder sentence = new StringBuilder(String.valueOf(failure.getMessage()));
        for (Throwable cause = failure.getCause(); cause != null; cause = cause.getCause()) {
            String why = String.valueOf(cause.getMessage());
            if (sentence.indexOf(why) < 0) {
                sentence.append(": ").append(why);
            }
        }
        return sentence.toString();
    }

    /** A process that a signal ends has a status of its own, unless it is halted here. */
    private static void halt(String name, Peer peer) {
        int status = 0;
        try {
            peer.end();
        } catch (Exception e) {
            System.err.println(name + ": end: " + sentence(e));
            status = 1;
        }
        Runtime.getRuntime().halt(status);
    }

    /** The text of a catalogue. */
    static byte[] catalogue(Flags flags) throws IOException {
        String file = flags.required("catalogue");
        try {
            return Files.readAllBytes(Path.of(file));
        } catch (NoSuchFileException e) {
            throw new IOException("read the catalogue " + file + ": there is no such file; vouch catalogue show writes one");
        }
    }
}
