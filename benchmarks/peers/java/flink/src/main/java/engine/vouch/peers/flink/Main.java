package engine.vouch.peers.flink;

import engine.vouch.peers.command.Flags;
import engine.vouch.peers.command.Peer;
import engine.vouch.peers.rules.Catalogue;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.producer.ProducerConfig;

/** Starts the certifier on Flink, all in this process. What is not set here is as Flink has it. */
public final class Main implements Peer {
    private static final int PARALLELISM = 2;
    private static final String MANAGED_MEMORY = "512m"; // RocksDB's caches and write buffers, of all subtasks
    private static final Duration TRANSACTION_TIMEOUT = Duration.ofMinutes(10); // brokers refuse more than 15

    /** Counted down by each subtask that has its state. */
    static final CountDownLatch OPENED = new CountDownLatch(PARALLELISM);

    private final StreamExecutionEnvironment environment;
    private final CompletableFuture<JobClient> job = new CompletableFuture<>();

    private Main(Flags flags) throws IOException {
        byte[] catalogue = Peer.catalogue(flags);
        new Catalogue(catalogue); // it is read where it is used, and a mistake in it is said here
        environment = StreamExecutionEnvironment.createLocalEnvironment(PARALLELISM, configuration(flags));
        build(flags, catalogue);
    }

    private static Configuration configuration(Flags flags) throws IOException {
        Path state = Path.of(flags.required("state")).toAbsolutePath();
        Path checkpoints = state.resolve("checkpoints");
        String backend = flags.oneOf("state-backend", "heap", "rocksdb");
        Configuration c = new Configuration();
        c.set(StateBackendOptions.STATE_BACKEND, backend.equals("heap") ? "hashmap" : backend);
        c.set(CheckpointingOptions.INCREMENTAL_CHECKPOINTS, backend.equals("rocksdb"));
        c.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(flags.millisOr("checkpoint", "1s")));
        c.set(CheckpointingOptions.CHECKPOINTING_CONSISTENCY_MODE, CheckpointingMode.EXACTLY_ONCE);
        c.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        c.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, checkpoints.toUri().toString());
        c.set(CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION, ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION);
        c.set(PipelineOptions.OBJECT_REUSE, true);
        c.set(RestartStrategyOptions.RESTART_STRATEGY, "none"); // who started the process starts it again
        c.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.parse(MANAGED_MEMORY));
        c.setString("state.backend.rocksdb.localdir", state.resolve("rocksdb").toString());
        Checkpoints.newest(checkpoints).ifPresent(newest -> c.set(StateRecoveryOptions.SAVEPOINT_PATH, newest.toUri().toString()));
        return c;
    }

    private void build(Flags flags, byte[] catalogue) {
        String prefix = flags.required("prefix");
        DataStream<Tuple3<String, Long, byte[]>> facts = source(flags, "roster").union(source(flags, "evidence"));
        facts.keyBy(fact -> fact.f0, Types.STRING)
                .connect(source(flags, "clock").broadcast(Certifier.CLOCKS))
                .process(new Certifier(catalogue), Sent.TYPE)
                .uid("certifier")
                .sinkTo(KafkaSink.<Tuple4<String, byte[], Long, byte[]>>builder()
                        .setBootstrapServers(flags.required("brokers"))
                        .setRecordSerializer(new Sent(prefix))
                        .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                        .setTransactionalIdPrefix(prefix + "certifier")
                        .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                        .setProperty(ProducerConfig.COMPRESSION_TYPE_CONFIG, COMPRESSION)
                        .setProperty(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG, String.valueOf(TRANSACTION_TIMEOUT.toMillis()))
                        .build())
                .uid("outputs");
    }

    private DataStream<Tuple3<String, Long, byte[]>> source(Flags flags, String topic) {
        String prefix = flags.required("prefix");
        KafkaSource<Tuple3<String, Long, byte[]>> source = KafkaSource.<Tuple3<String, Long, byte[]>>builder()
                .setBootstrapServers(flags.required("brokers"))
                .setTopics(prefix + topic)
                .setGroupId(prefix + "certifier")
                .setClientIdPrefix(prefix + topic)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setDeserializer(new Received())
                .build();
        return environment.fromSource(source, WatermarkStrategy.noWatermarks(), topic, Received.TYPE).uid(topic);
    }

    @Override
    public void run(Runnable ready) throws Exception {
        JobClient started = environment.executeAsync("certifier");
        job.complete(started);
        CompletableFuture<?> ended = started.getJobExecutionResult();
        boolean opened = false;
        while (!opened && !ended.isDone()) {
            opened = OPENED.await(10, TimeUnit.MILLISECONDS);
        }
        if (opened) {
            ready.run();
        }
        ended.get();
    }

    /** Cancels the job; the next process goes on with the checkpoint that it leaves. */
    @Override
    public void end() throws Exception {
        if (job.isDone()) {
            job.get().cancel().get(END.toMillis(), TimeUnit.MILLISECONDS);
        }
    }

    /** Runs the certifier until it is told to end. */
    public static void main(String[] arguments) {
        Peer.main("flink", arguments, List.of("brokers", "prefix", "state", "catalogue", "state-backend", "checkpoint"), Main::new);
    }
}
