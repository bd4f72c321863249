package engine.vouch.peers.rules;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

/**
 * Reads the inputs in Avro's single-object encoding. The decoder is written by hand: it makes no text of what is a code
 * or an id, which Avro's generated classes would, and so is the fastest that Java has to offer. Only the program's own
 * schemas are read, by their fingerprints; the fields come in the order of the .avsc files.
 *
 * <p>It also judges what a record says by itself, as the engine does before it decides one.
 */
public final class Inputs {
    static final long EVIDENCE = 0xbb5ea8d4ad7146f9L;
    static final long ROSTER_ENTRY = 0xd8b90299f3200321L;
    static final long CLOCK_TICK = 0x8c5c6439256e6834L;

    private static final int HEADER = 10; // C3 01 and the fingerprint, its least byte first

    /** The limits of what a record may say; beyond them it is refused. */
    private static final int ID_BYTES_MAX = 64;

    private static final int TEXT_BYTES_MAX = 256;
    private static final int ATTRIBUTES_BYTES_MAX = 4 << 10;

    private final Catalogue catalogue;

    /** A decoder that knows a catalogue's codes. */
    public Inputs(Catalogue catalogue) {
        this.catalogue = catalogue;
    }

    /** Reads a value of any input topic. */
    public Input decode(byte[] value) {
        if (value == null || value.length < HEADER || value[0] != (byte) 0xc3 || value[1] != 1) {
            throw new IllegalArgumentException("decode an input: it is not in Avro's single-object encoding");
        }
        long fingerprint = 0;
        for (int i = HEADER - 1; i >= 2; i--) {
            fingerprint = fingerprint << 8 | value[i] & 0xff;
        }
        ByteReader from = new ByteReader(value, HEADER);
        Input input;
        try {
            if (fingerprint == EVIDENCE) {
                input = evidence(from);
            } else if (fingerprint == ROSTER_ENTRY) {
                input = rosterEntry(from);
            } else if (fingerprint == CLOCK_TICK) {
                input = new ClockTick(from.number());
            } else {
                throw new IllegalArgumentException("decode an input: nobody knows the schema of its fingerprint");
            }
        } catch (IndexOutOfBoundsException | ArithmeticException e) {
            throw new IllegalArgumentException("decode an input: it does not fit its schema", e);
        }
        if (!from.atEnd()) {
            throw new IllegalArgumentException("decode an input: more follows than its schema has");
        }
        return input;
    }

    /** A tick as it is passed on: always in single-object encoding. */
    public static byte[] encode(ClockTick tick) {
        ByteWriter to = new ByteWriter();
        Outputs.header(to, CLOCK_TICK);
        to.number(tick.at());
        return to.toBytes();
    }

    private EvidenceRecord evidence(ByteReader from) {
        byte[] id = from.text();
        byte[] citizen = from.text();
        int kind = from.place(catalogue.kindCodes);
        byte[] source = from.text();
        boolean retracted = symbol(from, 2) == 1;
        long occurredAt = from.number();
        long recordedAt = from.number();
        int reference = from.present() ? from.skipText() : 0;
        boolean fits = bytes(attributes(from)) <= ATTRIBUTES_BYTES_MAX && reference <= TEXT_BYTES_MAX;
        boolean valid = fits && Dates.inRange(occurredAt) && Dates.inRange(recordedAt) && validId(id) && validId(citizen)
                && kind >= 0 && Arrays.equals(source, catalogue.kinds[kind].source);
        return new EvidenceRecord(citizen, valid, valid ? new Evidence(id, kind, occurredAt, recordedAt, retracted) : null);
    }

    private RosterEntry rosterEntry(ByteReader from) {
        RosterEntry e = new RosterEntry();
        e.entryId = from.text();
        e.citizen = from.text();
        e.benefit = from.place(catalogue.benefitCodes);
        e.withdrawn = symbol(from, 2) == 1;
        e.recordedAt = from.number();
        e.effectiveOn = from.integer();
        e.dueOn = from.present() ? from.integer() : Dates.NO_DATE;
        e.lastCertifiedOn = from.present() ? from.integer() : Dates.NO_DATE;
        e.region = from.text();
        e.phone = givenText(from);
        e.payee = givenText(from);
        boolean paid = from.present();
        e.amountFen = paid ? from.number() : Dates.NONE;
        e.birthOn = from.present() ? from.integer() : Dates.NO_DATE;
        Map<byte[], byte[]> attributes = attributes(from);
        if (!attributes.isEmpty()) {
            e.attributes = attributes.entrySet().stream().flatMap(pair -> java.util.stream.Stream.of(pair.getKey(), pair.getValue())).toArray(byte[][]::new);
        }
        e.valid = Dates.inRange(e.recordedAt) && Dates.inRange(e.effectiveOn) && inRangeIfGiven(e.dueOn) && inRangeIfGiven(e.lastCertifiedOn)
                && inRangeIfGiven(e.birthOn) && !(paid && e.amountFen < 0) && e.region.length <= TEXT_BYTES_MAX && fits(e.phone) && fits(e.payee)
                && bytes(attributes) <= ATTRIBUTES_BYTES_MAX && validId(e.entryId) && validId(e.citizen) && e.benefit >= 0;
        return e;
    }

    private static int symbol(ByteReader from, int symbols) {
        int symbol = from.integer();
        if (symbol < 0 || symbol >= symbols) {
            throw new IndexOutOfBoundsException("an enum has no such symbol");
        }
        return symbol;
    }

    /** An optional text of which the empty one is none. */
    private static byte[] givenText(ByteReader from) {
        byte[] text = from.present() ? from.text() : ByteReader.EMPTY;
        return text.length == 0 ? null : text;
    }

    private static Map<byte[], byte[]> attributes(ByteReader from) {
        long pairs = from.number();
        if (pairs == 0) {
            return Map.of();
        }
        Map<byte[], byte[]> all = new TreeMap<>(Arrays::compareUnsigned);
        for (; pairs != 0; pairs = from.number()) {
            if (pairs < 0) { // a block that says its size in bytes
                from.number();
            }
            for (long i = Math.abs(pairs); i > 0; i--) {
                byte[] key = from.text();
                all.put(key, from.text());
            }
        }
        return all;
    }

    private static int bytes(Map<byte[], byte[]> attributes) {
        return attributes.isEmpty() ? 0 : attributes.entrySet().stream().mapToInt(pair -> pair.getKey().length + pair.getValue().length).sum();
    }

    private static boolean inRangeIfGiven(int date) {
        return date == Dates.NO_DATE || Dates.inRange(date);
    }

    private static boolean fits(byte[] text) {
        return text == null || text.length <= TEXT_BYTES_MAX;
    }

    private static boolean validId(byte[] id) {
        if (id.length == 0 || id.length > ID_BYTES_MAX) {
            return false;
        }
        boolean ascii = true;
        for (byte b : id) {
            if (b >= 0 && b < 0x20) {
                return false;
            }
            ascii &= b >= 0;
        }
        return ascii || validUtf8(id);
    }

    private static boolean validUtf8(byte[] text) {
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text));
            return true;
        } catch (CharacterCodingException e) {
            return false;
        }
    }
}
