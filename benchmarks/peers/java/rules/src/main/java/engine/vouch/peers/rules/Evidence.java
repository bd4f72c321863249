package engine.vouch.peers.rules;

import java.util.Arrays;

/**
 * The version that holds of one evidence record. What a row says of it never changes; {@link Rules} looks up the rest,
 * once for a row that was just read.
 */
final class Evidence {
    final byte[] id;
    final int kind; // its place in the catalogue
    final long occurredAt;
    final long recordedAt;
    final boolean retracted;
    boolean corrected; // replaced a held version of another instant or kind, or a corrected one; set before it is held

    // Looked up, since every rule asks for them.
    Catalogue.Kind of;
    int on; // the civil date of occurredAt
    int month; // its month, as of Dates.month

    Evidence(byte[] id, int kind, long occurredAt, long recordedAt, boolean retracted) {
        this.id = id;
        this.kind = kind;
        this.occurredAt = occurredAt;
        this.recordedAt = recordedAt;
        this.retracted = retracted;
    }

    void look(Catalogue catalogue) {
        of = catalogue.kinds[kind];
        on = catalogue.zone.date(occurredAt);
        month = Dates.month(on);
    }

    boolean sameIdentity(Evidence other) {
        return of.sourcePlace == other.of.sourcePlace && Arrays.equals(id, other.id);
    }

    /** Orders evidence newest first; at the same instant the smaller source, then the smaller id, comes first. */
    static int compareNewest(Evidence a, Evidence b) {
        if (a.occurredAt != b.occurredAt) {
            return Long.compare(b.occurredAt, a.occurredAt);
        }
        int order = Integer.compare(a.of.sourcePlace, b.of.sourcePlace);
        return order != 0 ? order : Arrays.compareUnsigned(a.id, b.id);
    }

    /** Orders the versions of one evidence record: the greater holds. */
    static int compareVersion(Evidence a, Evidence b) {
        int order = Long.compare(a.recordedAt, b.recordedAt);
        order = order != 0 ? order : Boolean.compare(a.retracted, b.retracted);
        order = order != 0 ? order : Long.compare(a.occurredAt, b.occurredAt);
        return order != 0 ? order : Integer.compare(a.kind, b.kind); // kinds are sorted by code
    }
}
