import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Waits until no transaction is open in some topics, since a broker writes a transaction's markers after it has
 * confirmed its end: <code>java -cp 'jars/*' Settled.java SECONDS BROKERS TOPIC…</code>. Status 1 if that takes longer.
 */
final class Settled {
    private Settled() {}

    private static KafkaConsumer<byte[], byte[]> consumer(String brokers, String isolation) {
        Properties p = new Properties();
        p.put("bootstrap.servers", brokers);
        p.put("isolation.level", isolation);
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    public static void main(String[] arguments) throws InterruptedException {
        long end = System.nanoTime() + Duration.ofSeconds(Long.parseLong(arguments[0])).toNanos();
        try (KafkaConsumer<byte[], byte[]> all = consumer(arguments[1], "read_uncommitted");
                KafkaConsumer<byte[], byte[]> committed = consumer(arguments[1], "read_committed")) {
            List<TopicPartition> partitions = Stream.of(arguments).skip(2).flatMap(topic -> all.partitionsFor(topic).stream())
                    .map(info -> new TopicPartition(info.topic(), info.partition())).toList();
            while (true) {
                Map<TopicPartition, Long> ends = all.endOffsets(partitions);
                if (committed.endOffsets(partitions).equals(ends)) {
                    return;
                }
                if (System.nanoTime() > end) {
                    System.err.println("a transaction is still open");
                    System.exit(1);
                }
                Thread.sleep(50);
            }
        }
    }
}
