package engine.vouch.peers.rules;

import java.util.ArrayList;

/** All that is held of one citizen; of a new one, nothing. {@link Rows} says how it is written. */
public final class Citizen {
    /** One place more than are held: a step adds at most one. */
    private static final int ENTRIES_TYPICAL = 3;

    private static final int EVIDENCE_TYPICAL = 9;

    final ArrayList<Entry> entries; // sorted by benefit
    final ArrayList<Evidence> evidence; // newest first: see Evidence.compareNewest
    boolean looked; // the catalogue has been asked what it says of the evidence

    /** A citizen of whom nothing is known. */
    public Citizen() {
        this(ENTRIES_TYPICAL, EVIDENCE_TYPICAL);
    }

    Citizen(int entries, int evidence) {
        this.entries = new ArrayList<>(entries);
        this.evidence = new ArrayList<>(evidence);
    }

    /** A citizen that can change without this one; they share what never changes. */
    public Citizen copy() {
        Citizen copy = new Citizen(entries.size() + 1, evidence.size() + 1);
        entries.forEach(entry -> copy.entries.add(entry.copy()));
        copy.evidence.addAll(evidence);
        copy.looked = looked;
        return copy;
    }
}
