package main

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to four times what is in use before it is
// collected: an engine that decides a flood makes much garbage and keeps
// little, and a collection costs what is kept. GOGC in the environment beats it.
const gcPercent = 300

// tradeMemory trades memory for CPU, unless the environment says otherwise.
func tradeMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
