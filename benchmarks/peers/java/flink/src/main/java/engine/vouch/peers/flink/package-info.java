/** The certifier's rules, run by Flink in one process: exactly once, rows on the heap or in RocksDB. */
package engine.vouch.peers.flink;
