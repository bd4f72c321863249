//go:build !linux

package store

// useHugePages does nothing: these systems choose by themselves.
func useHugePages([]byte) {}
