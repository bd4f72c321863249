package engine.vouch.peers.rules;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/** Takes evidence down within the bounds of what is held of one citizen. It holds scratch memory: for one thread. */
final class Holding {
    private static final int STRONG_HELD = 4; // newest strong records of a scope
    private static final int MONTHS_HELD = 4; // newest months of a scope that have one, the newest record of each
    private static final int WEAK_KINDS_HELD = 3; // newest weak kinds, the newest record of each
    private static final int ADVERSE_HELD = 2; // newest records of an adverse kind or of one named in a lifted_by
    private static final int AMENDMENTS_HELD = 16; // retractions and corrections of latest recorded_at

    private final Catalogue catalogue;
    private final int[] newer; // by kind: how many of its records were passed
    private boolean[] keep = new boolean[64];
    private final int[] months = new int[MONTHS_HELD];

    Holding(Catalogue catalogue) {
        this.catalogue = catalogue;
        newer = new int[catalogue.kinds.length];
    }

    /** Holds a version if no equal or greater one is held and the bounds allow it. Whether the row has changed. */
    boolean takeDown(ArrayList<Evidence> held, Evidence version) {
        boolean replaces = false;
        for (int i = 0; i < held.size(); i++) {
            Evidence before = held.get(i);
            if (before.sameIdentity(version)) {
                if (Evidence.compareVersion(version, before) <= 0) {
                    return false;
                }
                version.corrected = before.corrected || before.occurredAt != version.occurredAt || before.kind != version.kind;
                held.remove(i);
                replaces = true;
                break;
            }
        }
        int at = 0;
        while (at < held.size() && Evidence.compareNewest(held.get(at), version) < 0) {
            at++;
        }
        held.add(at, version);
        return trim(held, at) || replaces;
    }

    /** Lets go of what lies beyond the bounds. Whether the record at the given place stays. */
    private boolean trim(ArrayList<Evidence> held, int of) {
        if (keep.length < held.size()) {
            keep = new boolean[held.size() * 2];
        }
        Arrays.fill(keep, 0, held.size(), false);
        for (int i = 0; i < catalogue.scopes.size(); i++) {
            keepStrong(held, catalogue.scopes.get(i));
        }
        keepStrong(held, catalogue.assuredA);
        keepWeakAndAdverse(held);
        keepAmendments(held);
        boolean stays = keep[of];
        int kept = 0;
        for (int i = 0; i < held.size(); i++) {
            if (keep[i]) {
                held.set(kept++, held.get(i));
            }
        }
        while (held.size() > kept) {
            held.remove(held.size() - 1);
        }
        return stays;
    }

    private void keepStrong(ArrayList<Evidence> held, boolean[] among) {
        int records = 0;
        int seen = 0;
        for (int i = 0; i < held.size(); i++) {
            Evidence e = held.get(i);
            if (e.retracted || !among[e.kind]) {
                continue;
            }
            if (records < STRONG_HELD) {
                records++;
                keep[i] = true;
            }
            if (seen < MONTHS_HELD && !contains(e.month, seen)) {
                months[seen++] = e.month;
                keep[i] = true;
            }
            if (records == STRONG_HELD && seen == MONTHS_HELD) {
                return;
            }
        }
    }

    private boolean contains(int month, int seen) {
        for (int i = 0; i < seen; i++) {
            if (months[i] == month) {
                return true;
            }
        }
        return false;
    }

    private void keepWeakAndAdverse(ArrayList<Evidence> held) {
        Arrays.fill(newer, 0);
        int weakKinds = 0;
        for (int i = 0; i < held.size(); i++) {
            Evidence e = held.get(i);
            if (e.retracted || e.of.strength == Catalogue.Strength.STRONG && !e.of.namedInLiftedBy) {
                continue;
            }
            int passed = newer[e.kind]++;
            if (e.of.strength == Catalogue.Strength.WEAK) {
                if (passed == 0 && weakKinds < WEAK_KINDS_HELD) {
                    weakKinds++;
                    keep[i] = true;
                }
            } else if (passed < ADVERSE_HELD) {
                keep[i] = true;
            }
        }
    }

    /** Of the same recorded_at, the newest evidence comes first. */
    private void keepAmendments(ArrayList<Evidence> held) {
        List<Integer> amendments = null;
        for (int i = 0; i < held.size(); i++) {
            if (held.get(i).retracted || held.get(i).corrected) {
                amendments = amendments == null ? new ArrayList<>() : amendments;
                amendments.add(i);
            }
        }
        if (amendments == null) {
            return;
        }
        if (amendments.size() > AMENDMENTS_HELD) {
            amendments.sort(Comparator.comparingLong(i -> -held.get(i).recordedAt)); // stable
            amendments = amendments.subList(0, AMENDMENTS_HELD);
        }
        for (int i : amendments) {
            keep[i] = true;
        }
    }
}
