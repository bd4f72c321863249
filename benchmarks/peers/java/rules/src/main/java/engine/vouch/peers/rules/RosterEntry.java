package engine.vouch.peers.rules;

import java.util.Arrays;

/** A version of a roster entry. It never changes once it is read. */
public final class RosterEntry implements Input {
    byte[] citizen; // its citizen_id; null in a row, whose key it is
    boolean valid = true; // whether what it says by itself lets it be decided
    byte[] entryId;
    int benefit; // its place in the catalogue, -1 where it has none
    boolean withdrawn;
    long recordedAt;
    int effectiveOn;
    int dueOn = Dates.NO_DATE;
    int lastCertifiedOn = Dates.NO_DATE;
    byte[] region = ByteReader.EMPTY;
    byte[] phone; // null where it is none, or empty
    byte[] payee; // the same
    long amountFen = Dates.NONE;
    int birthOn = Dates.NO_DATE;
    byte[][] attributes = {}; // pairs, sorted by key

    /** Orders the versions of an entry: the greater holds. The benefit is its identity and left out. */
    static int compare(RosterEntry a, RosterEntry b) {
        if (a.recordedAt != b.recordedAt) {
            return Long.compare(a.recordedAt, b.recordedAt); // as a rule; what follows is for ties
        }
        int order = Boolean.compare(a.withdrawn, b.withdrawn);
        order = order != 0 ? order : Arrays.compareUnsigned(a.entryId, b.entryId);
        order = order != 0 ? order : Integer.compare(a.effectiveOn, b.effectiveOn);
        order = order != 0 ? order : Integer.compare(a.dueOn, b.dueOn); // what is not there is least
        order = order != 0 ? order : Integer.compare(a.lastCertifiedOn, b.lastCertifiedOn);
        order = order != 0 ? order : Arrays.compareUnsigned(a.region, b.region);
        order = order != 0 ? order : Arrays.compareUnsigned(a.phone, b.phone);
        order = order != 0 ? order : Arrays.compareUnsigned(a.payee, b.payee);
        order = order != 0 ? order : Long.compare(a.amountFen, b.amountFen);
        order = order != 0 ? order : Integer.compare(a.birthOn, b.birthOn);
        return order != 0 ? order : Arrays.compare(a.attributes, b.attributes, Arrays::compareUnsigned);
    }
}
