package engine.vouch.peers.command;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What stands on the command line: pairs of a flag and its value. */
public final class Flags {
    /** That a peer was called wrongly, and how it is to be called. */
    public static final class WrongUsage extends RuntimeException {
        private WrongUsage(String complaint) {
            super(complaint);
        }
    }

    private static final long KIBI = 1024;

    private final Map<String, String> given = new HashMap<>();

    /** Reads flags, of which some are known and may be given. */
    public Flags(List<String> arguments, List<String> known) {
        for (int i = 0; i < arguments.size(); i++) {
            String name = arguments.get(i);
            String value = null;
            if (name.contains("=")) {
                value = name.substring(name.indexOf('=') + 1);
                name = name.substring(0, name.indexOf('='));
            } else if (i + 1 < arguments.size()) {
                value = arguments.get(++i);
            }
            if (!name.startsWith("--") || !known.contains(name.substring(2))) {
                throw new WrongUsage("there is no flag " + name + ": known are --" + String.join(", --", known));
            }
            if (value == null) {
                throw new WrongUsage(name + " needs a value");
            }
            given.put(name.substring(2), value);
        }
    }

    /** A flag that must be given. */
    public String required(String name) {
        String value = given.get(name);
        if (value == null) {
            throw new WrongUsage("--" + name + " is missing");
        }
        return value;
    }

    private String or(String name, String otherwise) {
        return given.getOrDefault(name, otherwise);
    }

    /** A flag that is one of some words; the first stands for it where it is not given. */
    public String oneOf(String name, String... words) {
        String value = or(name, words[0]);
        if (!List.of(words).contains(value)) {
            throw new WrongUsage("--" + name + " is one of " + String.join(", ", words) + ", not " + value);
        }
        return value;
    }

    /** A time such as 100ms or 1s, in milliseconds. */
    public long millisOr(String name, String otherwise) {
        String value = or(name, otherwise);
        if (value.matches("[0-9]{1,9}ms")) {
            return Long.parseLong(value.substring(0, value.length() - 2));
        }
        if (value.matches("[0-9]{1,6}s")) {
            return Long.parseLong(value.substring(0, value.length() - 1)) * 1000;
        }
        throw new WrongUsage("--" + name + " is a time such as 100ms or 1s, not " + value);
    }

    /** A size such as 10MB, in bytes; off is 0. */
    public long bytesOr(String name, String otherwise) {
        String value = or(name, otherwise);
        if (value.equals("off")) {
            return 0;
        }
        if (value.matches("[0-9]{1,6}MB")) {
            return Long.parseLong(value.substring(0, value.length() - 2)) * KIBI * KIBI;
        }
        throw new WrongUsage("--" + name + " is a size such as 10MB, or off, not " + value);
    }
}
