package engine.vouch.peers.rules;

import java.util.ArrayList;
import java.util.Collections;

/**
 * Where a citizen stands: a function of the facts held and of the catalogue, of nothing else. It is filled anew at every
 * step and keeps its memory.
 */
final class View {
    static final String DECEASED = "deceased";
    static final String DEATH_REPORTED = "death_reported";
    private static final int LEADS_SCHEDULED = 3;

    int size;
    private final ArrayList<Enrolment> enrolments = new ArrayList<>(); // more than size are room
    final ArrayList<String> reasons = new ArrayList<>(); // sorted; every enrolment of a citizen has them
    byte[] region;
    byte[] phone;
    int birthOn;
    Evidence sighting; // the newest held strong or weak record
    final ArrayList<Evidence> leads = new ArrayList<>();
    final ArrayList<Evidence> weak = new ArrayList<>();
    boolean suspended; // a suspending record is held, lifted or not
    boolean deathReported; // a death record is held
    int deathNewestOn; // the date of the newest

    Enrolment get(int i) {
        return enrolments.get(i);
    }

    private Enrolment add() {
        if (size == enrolments.size()) {
            enrolments.add(new Enrolment());
        }
        return enrolments.get(size++);
    }

    /** The enrolment of a benefit, null if there is none. */
    Enrolment find(Catalogue.Benefit benefit) {
        for (int i = 0; i < size; i++) {
            if (enrolments.get(i).benefit == benefit) {
                return enrolments.get(i);
            }
        }
        return null;
    }

    /** Whether a death, confirmed or not, forbids to announce. */
    boolean barred() {
        return reasons.contains(DECEASED) || reasons.contains(DEATH_REPORTED);
    }

    /** Says where a citizen stands. */
    void derive(Citizen citizen, Catalogue catalogue) {
        size = 0;
        deriveContact(citizen);
        for (int i = 0; i < citizen.entries.size(); i++) {
            Entry entry = citizen.entries.get(i);
            if (!entry.held.withdrawn) {
                enrol(add(), entry, catalogue.benefits[entry.held.benefit]);
            }
        }
        deriveEvidence(citizen, catalogue);
    }

    /** Says where a citizen stands whose entries are those of another view. */
    void deriveAgain(Citizen citizen, Catalogue catalogue, View entriesOf) {
        region = entriesOf.region;
        phone = entriesOf.phone;
        birthOn = entriesOf.birthOn;
        size = 0;
        for (int i = 0; i < entriesOf.size; i++) {
            add().set(entriesOf.get(i));
        }
        deriveEvidence(citizen, catalogue);
    }

    /** Finds region, phone and birth date, each by itself: those of the newest un-withdrawn entry that gives it. */
    private void deriveContact(Citizen citizen) {
        RosterEntry ofRegion = null;
        RosterEntry ofPhone = null;
        RosterEntry ofBirth = null;
        for (int i = 0; i < citizen.entries.size(); i++) { // in the order of benefits, of which the greater wins a tie
            RosterEntry held = citizen.entries.get(i).held;
            if (held.withdrawn) {
                continue;
            }
            if (held.region.length > 0 && (ofRegion == null || RosterEntry.compare(held, ofRegion) >= 0)) {
                ofRegion = held;
            }
            if (held.phone != null && (ofPhone == null || RosterEntry.compare(held, ofPhone) >= 0)) {
                ofPhone = held;
            }
            if (held.birthOn != Dates.NO_DATE && (ofBirth == null || RosterEntry.compare(held, ofBirth) >= 0)) {
                ofBirth = held;
            }
        }
        region = ofRegion == null ? ByteReader.EMPTY : ofRegion.region;
        phone = ofPhone == null ? null : ofPhone.phone;
        birthOn = ofBirth == null ? Dates.NO_DATE : ofBirth.birthOn;
    }

    /** Says what an entry says of an enrolment. */
    private void enrol(Enrolment n, Entry entry, Catalogue.Benefit benefit) {
        n.entry = entry;
        n.benefit = benefit;
        n.anniversary = base(entry.held, benefit);
        n.base = n.anniversary;
        if (benefit.exemptUntilAge >= 0 && birthOn != Dates.NO_DATE) {
            n.base = Math.max(n.base, Dates.addMonths(birthOn, 12 * benefit.exemptUntilAge));
        }
    }

    /** The due date of an enrolment that no evidence has moved, before any exemption. */
    private static int base(RosterEntry held, Catalogue.Benefit benefit) {
        if (held.dueOn != Dates.NO_DATE) {
            return held.dueOn;
        }
        int since = held.lastCertifiedOn != Dates.NO_DATE ? held.lastCertifiedOn : held.effectiveOn;
        since = Math.max(since, benefit.countsFrom); // one that is not there is least
        return benefit.rule == Catalogue.Rule.ANNIVERSARY ? Dates.addMonths(since, benefit.cycleMonths) : benefit.until(since, since);
    }

    private void deriveEvidence(Citizen citizen, Catalogue catalogue) {
        deriveSightings(citizen);
        reasons.clear();
        if (deathReported || suspended) {
            deriveReasons(citizen, catalogue);
        }
        for (int i = 0; i < size; i++) {
            prove(citizen, catalogue, enrolments.get(i));
        }
    }

    private void deriveSightings(Citizen citizen) {
        sighting = null;
        leads.clear();
        weak.clear();
        suspended = false;
        deathReported = false;
        for (int i = 0; i < citizen.evidence.size(); i++) {
            Evidence e = citizen.evidence.get(i);
            if (e.retracted) {
                continue;
            }
            if (e.of.strength != Catalogue.Strength.ADVERSE) {
                sighting = sighting == null ? e : sighting;
                if (leads.size() < LEADS_SCHEDULED) {
                    leads.add(e);
                }
                if (e.of.strength == Catalogue.Strength.WEAK) {
                    weak.add(e);
                }
            } else if (e.of.effect == Catalogue.Effect.DEATH) {
                deathNewestOn = deathReported ? deathNewestOn : e.on;
                deathReported = true;
            } else if (e.of.effect == Catalogue.Effect.SUSPEND) {
                suspended = true;
            }
        }
    }

    /** Decides each reason by itself, so that lifting one never lifts another. */
    private void deriveReasons(Citizen citizen, Catalogue catalogue) {
        if (deathReported) {
            if (deathConfirmed(citizen, catalogue.deathNeeds)) {
                reasons.add(DECEASED);
            } else if (!strongAfter(citizen, deathNewestOn, catalogue.assuredA)) {
                reasons.add(DEATH_REPORTED);
            }
        }
        for (Evidence e : citizen.evidence) {
            // An older record of the kind is lifted whenever the newest one is.
            if (!e.retracted && e.of.effect == Catalogue.Effect.SUSPEND && !reasons.contains(e.of.reason) && !lifted(citizen, e)) {
                reasons.add(e.of.reason);
            }
        }
        Collections.sort(reasons);
    }

    private static boolean deathConfirmed(Citizen citizen, int needs) {
        return citizen.evidence.stream().filter(e -> !e.retracted && e.of.effect == Catalogue.Effect.DEATH && !e.of.lineage.isEmpty())
                        .map(e -> e.of.lineage).distinct().count() >= needs;
    }

    /** Whether a strong record, of the given kinds unless they are null, is held of a later civil date. */
    private static boolean strongAfter(Citizen citizen, int on, boolean[] among) {
        for (Evidence e : citizen.evidence) {
            if (!e.retracted && e.of.strength == Catalogue.Strength.STRONG && e.on > on && (among == null || among[e.kind])) {
                return true;
            }
        }
        return false;
    }

    /** Whether a suspension has been lifted. At the same instant the lifting record wins. */
    private static boolean lifted(Citizen citizen, Evidence suspension) {
        if (suspension.of.liftedByStrong) {
            return strongAfter(citizen, suspension.on, null);
        }
        for (Evidence e : citizen.evidence) {
            if (!e.retracted && suspension.of.liftedBy[e.kind] && e.occurredAt >= suspension.occurredAt) {
                return true;
            }
        }
        return false;
    }

    /** Finds an enrolment's proof and due date. */
    private static void prove(Citizen citizen, Catalogue catalogue, Enrolment n) {
        int effectiveOn = n.entry.held.effectiveOn;
        n.proof = null;
        n.until = 0;
        n.dueOn = n.base;
        for (int i = 0; i < citizen.evidence.size(); i++) {
            Evidence e = citizen.evidence.get(i);
            if (!n.benefit.accepts[e.kind] || e.on < effectiveOn) {
                continue;
            }
            int until = n.benefit.until(n.anniversary, e.on);
            if (e.retracted) { // a correction stops nobody without notice
                n.dueOn = Math.max(n.dueOn, Math.min(until, catalogue.zone.date(e.recordedAt) + Rules.NOTICE_ON_RETRACT));
                continue;
            }
            n.proof = e;
            n.until = until;
            n.dueOn = Math.max(n.dueOn, until);
            return; // what follows is older, and certifies no longer
        }
    }
}
