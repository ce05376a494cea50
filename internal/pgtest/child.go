package pgtest

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// child is a server that this process started.
type child struct {
	process *os.Process
	exited  chan struct{}
}

// launch starts a server from a thread that lives as long as the server does, since endWithParent looks at the thread.
func launch(server *exec.Cmd) (*child, error) {
	started, exited := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(exited)
		err := server.Start()
		started <- err
		if err == nil {
			_ = server.Wait() // how a server ends that is stopped by a signal tells nothing
		}
		runtime.UnlockOSThread()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return &child{server.Process, exited}, nil
}

func (c *child) end(signal syscall.Signal) error {
	if err := c.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.exited
	return nil
}
