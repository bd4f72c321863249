// Package schemas holds the nouns: every record that travels on a topic, as an
// Avro schema (.avsc) and the Go type beside it, and the two measures of time
// they use, civil dates and instants.
//
// Law: a noun decides nothing and reads nothing. There is no clock here, no
// file, no network; the zone history is compiled in, so that a date computed
// on another machine, or in ten years, is the same date.
//
// Source of every field: SPEC section 2. A Go field that is a pointer is the
// union with null of the schema; nil is null.
package schemas
