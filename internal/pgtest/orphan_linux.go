package pgtest

import "syscall"

// endWithParent has the kernel end the server when the thread that started it ends, so that a killed test leaves none behind.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
