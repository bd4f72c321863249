package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// gcPercent lets the heap grow to four times what is in use before it is
	// collected: an engine that decides a flood makes much garbage and keeps
	// little, and a collection costs what is kept. GOGC in the environment beats it.
	gcPercent = 300
	// memoryShare of the machine's memory, or of the container's, is what the heap
	// may take before it is collected whatever gcPercent says; the rest is for the
	// store's cache, which lies beside it. GOMEMLIMIT in the environment beats it.
	memoryShare = 0.7
)

// tradeMemory trades memory for CPU, unless the environment says otherwise.
func tradeMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	_, err := memlimit.Set(
		memlimit.WithRatio(memoryShare),
		memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)),
	)
	if err != nil {
		slog.Warn("no limit of memory could be set; see GOMEMLIMIT", "error", err)
	}
}
