package store

import "golang.org/x/sys/unix"

// useHugePages asks for huge pages; a machine that has none uses others.
func useHugePages(memory []byte) { _ = unix.Madvise(memory, unix.MADV_HUGEPAGE) }
