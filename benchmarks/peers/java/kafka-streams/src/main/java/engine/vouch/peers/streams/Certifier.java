package engine.vouch.peers.streams;

import engine.vouch.peers.rules.Catalogue;
import engine.vouch.peers.rules.Citizen;
import engine.vouch.peers.rules.ClockTick;
import engine.vouch.peers.rules.Decision;
import engine.vouch.peers.rules.Input;
import engine.vouch.peers.rules.Inputs;
import engine.vouch.peers.rules.Rules;
import java.util.List;
import java.util.Set;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Binds the rules to a task, which is a partition: Kafka Streams hands it the records of the three inputs in the order
 * of their timestamps. What the engine puts in quarantine is left out here.
 */
final class Certifier implements Processor<byte[], Input, byte[], byte[]> {
    private static final String ROWS = "citizens";
    private static final String CLOCK = "clock";
    private static final String COMPLETED = "certification-completed";
    private static final String REVOKED = "certification-revoked";
    private static final String SCHEDULE = "schedule";

    private final Rules rules;
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], Citizen> rows;
    private KeyValueStore<String, Long> clocks;
    private long clock;

    private Certifier(Catalogue catalogue) {
        rules = new Rules(catalogue);
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        rows = context.getStateStore(ROWS);
        clocks = context.getStateStore(CLOCK);
        Long held = clocks.get(CLOCK);
        clock = held == null ? Rules.NO_TICK : held;
    }

    @Override
    public void process(Record<byte[], Input> record) {
        if (record.value() instanceof ClockTick tick) {
            onTick(record, tick);
            return;
        }
        byte[] key = record.key();
        Citizen citizen = rows.get(key);
        if (citizen == null) {
            citizen = new Citizen();
        }
        Decision decision = rules.step(citizen, key, record.value(), record.timestamp(), clock);
        if (decision.changed()) {
            rows.put(key, citizen);
        }
        for (int i = 0; i < decision.completed().size(); i++) {
            context.forward(record.withValue(decision.completed().get(i)), COMPLETED);
        }
        if (decision.revoked() != null) {
            context.forward(record.withValue(decision.revoked()), REVOKED);
        }
        if (decision.schedule() != null) {
            context.forward(record.withValue(decision.schedule()), SCHEDULE);
        }
    }

    /** Moves the clock on and passes the tick on in its place; its key lies on its partition there too. */
    private void onTick(Record<byte[], Input> record, ClockTick tick) {
        long now = Rules.onTick(clock, tick, record.timestamp());
        if (now != clock) {
            clock = now;
            clocks.put(CLOCK, now);
            context.forward(record.withValue(Inputs.encode(tick)), SCHEDULE);
        }
    }

    /** The topology of the certifier. */
    static Topology topology(Catalogue catalogue, String prefix, boolean cached) {
        Inputs inputs = new Inputs(catalogue);
        Deserializer<Input> values = (topic, value) -> inputs.decode(value);
        StoreBuilder<KeyValueStore<byte[], Citizen>> rows =
                Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(ROWS), Serdes.ByteArray(), new CitizenSerde());
        StoreBuilder<KeyValueStore<String, Long>> clock =
                Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(CLOCK), Serdes.String(), Serdes.Long());
        Set<StoreBuilder<?>> stores = Set.of(cached ? rows.withCachingEnabled() : rows, clock);
        Topology topology = new Topology();
        for (String source : List.of("roster", "evidence", "clock")) {
            topology.addSource("from-" + source, new ByteArrayDeserializer(), values, prefix + source);
        }
        topology.addProcessor("certifier", new ProcessorSupplier<byte[], Input, byte[], byte[]>() {
            @Override
            public Processor<byte[], Input, byte[], byte[]> get() {
                return new Certifier(catalogue);
            }

            @Override
            public Set<StoreBuilder<?>> stores() {
                return stores;
            }
        }, "from-roster", "from-evidence", "from-clock");
        for (String sink : List.of(COMPLETED, REVOKED, SCHEDULE)) {
            topology.addSink(sink, prefix + sink, new ByteArraySerializer(), new ByteArraySerializer(), "certifier");
        }
        return topology;
    }
}
