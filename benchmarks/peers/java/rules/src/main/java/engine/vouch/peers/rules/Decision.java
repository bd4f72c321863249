package engine.vouch.peers.rules;

import java.util.ArrayList;
import java.util.List;

/** What one input led to, as values in Avro's single-object encoding. It is used again: it holds until the next step. */
public final class Decision {
    boolean refused;
    boolean changed;
    final List<byte[]> completed = new ArrayList<>();
    byte[] revoked;
    byte[] schedule;

    void reset() {
        refused = false;
        changed = false;
        completed.clear();
        revoked = null;
        schedule = null;
    }

    /** Whether the record would be put in quarantine; then nothing else has happened. */
    public boolean refused() {
        return refused;
    }

    /** Whether the row has changed; when not it need not be written. */
    public boolean changed() {
        return changed;
    }

    /** Values for certification-completed, in order. */
    public List<byte[]> completed() {
        return completed;
    }

    /** A value for certification-revoked, null if there is none. */
    public byte[] revoked() {
        return revoked;
    }

    /** A value for schedule, null when nothing that the timer must know has changed. */
    public byte[] schedule() {
        return schedule;
    }
}
