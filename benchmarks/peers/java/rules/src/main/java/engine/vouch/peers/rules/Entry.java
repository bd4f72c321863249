package engine.vouch.peers.rules;

/** The version that holds of one benefit's roster entry, with what was announced of the enrolment. */
final class Entry {
    RosterEntry held;
    boolean announced; // something was announced; until then announcedUntil has no meaning
    boolean provenOn; // false after a revocation that left no proof
    int announcedOn; // the date of the proof that was announced last, where provenOn
    int announcedUntil;

    Entry copy() {
        Entry copy = new Entry();
        copy.held = held;
        copy.announced = announced;
        copy.provenOn = provenOn;
        copy.announcedOn = announcedOn;
        copy.announcedUntil = announcedUntil;
        return copy;
    }
}
