package engine.vouch.peers.flink;

import engine.vouch.peers.rules.Catalogue;
import engine.vouch.peers.rules.Citizen;
import engine.vouch.peers.rules.ClockTick;
import engine.vouch.peers.rules.Decision;
import engine.vouch.peers.rules.Inputs;
import engine.vouch.peers.rules.Rules;
import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ReadOnlyBroadcastState;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.streaming.api.functions.co.KeyedBroadcastProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Binds the rules to a citizen. Ticks go to every subtask. Flink has no order between topics: a tick may come before
 * evidence that is older, or after evidence that is younger, so that what depends on the clock may differ from the
 * engine's. What the engine puts in quarantine is left out here.
 */
final class Certifier extends KeyedBroadcastProcessFunction<String, Tuple3<String, Long, byte[]>, Tuple3<String, Long, byte[]>, Tuple4<String, byte[], Long, byte[]>> {
    private static final int CLOCK = 0;
    static final MapStateDescriptor<Integer, Long> CLOCKS = new MapStateDescriptor<>("clock", Types.INT, Types.LONG);

    private final byte[] text; // of the catalogue
    private transient Inputs inputs;
    private transient Rules rules;
    private transient ValueState<Citizen> row;

    Certifier(byte[] text) {
        this.text = text;
    }

    @Override
    public void open(OpenContext context) throws Exception {
        Catalogue catalogue = new Catalogue(text);
        inputs = new Inputs(catalogue);
        rules = new Rules(catalogue);
        row = getRuntimeContext().getState(new ValueStateDescriptor<>("citizen", new CitizenSerializer()));
        Main.OPENED.countDown();
    }

    @Override
    public void processElement(Tuple3<String, Long, byte[]> in, ReadOnlyContext context, Collector<Tuple4<String, byte[], Long, byte[]>> out) throws Exception {
        ReadOnlyBroadcastState<Integer, Long> clocks = context.getBroadcastState(CLOCKS);
        Long clock = clocks.get(CLOCK);
        Citizen citizen = row.value();
        if (citizen == null) {
            citizen = new Citizen();
        }
        byte[] key = in.f0.getBytes(StandardCharsets.UTF_8);
        Decision decision = rules.step(citizen, key, inputs.decode(in.f2), in.f1, clock == null ? Rules.NO_TICK : clock);
        if (decision.changed()) {
            row.update(citizen);
        }
        for (int i = 0; i < decision.completed().size(); i++) {
            out.collect(Tuple4.of("certification-completed", key, in.f1, decision.completed().get(i)));
        }
        if (decision.revoked() != null) {
            out.collect(Tuple4.of("certification-revoked", key, in.f1, decision.revoked()));
        }
        if (decision.schedule() != null) {
            out.collect(Tuple4.of("schedule", key, in.f1, decision.schedule()));
        }
    }

    @Override
    public void processBroadcastElement(Tuple3<String, Long, byte[]> in, Context context, Collector<Tuple4<String, byte[], Long, byte[]>> out) throws Exception {
        ClockTick tick = (ClockTick) inputs.decode(in.f2);
        BroadcastState<Integer, Long> clocks = context.getBroadcastState(CLOCKS);
        Long held = clocks.get(CLOCK);
        long before = held == null ? Rules.NO_TICK : held;
        long now = Rules.onTick(before, tick, in.f1);
        if (now != before) {
            clocks.put(CLOCK, now);
        }
        int subtasks = getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
        if (Math.floorMod(in.f0.hashCode(), subtasks) == getRuntimeContext().getTaskInfo().getIndexOfThisSubtask()) {
            out.collect(Tuple4.of("schedule", in.f0.getBytes(StandardCharsets.UTF_8), in.f1, Inputs.encode(tick))); // one of them passes it on
        }
    }
}
