package engine.vouch.peers.rules;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The steps under one catalogue. They hold scratch memory and so are for one thread, but nothing that a step leaves
 * there changes a later one.
 */
public final class Rules {
    /** The clock before the first tick: it is before every lapse day, so that nothing has lapsed. */
    public static final long NO_TICK = Dates.NONE;

    /** Days that a retraction leaves a citizen to be certified again. */
    static final int NOTICE_ON_RETRACT = 30;

    private static final int AHEAD_DAYS_MAX = 1; // civil days that a record may be ahead of its Kafka timestamp
    private static final long TICK_AHEAD_MAX = 5 * Dates.MINUTE; // that a tick may be ahead of its own

    private final Catalogue catalogue;
    private final Holding holding;
    private final Outputs outputs;
    private final Decision decision = new Decision();
    private final List<Outputs.Announced> announced = new ArrayList<>();
    private final View before = new View();
    private final View after = new View();

    /** The steps under a catalogue. */
    public Rules(Catalogue catalogue) {
        this.catalogue = catalogue;
        holding = new Holding(catalogue);
        outputs = new Outputs(catalogue);
    }

    /** The clock after a tick: a greater one that is not ahead of its Kafka timestamp moves it on. */
    public static long onTick(long clock, ClockTick tick, long at) {
        return Dates.inRange(tick.at()) && tick.at() <= at + TICK_AHEAD_MAX ? Math.max(clock, tick.at()) : clock;
    }

    /**
     * Refuses a record or takes it down, and says what follows.
     *
     * @param citizen the row of the key, changed in place
     * @param key the record's own
     * @param input an evidence record or a roster entry
     * @param at its Kafka timestamp
     * @param clock the certifier's, or {@link #NO_TICK}
     * @return what follows, until the next step
     */
    public Decision step(Citizen citizen, byte[] key, Input input, long at, long clock) {
        decision.reset();
        if (input instanceof EvidenceRecord e) {
            onEvidence(citizen, key, e, at, clock);
        } else if (input instanceof RosterEntry e) {
            onRoster(citizen, key, e, at, clock);
        } else {
            throw new IllegalArgumentException("a step was given a record that is no input of a citizen");
        }
        return decision;
    }

    private void onEvidence(Citizen citizen, byte[] key, EvidenceRecord e, long at, long clock) {
        Evidence version = e.version();
        decision.refused = !e.valid() || !Arrays.equals(key, e.citizen()) || ahead(version.recordedAt, at) || !version.retracted && ahead(version.occurredAt, at);
        if (decision.refused) {
            return;
        }
        version.look(catalogue);
        look(citizen);
        before.derive(citizen, catalogue);
        decision.changed = holding.takeDown(citizen.evidence, version);
        if (decision.changed) {
            after.deriveAgain(citizen, catalogue, before);
        }
        decide(new Step(key, at, clock, version.id, version.of.source));
    }

    private void onRoster(Citizen citizen, byte[] key, RosterEntry e, long at, long clock) {
        decision.refused = !e.valid || !Arrays.equals(key, e.citizen) || ahead(e.recordedAt, at);
        if (decision.refused) {
            return;
        }
        look(citizen);
        before.derive(citizen, catalogue);
        decision.changed = enrol(citizen, e);
        if (decision.changed) {
            after.derive(citizen, catalogue);
        }
        decide(new Step(key, at, clock, ByteReader.EMPTY, ByteReader.EMPTY));
    }

    private boolean ahead(long said, long at) {
        return said > at && catalogue.zone.date(said) > catalogue.zone.date(at) + AHEAD_DAYS_MAX;
    }

    private void look(Citizen citizen) {
        if (!citizen.looked) {
            citizen.looked = true;
            for (int i = 0; i < citizen.evidence.size(); i++) {
                citizen.evidence.get(i).look(catalogue);
            }
        }
    }

    /** Holds an entry if it is greater than the version held. What was announced is forgotten when it is withdrawn. */
    private static boolean enrol(Citizen citizen, RosterEntry e) {
        int at = 0;
        while (at < citizen.entries.size() && citizen.entries.get(at).held.benefit < e.benefit) {
            at++;
        }
        if (at == citizen.entries.size() || citizen.entries.get(at).held.benefit != e.benefit) {
            citizen.entries.add(at, new Entry());
        } else if (RosterEntry.compare(e, citizen.entries.get(at).held) <= 0) {
            return false;
        }
        Entry entry = citizen.entries.get(at);
        entry.held = e;
        if (e.withdrawn) {
            entry.announced = false;
            entry.provenOn = false;
        }
        return true;
    }

    /** Says what is new since before was derived, and after, if the row has changed. */
    private void decide(Step in) {
        boolean changed = decision.changed;
        View now = changed ? after : before;
        if (before.size == 0 && now.size == 0) {
            return; // evidence of somebody who draws nothing is held, and that is all
        }
        announce(now, in);
        revoke(now, in);
        if (changed && scheduleChanged(before, now)) {
            decision.schedule = outputs.schedule(in, now);
        }
    }

    /** Says what the citizen and the payers must hear, and takes down that it was said. */
    private void announce(View now, Step in) {
        int announceable = announceable(now, in.clock());
        for (int i = 0; i < now.size; i++) {
            if ((announceable & 1 << i) == 0) {
                continue;
            }
            // All that rest on this proof are one message, as soon as one is ripe.
            int together = 0;
            boolean ripe = false;
            for (int j = i; j < now.size; j++) {
                if ((announceable & 1 << j) != 0 && now.get(j).proof == now.get(i).proof) {
                    together |= 1 << j;
                    ripe = ripe || ripe(now.get(j), in.clock());
                }
            }
            announceable &= ~together;
            if (ripe) {
                decision.completed.add(complete(now, together, in));
                decision.changed = true;
            }
        }
    }

    /** The set of the places of those enrolments that can be announced; a catalogue has at most 32 benefits. */
    private int announceable(View view, long clock) {
        int set = 0;
        if (view.barred()) {
            return set;
        }
        for (int i = 0; i < view.size; i++) {
            Enrolment n = view.get(i);
            if (n.proof != null && n.until > n.told() && !reached(clock, n.benefit.lapseOn(n.dueOn))) {
                set |= 1 << i;
            }
        }
        return set;
    }

    /** Whether the civil date of a clock has reached a day. Without a tick it has reached none. */
    private boolean reached(long clock, int day) {
        return clock != NO_TICK && catalogue.zone.date(clock) >= day;
    }

    private boolean ripe(Enrolment n, long clock) {
        return !n.entry.provenOn
                || n.proof.on >= Dates.addMonths(n.entry.announcedOn, n.benefit.renewAfterMonths)
                || reached(clock, n.benefit.lapseOn(n.told()));
    }

    /** Announces the enrolments at the given places, which rest on one proof. */
    private byte[] complete(View now, int together, Step in) {
        announced.clear();
        Evidence proof = null;
        for (int i = 0; i < now.size; i++) {
            if ((together & 1 << i) == 0) {
                continue;
            }
            Enrolment n = now.get(i);
            proof = n.proof;
            Enrolment was = before.find(n.benefit);
            int lapseOn = n.benefit.lapseOn(was != null ? was.dueOn : n.base);
            boolean restores = in.clock() != NO_TICK && (!before.reasons.isEmpty() || reached(in.clock(), lapseOn)) && now.reasons.isEmpty();
            announced.add(new Outputs.Announced(n.benefit, n.told(), n.dueOn, proof.on < lapseOn, restores));
            n.entry.announced = true;
            n.entry.provenOn = true;
            n.entry.announcedOn = proof.on;
            n.entry.announcedUntil = n.dueOn;
        }
        return outputs.completed(in, proof, announced, now);
    }

    /** Takes back what was announced beyond a due date. */
    private void revoke(View now, Step in) {
        announced.clear();
        for (int i = 0; i < now.size; i++) {
            Enrolment n = now.get(i);
            Entry e = n.entry;
            if (!e.announced || n.dueOn >= e.announcedUntil) {
                continue;
            }
            announced.add(new Outputs.Announced(n.benefit, e.announcedUntil, n.dueOn, false, false));
            e.provenOn = n.proof != null;
            e.announcedOn = e.provenOn ? n.proof.on : 0;
            e.announcedUntil = n.dueOn;
        }
        if (!announced.isEmpty()) {
            decision.changed = true;
            decision.revoked = outputs.revoked(in, announced, now);
        }
    }

    private static boolean scheduleChanged(View before, View after) {
        if (before.size != after.size || !before.reasons.equals(after.reasons) || !Arrays.equals(before.region, after.region)
                || !Arrays.equals(before.phone, after.phone)) {
            return true;
        }
        for (int i = 0; i < before.size; i++) {
            if (before.get(i).benefit != after.get(i).benefit || before.get(i).dueOn != after.get(i).dueOn) {
                return true;
            }
        }
        if (before.sighting == null || after.sighting == null) {
            return before.sighting != after.sighting;
        }
        return before.sighting.month != after.sighting.month;
    }
}
