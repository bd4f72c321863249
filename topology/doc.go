// Package topology is the sentence: which processor reads which topic, keeps
// what, and writes where. It wires the nouns of schemas to the verbs of
// processors over Kafka and a local store, and decides nothing.
//
// Data goes down once and up once: poll, goka, decode, bind, pure step, bind,
// encode, produce, commit, store. DESIGN.md beside this file follows one
// record from start to finish, and says why the transaction is built as it is.
package topology
