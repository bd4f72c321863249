package engine.vouch.peers.streams;

import engine.vouch.peers.rules.Citizen;
import engine.vouch.peers.rules.Rows;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;

/** Rows as the store keeps them. Both threads share it, and each has its own buffer. */
final class CitizenSerde implements Serde<Citizen> {
    private final ThreadLocal<Rows> rows = ThreadLocal.withInitial(Rows::new);

    @Override
    public Serializer<Citizen> serializer() {
        return (topic, citizen) -> citizen == null ? null : rows.get().encode(citizen);
    }

    @Override
    public Deserializer<Citizen> deserializer() {
        return (topic, row) -> row == null ? null : Rows.decode(row);
    }
}
