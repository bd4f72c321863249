package engine.vouch.peers.rules;

/** A record of an input topic, decoded. */
public sealed interface Input permits EvidenceRecord, RosterEntry, ClockTick {}
