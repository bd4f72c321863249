package engine.vouch.peers.rules;

/**
 * A record of the topic of evidence.
 *
 * @param citizen its citizen_id, in UTF-8
 * @param valid whether what it says by itself lets it be decided
 * @param version what is to be held of it, null where it is not valid
 */
public record EvidenceRecord(byte[] citizen, boolean valid, Evidence version) implements Input {}
