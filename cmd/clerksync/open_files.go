//go:build !windows

package main

import "syscall"

// openFiles returns how many files and connections the process may have open, or 0 where that is not known.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert // it is an int64 on FreeBSD
}
