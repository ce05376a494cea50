package pgtest

import "syscall"

// endWithParent has the kernel end the server when the thread that started it ends, so that a killed test leaves none behind. With
// a process group of its own, Ctrl-C in the terminal is for the test alone.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig, attr.Setpgid = syscall.SIGQUIT, true }
