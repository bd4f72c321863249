package engine.vouch.peers.rules;

/**
 * Writes and reads a citizen's row. Both systems keep it in this form, in RocksDB, in a changelog or in a checkpoint.
 * Benefits and kinds are places in the catalogue, of which a run has one. Numbers are zigzag varints, texts a length
 * and their bytes:
 *
 * <pre>
 * row      = version: byte 1 · entries: count, entry… · evidence: count, evidence…
 * entry    = benefit: place · flags: see ENTRY_… · entry_id: text · recorded_at: ms · effective_on: days
 *          · then each that is flagged: due_on, last_certified_on: days after effective_on · region, phone, payee: text
 *          · amount_fen · birth_on: days · attributes: count, sorted pairs of texts
 *          · announced_on: days after effective_on · announced_until: days after announced_on, or after effective_on
 * evidence = kind: place · flags: see EVIDENCE_… · ms that it is older than the one before it, the first: than 1970
 *          · ms from occurred_at to recorded_at · id: text
 * </pre>
 *
 * <p>It holds a buffer and so is for one thread.
 */
public final class Rows {
    private static final int VERSION = 1;

    private static final int ENTRY_WITHDRAWN = 1;
    private static final int ENTRY_DUE_ON = 1 << 1;
    private static final int ENTRY_LAST_CERTIFIED_ON = 1 << 2;
    private static final int ENTRY_REGION = 1 << 3;
    private static final int ENTRY_PHONE = 1 << 4;
    private static final int ENTRY_PAYEE = 1 << 5;
    private static final int ENTRY_AMOUNT = 1 << 6;
    private static final int ENTRY_BIRTH_ON = 1 << 7;
    private static final int ENTRY_ATTRIBUTES = 1 << 8;
    private static final int ENTRY_ANNOUNCED = 1 << 9;
    private static final int ENTRY_PROVEN_ON = 1 << 10;

    private static final int EVIDENCE_RETRACTED = 1;
    private static final int EVIDENCE_CORRECTED = 1 << 1;

    private final ByteWriter to = new ByteWriter();

    /** The bytes of a row. */
    public byte[] encode(Citizen citizen) {
        write(citizen);
        return to.toBytes();
    }

    private void write(Citizen citizen) {
        to.reset().add(VERSION);
        to.number(citizen.entries.size());
        for (int i = 0; i < citizen.entries.size(); i++) {
            write(citizen.entries.get(i));
        }
        to.number(citizen.evidence.size());
        long before = 0;
        for (int i = 0; i < citizen.evidence.size(); i++) {
            Evidence e = citizen.evidence.get(i);
            to.number(e.kind);
            to.number((e.retracted ? EVIDENCE_RETRACTED : 0) | (e.corrected ? EVIDENCE_CORRECTED : 0));
            to.number(before - e.occurredAt);
            to.number(e.recordedAt - e.occurredAt);
            to.text(e.id);
            before = e.occurredAt;
        }
    }

    private void write(Entry entry) {
        RosterEntry held = entry.held;
        to.number(held.benefit);
        to.number(flags(entry));
        to.text(held.entryId);
        to.number(held.recordedAt);
        to.number(held.effectiveOn);
        if (held.dueOn != Dates.NO_DATE) {
            to.number(held.dueOn - held.effectiveOn);
        }
        if (held.lastCertifiedOn != Dates.NO_DATE) {
            to.number(held.lastCertifiedOn - held.effectiveOn);
        }
        if (held.region.length > 0) {
            to.text(held.region);
        }
        if (held.phone != null) {
            to.text(held.phone);
        }
        if (held.payee != null) {
            to.text(held.payee);
        }
        if (held.amountFen != Dates.NONE) {
            to.number(held.amountFen);
        }
        if (held.birthOn != Dates.NO_DATE) {
            to.number(held.birthOn);
        }
        if (held.attributes.length > 0) {
            to.number(held.attributes.length);
            for (byte[] text : held.attributes) {
                to.text(text);
            }
        }
        int since = held.effectiveOn;
        if (entry.provenOn) {
            to.number(entry.announcedOn - since);
            since = entry.announcedOn;
        }
        if (entry.announced) {
            to.number(entry.announcedUntil - since);
        }
    }

    private static int flags(Entry entry) {
        RosterEntry held = entry.held;
        return (held.withdrawn ? ENTRY_WITHDRAWN : 0)
                | (held.dueOn != Dates.NO_DATE ? ENTRY_DUE_ON : 0)
                | (held.lastCertifiedOn != Dates.NO_DATE ? ENTRY_LAST_CERTIFIED_ON : 0)
                | (held.region.length > 0 ? ENTRY_REGION : 0)
                | (held.phone != null ? ENTRY_PHONE : 0)
                | (held.payee != null ? ENTRY_PAYEE : 0)
                | (held.amountFen != Dates.NONE ? ENTRY_AMOUNT : 0)
                | (held.birthOn != Dates.NO_DATE ? ENTRY_BIRTH_ON : 0)
                | (held.attributes.length > 0 ? ENTRY_ATTRIBUTES : 0)
                | (entry.announced ? ENTRY_ANNOUNCED : 0)
                | (entry.provenOn ? ENTRY_PROVEN_ON : 0);
    }

    /** Reads what {@link #encode} wrote. */
    public static Citizen decode(byte[] row) {
        ByteReader from = new ByteReader(row, 0);
        int version = from.octet();
        if (version != VERSION) {
            throw new IllegalArgumentException("decode a row: format " + version + " is not known to this program, which reads " + VERSION);
        }
        int entries = from.integer();
        Citizen citizen = new Citizen(entries + 1, EVIDENCE_ROOM);
        for (int i = 0; i < entries; i++) {
            citizen.entries.add(readEntry(from));
        }
        int evidence = from.integer();
        citizen.evidence.ensureCapacity(evidence + 1);
        long before = 0;
        for (int i = 0; i < evidence; i++) {
            Evidence e = readEvidence(from, before);
            citizen.evidence.add(e);
            before = e.occurredAt;
        }
        return citizen;
    }

    private static final int EVIDENCE_ROOM = 16;

    private static Evidence readEvidence(ByteReader from, long before) {
        int kind = from.integer();
        int flags = from.integer();
        long occurredAt = before - from.number();
        long recordedAt = occurredAt + from.number();
        Evidence e = new Evidence(from.text(), kind, occurredAt, recordedAt, (flags & EVIDENCE_RETRACTED) != 0);
        e.corrected = (flags & EVIDENCE_CORRECTED) != 0;
        return e;
    }

    private static Entry readEntry(ByteReader from) {
        Entry entry = new Entry();
        RosterEntry held = new RosterEntry();
        entry.held = held;
        held.benefit = from.integer();
        int flags = from.integer();
        held.withdrawn = (flags & ENTRY_WITHDRAWN) != 0;
        held.entryId = from.text();
        held.recordedAt = from.number();
        held.effectiveOn = from.integer();
        held.dueOn = (flags & ENTRY_DUE_ON) != 0 ? held.effectiveOn + from.integer() : Dates.NO_DATE;
        held.lastCertifiedOn = (flags & ENTRY_LAST_CERTIFIED_ON) != 0 ? held.effectiveOn + from.integer() : Dates.NO_DATE;
        held.region = (flags & ENTRY_REGION) != 0 ? from.text() : ByteReader.EMPTY;
        held.phone = (flags & ENTRY_PHONE) != 0 ? from.text() : null;
        held.payee = (flags & ENTRY_PAYEE) != 0 ? from.text() : null;
        held.amountFen = (flags & ENTRY_AMOUNT) != 0 ? from.number() : Dates.NONE;
        held.birthOn = (flags & ENTRY_BIRTH_ON) != 0 ? from.integer() : Dates.NO_DATE;
        if ((flags & ENTRY_ATTRIBUTES) != 0) {
            held.attributes = new byte[from.integer()][];
            for (int i = 0; i < held.attributes.length; i++) {
                held.attributes[i] = from.text();
            }
        }
        int since = held.effectiveOn;
        entry.provenOn = (flags & ENTRY_PROVEN_ON) != 0;
        if (entry.provenOn) {
            entry.announcedOn = since + from.integer();
            since = entry.announcedOn;
        }
        entry.announced = (flags & ENTRY_ANNOUNCED) != 0;
        if (entry.announced) {
            entry.announcedUntil = since + from.integer();
        }
        return entry;
    }
}
