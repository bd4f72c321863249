package engine.vouch.peers.rules;

import java.nio.charset.StandardCharsets;
import java.security.DigestException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes the outputs in Avro's single-object encoding, straight from where the citizen stands. It holds buffers and so
 * is for one thread.
 */
final class Outputs {
    static final long COMPLETED = 0x2c92f4af290dd5fbL;
    static final long REVOKED = 0x10d6b898e4efe9b0L;
    static final long SCHEDULE = 0x0cb6ed6feff0226bL;

    private static final int EVENT_ID_BYTES = 16;
    private static final byte[] HEX = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);

    private final Catalogue catalogue;
    private final MessageDigest sha256 = Catalogue.sha256();
    private final byte[] sum = new byte[32];
    private final byte[] eventId = new byte[2 * EVENT_ID_BYTES];
    private final ByteWriter to = new ByteWriter();
    private final ByteWriter fields = new ByteWriter();

    Outputs(Catalogue catalogue) {
        this.catalogue = catalogue;
    }

    /** Begins a value: C3 01 and the fingerprint of its schema, the least byte first. */
    static void header(ByteWriter to, long fingerprint) {
        to.reset().add(0xc3);
        to.add(1);
        for (int i = 0; i < 8; i++) {
            to.add((int) (fingerprint >>> 8 * i));
        }
    }

    /** One benefit of a certification or of its end, as it is announced. */
    record Announced(Catalogue.Benefit benefit, int before, int until, boolean inTime, boolean restores) {}

    byte[] completed(Step in, Evidence proof, List<Announced> benefits, View view) {
        eventIdBegins("completed", in.citizen(), in.at(), proof.of.source, proof.id);
        eventIdEnds(benefits);
        header(to, COMPLETED);
        to.text(eventId);
        to.text(in.citizen());
        to.number(proof.occurredAt);
        to.number(in.at());
        to.number(proof.of.channel);
        to.text(proof.id);
        to.text(proof.of.code);
        to.text(proof.of.source);
        to.number(benefits.size());
        for (Announced a : benefits) {
            to.text(a.benefit.code);
            to.text(a.benefit.department);
            to.number(a.before);
            to.number(a.until);
            to.add(a.inTime ? 1 : 0);
            to.add(a.restores ? 1 : 0);
        }
        to.number(0);
        return contact(view);
    }

    byte[] revoked(Step in, List<Announced> benefits, View view) {
        eventIdBegins("revoked", in.citizen(), in.at(), in.source(), in.evidenceId());
        eventIdEnds(benefits);
        header(to, REVOKED);
        to.text(eventId);
        to.text(in.citizen());
        to.number(in.at());
        to.text(in.evidenceId());
        to.text(in.source());
        to.number(benefits.size());
        for (Announced a : benefits) {
            to.text(a.benefit.code);
            to.text(a.benefit.department);
            to.number(a.before);
            to.number(a.until);
        }
        to.number(0);
        return contact(view);
    }

    private byte[] contact(View view) {
        to.text(view.region);
        to.optionalText(view.phone);
        to.text(catalogue.hash);
        return to.toBytes();
    }

    byte[] schedule(Step in, View view) {
        header(to, SCHEDULE);
        to.text(in.citizen());
        if (view.size > 0) {
            to.number(view.size);
        }
        for (int i = 0; i < view.size; i++) {
            Enrolment n = view.get(i);
            to.text(n.benefit.code);
            to.number(n.dueOn);
            reasons(view.reasons);
        }
        to.number(0);
        to.text(view.region);
        to.optionalText(view.phone);
        to.number(view.sighting == null ? 0 : 1);
        if (view.sighting != null) {
            to.number(view.sighting.occurredAt);
        }
        leads(view.leads);
        leads(view.weak);
        to.number(in.clock() == Rules.NO_TICK ? 0 : 1);
        if (in.clock() != Rules.NO_TICK) {
            to.number(in.clock());
        }
        to.text(catalogue.hash);
        return to.toBytes();
    }

    private void reasons(ArrayList<String> reasons) {
        if (!reasons.isEmpty()) {
            to.number(reasons.size());
            for (String reason : reasons) {
                to.text(reason.getBytes(StandardCharsets.UTF_8));
            }
        }
        to.number(0);
    }

    private void leads(ArrayList<Evidence> leads) {
        if (!leads.isEmpty()) {
            to.number(leads.size());
            for (int i = 0; i < leads.size(); i++) {
                Evidence lead = leads.get(i);
                to.text(lead.of.code);
                to.text(lead.of.source);
                to.number(lead.occurredAt);
            }
        }
        to.number(0);
    }

    private void eventIdBegins(String event, byte[] citizen, long at, byte[] source, byte[] evidenceId) {
        fields.reset().add(event.getBytes(StandardCharsets.US_ASCII));
        fields.add('\n');
        fields.add(citizen);
        fields.add('\n');
        Dates.appendInstant(fields, at);
        fields.add('\n');
        fields.add(source);
        fields.add('\n');
        fields.add(evidenceId);
    }

    /** The first 16 bytes, in hex, of SHA-256 over the fields joined by newlines. */
    private void eventIdEnds(List<Announced> benefits) {
        for (Announced a : benefits) {
            fields.add('\n');
            fields.add(a.benefit.code);
            fields.add(':');
            Dates.append(fields, a.until);
        }
        sha256.update(fields.buffer(), 0, fields.size());
        try {
            sha256.digest(sum, 0, sum.length);
        } catch (DigestException e) {
            throw new IllegalStateException("SHA-256 has 32 bytes", e);
        }
        for (int i = 0; i < EVENT_ID_BYTES; i++) {
            eventId[2 * i] = HEX[sum[i] >> 4 & 15];
            eventId[2 * i + 1] = HEX[sum[i] & 15];
        }
    }
}
