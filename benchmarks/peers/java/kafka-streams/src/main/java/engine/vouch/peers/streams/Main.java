package engine.vouch.peers.streams;

import engine.vouch.peers.command.Flags;
import engine.vouch.peers.command.Peer;
import engine.vouch.peers.rules.Catalogue;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** Starts the certifier on Kafka Streams. What is not set here is as Kafka Streams has it. */
public final class Main implements Peer {
    private static final int THREADS = 2;
    private static final int SESSION_TIMEOUT_MILLIS = 10_000; // the engine's

    private final KafkaStreams streams;
    private final CompletableFuture<Void> failed = new CompletableFuture<>();

    private Main(Flags flags) throws IOException {
        long cache = flags.bytesOr("cache", "off");
        String prefix = flags.required("prefix");
        Properties p = new Properties();
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "certifier");
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, flags.required("brokers"));
        p.put(StreamsConfig.STATE_DIR_CONFIG, flags.required("state"));
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, THREADS);
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, flags.millisOr("commit", "100ms"));
        p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, cache);
        p.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), COMPRESSION);
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), SESSION_TIMEOUT_MILLIS);
        // A static member, as the engine's are: one that comes back after a crash need not wait until it is missed.
        String directory = Path.of(flags.required("state")).toAbsolutePath().normalize().toString();
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), "in-" + Integer.toHexString(directory.hashCode()));
        streams = new KafkaStreams(Certifier.topology(new Catalogue(Peer.catalogue(flags)), prefix, cache > 0), p);
    }

    @Override
    public void run(Runnable ready) throws Exception {
        streams.setUncaughtExceptionHandler(e -> {
            failed.completeExceptionally(e);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        CompletableFuture<Void> running = new CompletableFuture<>();
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                running.complete(null);
            }
        });
        streams.start();
        CompletableFuture.anyOf(running, failed).get();
        ready.run();
        failed.get();
    }

    @Override
    public void end() {
        // A member that leaves is not waited for when the next one comes.
        boolean ended = streams.close(CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP).withTimeout(END));
        if (!ended) {
            throw new IllegalStateException("its threads did not stop within " + END.toSeconds() + " s");
        }
    }

    /** Runs the certifier until it is told to end. */
    public static void main(String[] arguments) {
        Peer.main("kafka-streams", arguments, List.of("brokers", "prefix", "state", "catalogue", "cache", "commit"), Main::new);
    }
}
