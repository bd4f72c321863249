package engine.vouch.peers.rules;

/**
 * The time, as the log tells it.
 *
 * @param at milliseconds of UTC
 */
public record ClockTick(long at) implements Input {}
