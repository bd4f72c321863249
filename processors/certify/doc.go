// Package certify decides, citizen by citizen, who is certified until when,
// and what is to be said about it: SPEC section 3.
//
// Law: a step is a total function of its arguments, the citizen's row, one
// input record, its Kafka timestamp and the certifier's clock, to the new row
// and the events. There is no clock, topic, disk or lock here, and no step can
// fail: what cannot be decided was refused before (see Refusal).
//
// A step takes down the fact, then derives where the citizen stands from all
// the facts that are held, and says what is new. No rule looks at the kind of
// step, so no transition can be forgotten: there are none.
package certify
