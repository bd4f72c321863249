package engine.vouch.peers.flink;

import engine.vouch.peers.rules.Citizen;
import engine.vouch.peers.rules.Rows;
import java.io.IOException;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Rows as Flink keeps them in RocksDB and in checkpoints: their length and their bytes. */
public final class CitizenSerializer extends TypeSerializer<Citizen> {
    private transient Rows rows; // a buffer, made when it is first asked for; a serializer is for one thread

    @Override
    public void serialize(Citizen citizen, DataOutputView to) throws IOException {
        if (rows == null) {
            rows = new Rows();
        }
        byte[] row = rows.encode(citizen);
        to.writeInt(row.length);
        to.write(row);
    }

    @Override
    public Citizen deserialize(DataInputView from) throws IOException {
        byte[] row = new byte[from.readInt()];
        from.readFully(row);
        return Rows.decode(row);
    }

    @Override
    public Citizen deserialize(Citizen reuse, DataInputView from) throws IOException {
        return deserialize(from);
    }

    @Override
    public void copy(DataInputView from, DataOutputView to) throws IOException {
        int length = from.readInt();
        to.writeInt(length);
        to.write(from, length);
    }

    @Override
    public Citizen copy(Citizen citizen) {
        return citizen.copy();
    }

    @Override
    public Citizen copy(Citizen citizen, Citizen reuse) {
        return citizen.copy();
    }

    @Override
    public TypeSerializer<Citizen> duplicate() {
        return new CitizenSerializer();
    }

    @Override
    public Citizen createInstance() {
        return new Citizen();
    }

    @Override
    public boolean isImmutableType() {
        return false;
    }

    @Override
    public int getLength() {
        return -1; // rows have no fixed length
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof CitizenSerializer;
    }

    @Override
    public int hashCode() {
        return CitizenSerializer.class.hashCode();
    }

    @Override
    public TypeSerializerSnapshot<Citizen> snapshotConfiguration() {
        return new Snapshot();
    }

    /** Says in a checkpoint which serializer wrote it. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<Citizen> {
        /** The one that there is. */
        public Snapshot() {
            super(CitizenSerializer::new);
        }
    }
}
