/**
 * The certifier's rules in Java, as far as the workload of the benchmarks needs them: roster entries and evidence are
 * held within the same bounds, due dates follow all four rules of a catalogue, and what is announced, taken back and
 * scheduled is, byte for byte, what the engine writes.
 *
 * <p>Law: a step is a total function of a citizen's row, one input record, its key and Kafka timestamp and the
 * certifier's clock. Nothing here knows a broker, a store or the wall clock, so that two systems can run the same code.
 *
 * <p>Left out, because the workload does not reach it: payouts, alerts, payee claims, the quarantine's reasons (a record
 * is refused or not), and a change of catalogue while a row is held.
 */
package engine.vouch.peers.rules;
