package engine.vouch.peers.rules;

import java.util.Arrays;

/** Reads what a {@link ByteWriter} or an Avro encoder wrote. Beyond the end it throws an IndexOutOfBoundsException. */
final class ByteReader {
    static final byte[] EMPTY = {};

    private final byte[] bytes;
    private int at;

    ByteReader(byte[] bytes, int at) {
        this.bytes = bytes;
        this.at = at;
    }

    boolean atEnd() {
        return at == bytes.length;
    }

    int octet() {
        return bytes[at++] & 0xff;
    }

    long number() {
        long n = bytes[at++];
        if (n < 0) {
            n &= 0x7f;
            for (int shift = 7; ; shift += 7) {
                long part = bytes[at++];
                n |= (part & 0x7f) << shift;
                if (part >= 0) {
                    break;
                }
                if (shift == 63) {
                    throw new IndexOutOfBoundsException("a number has more than ten bytes");
                }
            }
        }
        return n >>> 1 ^ -(n & 1);
    }

    int integer() {
        return Math.toIntExact(number());
    }

    /** The length of a text, the bytes of which follow. */
    private int length() {
        long length = number();
        if (length < 0 || length > bytes.length - at) {
            throw new IndexOutOfBoundsException("a text is longer than what is left");
        }
        return (int) length;
    }

    byte[] text() {
        int length = length();
        at += length;
        return length == 0 ? EMPTY : Arrays.copyOfRange(bytes, at - length, at);
    }

    /** Passes over a text and gives its length. */
    int skipText() {
        int length = length();
        at += length;
        return length;
    }

    /** The place of the text that follows in a list of codes, -1 if it is not there. No text is made of it. */
    int place(Codes codes) {
        int length = length();
        at += length;
        return codes.place(bytes, at - length, length);
    }

    /** An optional thing of Avro's union with null: whether it is there. */
    boolean present() {
        long branch = number();
        if (branch != 0 && branch != 1) {
            throw new IndexOutOfBoundsException("a union has no such branch");
        }
        return branch == 1;
    }
}
