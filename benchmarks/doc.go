// Package benchmarks drives the engine from outside and says what it found: it
// decides nothing, and the engine knows nothing of it.
package benchmarks
