package engine.vouch.peers.rules;

import java.util.Arrays;

/**
 * A buffer that grows and is used again: rows, Avro values and the text of event ids are written here. Numbers are
 * zigzag varints, texts a length and their bytes, as in Avro.
 */
final class ByteWriter {
    private byte[] bytes = new byte[1024];
    private int size;

    ByteWriter reset() {
        size = 0;
        return this;
    }

    byte[] toBytes() {
        return Arrays.copyOf(bytes, size);
    }

    /** The buffer itself, of which the first {@link #size()} bytes are written; for who copies them at once. */
    byte[] buffer() {
        return bytes;
    }

    int size() {
        return size;
    }

    private void room(int more) {
        if (bytes.length - size < more) {
            bytes = Arrays.copyOf(bytes, Math.max(bytes.length * 2, size + more));
        }
    }

    void add(int b) {
        room(1);
        bytes[size++] = (byte) b;
    }

    void add(byte[] all) {
        room(all.length);
        System.arraycopy(all, 0, bytes, size, all.length);
        size += all.length;
    }

    void number(long n) {
        room(10);
        long rest = n << 1 ^ n >> 63;
        while ((rest & ~0x7fL) != 0) {
            bytes[size++] = (byte) (rest | 0x80);
            rest >>>= 7;
        }
        bytes[size++] = (byte) rest;
    }

    void text(byte[] text) {
        number(text.length);
        add(text);
    }

    /** An optional text, as Avro's union of null and string. */
    void optionalText(byte[] text) {
        number(text == null ? 0 : 1);
        if (text != null) {
            text(text);
        }
    }

    /** Decimal digits of a number that is not negative, at least so many. */
    void digits(int n, int width) {
        int length = width;
        for (int rest = n, of = 1; rest > 0; rest /= 10, of++) {
            length = Math.max(length, of);
        }
        room(length);
        for (int i = size + length - 1; i >= size; i--) {
            bytes[i] = (byte) ('0' + n % 10);
            n /= 10;
        }
        size += length;
    }
}
