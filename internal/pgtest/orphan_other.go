//go:build !linux

package pgtest

import "syscall"

// endWithParent does nothing: only Linux can end a process with its parent. Ctrl-C in the terminal
// ends both.
func endWithParent(*syscall.SysProcAttr) {}
