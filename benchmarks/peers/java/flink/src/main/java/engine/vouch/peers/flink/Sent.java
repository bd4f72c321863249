package engine.vouch.peers.flink;

import java.util.List;
import java.util.Optional;
import java.util.Properties;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetIdentifier;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacetProvider;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Gives an output, which is a topic without prefix, a key, a Kafka timestamp and a value, to the producer. */
final class Sent implements KafkaRecordSerializationSchema<Tuple4<String, byte[], Long, byte[]>>, KafkaDatasetFacetProvider {
    static final TypeInformation<Tuple4<String, byte[], Long, byte[]>> TYPE =
            Types.TUPLE(Types.STRING, Types.PRIMITIVE_ARRAY(Types.BYTE), Types.LONG, Types.PRIMITIVE_ARRAY(Types.BYTE));

    private static final List<String> TOPICS = List.of("certification-completed", "certification-revoked", "schedule");

    private final String prefix;

    Sent(String prefix) {
        this.prefix = prefix;
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(Tuple4<String, byte[], Long, byte[]> output, KafkaSinkContext context, Long timestamp) {
        return new ProducerRecord<>(prefix + output.f0, null, output.f2, output.f1, output.f3);
    }

    /** The topics: the sink asks their brokers for the transactions that an earlier process left open. */
    @Override
    public Optional<KafkaDatasetFacet> getKafkaDatasetFacet() {
        List<String> topics = TOPICS.stream().map(topic -> prefix + topic).toList();
        return Optional.of(new DefaultKafkaDatasetFacet(DefaultKafkaDatasetIdentifier.ofTopics(topics), new Properties()));
    }
}
