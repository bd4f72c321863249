package engine.vouch.peers.flink;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * Gives the key, the Kafka timestamp and the bytes of an input. They travel to the subtask of the citizen as they are,
 * which is cheaper than to decode them before; a key must be something that Flink can hash, and so is a String.
 */
final class Received implements KafkaRecordDeserializationSchema<Tuple3<String, Long, byte[]>> {
    static final TypeInformation<Tuple3<String, Long, byte[]>> TYPE = Types.TUPLE(Types.STRING, Types.LONG, Types.PRIMITIVE_ARRAY(Types.BYTE));

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Tuple3<String, Long, byte[]>> out) throws IOException {
        out.collect(Tuple3.of(new String(record.key(), StandardCharsets.UTF_8), record.timestamp(), record.value()));
    }

    @Override
    public TypeInformation<Tuple3<String, Long, byte[]>> getProducedType() {
        return TYPE;
    }
}
