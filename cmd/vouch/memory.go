package main

import (
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryShare of the machine's memory, or of the container's, is what the heap
// may take before it is collected whatever GOGC says. Rows may take a quarter of
// that beside it, and the store's cache its part; what is left is the machine's.
// GOMEMLIMIT in the environment beats it.
const memoryShare = 0.6

// limitMemory tells the garbage collector how much memory there is.
func limitMemory() {
	_, err := memlimit.Set(
		memlimit.WithRatio(memoryShare),
		memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)),
	)
	if err != nil {
		slog.Warn("no limit of memory could be set; see GOMEMLIMIT", "error", err)
	}
}
