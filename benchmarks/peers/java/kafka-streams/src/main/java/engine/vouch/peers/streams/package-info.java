/** The certifier's rules, run by Kafka Streams: exactly once, rows in RocksDB with a changelog. */
package engine.vouch.peers.streams;
