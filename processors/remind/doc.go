// Package remind decides who is to be reminded, whom to visit, who has lapsed
// and how every citizen stands: SPEC section 4.
//
// Law: a step is a total function of its arguments to the new row and the
// events. What the catalogue says of an enrolment, its lapse day, its
// instants and its department, is written into the citizen's row when the
// ScheduleEntry arrives, so that a tick needs nothing but rows: the same fires
// in the same order, under whatever catalogue the program was started since. A
// program with another catalogue passes over all rows before the partition's
// next input (see Begin).
//
// A tick writes no citizen's row. Which enrolments have lapsed, which Standing
// was written last and what has fired already are not stored but follow from
// the row and T₀, the last tick: an instant fires when a tick's interval
// reaches over it, which happens once.
//
// A tick is taken from the due index: the entries that DueEntries derives from
// the rows, whose bytes are in the order in which a tick fires. Each entry is
// judged by itself, from the row that it belongs to and the tick's interval, so
// that a tick may be cut into rounds anywhere. An entry that nothing comes of,
// since the row has moved on or another stage takes its place, does no harm.
package remind
