package engine.vouch.peers.rules;

/**
 * What all of a step know of the record that is decided.
 *
 * @param citizen its citizen_id
 * @param at its Kafka timestamp
 * @param clock the certifier's, or {@link Rules#NO_TICK}
 * @param evidenceId empty for a roster entry
 * @param source the same
 */
record Step(byte[] citizen, long at, long clock, byte[] evidenceId, byte[] source) {}
