package engine.vouch.peers.rules;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/** Codes and their places, found by their bytes, so that no String is made of what a record says. */
final class Codes {
    final byte[][] codes;
    private final int[] slots; // open addressing; a place plus 1, 0 is free

    Codes(List<String> codes) {
        this.codes = codes.stream().map(code -> code.getBytes(StandardCharsets.UTF_8)).toArray(byte[][]::new);
        slots = new int[Integer.highestOneBit(Math.max(codes.size(), 1)) * 4];
        for (int place = 0; place < this.codes.length; place++) {
            int slot = hash(this.codes[place], 0, this.codes[place].length) & slots.length - 1;
            while (slots[slot] != 0) {
                slot = slot + 1 & slots.length - 1;
            }
            slots[slot] = place + 1;
        }
    }

    private static int hash(byte[] bytes, int from, int length) {
        int hash = length;
        for (int i = from; i < from + length; i++) {
            hash = hash * 31 + bytes[i];
        }
        return hash ^ hash >>> 15;
    }

    /** The place of a code, -1 if it is none. */
    int place(byte[] bytes, int from, int length) {
        int slot = hash(bytes, from, length) & slots.length - 1;
        for (; slots[slot] != 0; slot = slot + 1 & slots.length - 1) {
            byte[] code = codes[slots[slot] - 1];
            if (Arrays.equals(code, 0, code.length, bytes, from, from + length)) {
                return slots[slot] - 1;
            }
        }
        return -1;
    }
}
