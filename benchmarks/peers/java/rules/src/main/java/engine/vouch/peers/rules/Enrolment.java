package engine.vouch.peers.rules;

/** How one benefit of a citizen stands. */
final class Enrolment {
    Entry entry;
    Catalogue.Benefit benefit;
    int anniversary; // the base before any exemption
    int base;
    int dueOn;
    Evidence proof; // the strong record on which it rests, null if there is none
    int until; // that the proof certifies

    void set(Enrolment other) {
        entry = other.entry;
        benefit = other.benefit;
        anniversary = other.anniversary;
        base = other.base;
        dueOn = other.dueOn;
        proof = other.proof;
        until = other.until;
    }

    /** How long the citizen has been told that the benefit holds. */
    int told() {
        return entry.announced ? Math.max(entry.announcedUntil, base) : base;
    }
}
