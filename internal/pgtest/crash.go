package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Crash kills every process of the server at once, as a loss of power does but for what the kernel holds of its files.
// [Cluster.Restart] recovers it. It needs Linux.
func (c *Cluster) Crash() error {
	others, err := c.others()
	if err != nil {
		return err
	}
	err = c.end(syscall.SIGKILL) // first, so that it does not see the others end
	for _, pid := range others {
		if kill := syscall.Kill(pid, syscall.SIGKILL); kill != nil && !errors.Is(kill, syscall.ESRCH) {
			err = errors.Join(err, kill)
		}
	}
	for _, pid := range others {
		for deadline := time.Now().Add(20 * time.Second); state(pid) != ""; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				return errors.Join(err, fmt.Errorf("process %d of the server does not end", pid))
			}
		}
	}
	return err
}

// KillOne kills one of the processes that serve sessions, which draw picks from so many. The server then ends all others and starts
// anew by itself. It needs Linux.
func (c *Cluster) KillOne(draw func(n int) int) error {
	others, err := c.others()
	if err != nil {
		return err
	}
	var sessions []int
	for _, pid := range others {
		title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && bytes.Contains(title, []byte("postgres: postgres ")) {
			sessions = append(sessions, pid)
		}
	}
	if len(sessions) == 0 {
		return errors.New("the server has no session")
	}
	if err := syscall.Kill(sessions[draw(len(sessions))], syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// others returns the ids of the server's processes but for the first one.
func (c *Cluster) others() (pids []int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", c.PID()))
	if err != nil {
		return nil, err
	}
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// state returns the letter of a process's state, "" where it has ended.
func state(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) == 0 || fields[0][0] == 'Z' {
		return ""
	}
	return string(fields[0])
}
