package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// role is a part that this program plays in a process of its own. It is told what to do by one JSON value, tells what it has to
// tell by further ones, and ends at the latest when its input does.
type role func(ctx context.Context, in *json.Decoder, out *json.Encoder) error

var roles = map[string]role{
	"load":  generate,
	"login": signInAll,
	"pass":  runPass,
	"walk":  listUsers,
	"plain": servePlain,
	"proxy": serveProxy,
}

// roleArgument is the hidden first argument of a process that plays a role.
const roleArgument = "-role"

var errNoRole = errors.New("this is the program itself")

// play plays the role that the arguments name.
func play(ctx context.Context) error {
	if len(os.Args) != 3 || os.Args[1] != roleArgument {
		return errNoRole
	}
	return roles[os.Args[2]](ctx, json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout))
}

// untilInputEnds blocks until the parent has closed the input or is gone.
func untilInputEnds(in *json.Decoder) {
	_, _ = io.Copy(io.Discard, in.Buffered())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// child is a process that plays a role.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// start starts a role and gives it its order.
func start(ctx context.Context, name string, order any) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, roleArgument, name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, in: in, out: json.NewDecoder(out)}
	if err := json.NewEncoder(in).Encode(order); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// hear waits for the role's next value.
func (c *child) hear(v any) error {
	if err := c.out.Decode(v); err != nil {
		return fmt.Errorf("hearing from %v: %w", c.cmd.Args, err)
	}
	return nil
}

// stop ends the role and waits for it.
func (c *child) stop() error {
	c.in.Close()
	_, _ = io.Copy(io.Discard, c.out.Buffered())
	return c.cmd.Wait()
}

// tick is the unit of times in /proc/PID/stat.
const tick = 10 * time.Millisecond

// stat is a line of /proc/PID/stat after the process's name: the third field and those that follow.
func stat(pid string) ([]string, error) {
	line, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:])), nil
}

// cpuOf returns the CPU time of a process, with that of its children that have ended.
func cpuOf(pid int) (time.Duration, error) {
	fields, err := stat(strconv.Itoa(pid))
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// cpuOfFamily returns the CPU time of a process and of its children, living or ended.
func cpuOfFamily(parent int) (time.Duration, error) {
	sum, err := cpuOf(parent)
	if err != nil {
		return 0, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		fields, err := stat(e.Name())
		if err != nil || fields[1] != strconv.Itoa(parent) {
			continue // it has ended, or is somebody else's
		}
		if one, err := cpuOf(pid); err == nil {
			sum += one
		}
	}
	return sum, nil
}

// status reads a field of /proc/PID/status in KiB, such as VmRSS or VmHWM, and returns it in MiB.
func status(pid int, name string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("/proc tells no %s", name)
}

// processor names the CPU.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // a report without it is a report
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "CPU"
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(text))
}

// terminate asks a process to end, and waits until it has.
func terminate(cmd *exec.Cmd) error {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return cmd.Wait()
}
