// Package kafka runs Goka processors on franz-go, exactly once: the rows of a
// table, the records that a step emits and the positions in its inputs are
// committed together in one Kafka transaction or not at all. It knows topics,
// partitions, keys and rows, and no citizen.
//
// Laws:
//
//  1. The local state is never ahead of the log. A row reaches the table when
//     the transaction that holds it is committed, not before (Table.Seal).
//  2. Whatever is not confirmed is reset. A commit whose answer is an error, or
//     missing, ends the generation: staged rows are dropped, the client is
//     closed, and the next generation asks the brokers what holds.
//  3. A partition's inputs are one sequence, ordered by Kafka timestamp. A
//     topic whose next record has not come yet is waited for until its end, as
//     it stood when the partition was taken over, is reached.
//  4. The positions are ours. A record that was fetched and not processed is
//     not committed, whatever the client thinks of it.
//
// A generation starts in this order, and in no other: InitProducerID, which
// fences the member's last incarnation and aborts what it left open; join the
// group; fetch the committed offsets, waiting while a transaction holds some
// pending; and only then read the end of the table's changelog and restore up
// to it. In another order the last transaction of the previous owner could be
// missing from the state. DESIGN.md of package topology says more.
package kafka
