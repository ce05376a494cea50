package main_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/clerksync/clerksync/clerktest"
)

// startTerminal is like start on a terminal of so many columns, whose output it returns.
func startTerminal(t testing.TB, columns int, env []string, args ...string) *process {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(folder(t), "clerksync"), args...)
	cmd.Stdout, cmd.Stderr = tty, tty
	p := launch(t, append([]string{"TERM=xterm"}, env...), cmd)
	tty.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(p.stdout, master) // it ends with an error when the last one hangs up
	}()
	exited, drained := p.exited, make(chan struct{})
	p.exited = drained
	go func() { <-exited; <-read; close(drained) }()
	return p
}

var steering = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// atTerminal points to an emulator and a database, and lets only warnings be logged.
func atTerminal(t *testing.T, cfg clerktest.Config) []string {
	return environment(emulate(t, cfg), "sqlite:"+filepath.Join(t.TempDir(), "clerksync.db"), "CLERKSYNC_LOG_LEVEL=warn")
}

// seen is what is left of an output once a terminal has been steered by it: its lines, as they are when they end.
func seen(text string) (lines []string) {
	for line := range strings.Lines(steering.ReplaceAllString(text, "")) {
		line = strings.TrimRight(line, "\r\n")
		lines = append(lines, line[strings.LastIndex(line, "\r")+1:])
	}
	return lines
}

// TestTerminalFits looks whether tables and texts fit the width of terminals, and who is sent colours.
func TestTerminalFits(t *testing.T) {
	t.Parallel()
	env := atTerminal(t, clerktest.Config{Users: 20, Organizations: 2, Members: 3})
	run(t, 0, env, "reconcile")
	for _, columns := range []int{40, 80} {
		for _, command := range []string{"status", "doctor", "events list", "migrate status", "reconcile --help", "serve --bogus", "demo --once --users 20"} {
			p := startTerminal(t, columns, env, strings.Fields(command)...)
			<-p.exited
			text := p.stdout.String()
			if len(text) < 30 {
				t.Errorf("%s prints %q", command, text)
			}
			for _, line := range seen(text) {
				if utf8.RuneCountInString(line) > columns && strings.Contains(strings.TrimSpace(line), " ") {
					t.Errorf("%s prints a line of more than %d characters: %q", command, columns, line)
				}
			}
			if painted := strings.Contains(text, "\x1b[3"); painted != (command == "status" || command == "doctor") {
				t.Errorf("%s with colours: %v\n%q", command, painted, text)
			}
		}
	}
	for _, plain := range []string{"NO_COLOR=1", "TERM=dumb"} {
		p := startTerminal(t, 80, append([]string{plain}, env...), "doctor")
		if <-p.exited; strings.Contains(p.stdout.String(), "\x1b") {
			t.Errorf("%s, and colours: %q", plain, p.stdout)
		}
	}
	if text, _ := run(t, 0, env, "doctor"); strings.Contains(text, "\x1b") {
		t.Errorf("colours in a pipe: %q", text)
	}
}

// TestTerminalProgress interrupts a backfill that shows how far it is.
func TestTerminalProgress(t *testing.T) {
	t.Parallel()
	env := atTerminal(t, clerktest.Config{Users: 20_000, Faults: clerktest.Faults{Latency: 200 * time.Millisecond}})
	p := startTerminal(t, 80, env, "reconcile")
	eventually(t, time.Minute, "the bar tells how long it takes", func() bool {
		return regexp.MustCompile(`\r\x1b\[K█*░+ users \d+ of 20000, [hm\d]+s left, \d+ a second`).MatchString(p.stdout.String())
	})
	p.signal(syscall.SIGINT)
	p.wantExit(1, time.Minute)
	text := p.stdout.String()
	for drawn := range strings.SplitSeq(text, "\r\x1b[K") {
		drawn, _, _ = strings.Cut(drawn, "\r\n")
		if n := utf8.RuneCountInString(drawn); strings.HasPrefix(drawn, "█") && n > 79 {
			t.Errorf("drawn over the edge, %d characters: %q", n, drawn)
		}
	}
	if !strings.HasSuffix(text, "\r\nclerksync: interrupted: the next pass goes on where this one was\r\n") {
		t.Errorf("what an interrupt says: %q", text)
	}
	if n := strings.Count(text, "canceled"); n > 1 {
		t.Errorf("the reason is told %d times: %q", n, text)
	}
	for _, line := range seen(text) {
		if strings.Contains(line, "░") {
			t.Errorf("a bar is left on the terminal: %q", line)
		}
	}
}

// TestTerminalEmulate has the emulator print what another terminal needs, as a shell reads it.
func TestTerminalEmulate(t *testing.T) {
	t.Parallel()
	p := startTerminal(t, 80, nil, "emulate", "--listen", "127.0.0.1:0")
	told := regexp.MustCompile(`(?s)(export CLERK_API_URL=http://127.*whsec_\S+)\r\n$`)
	eventually(t, time.Minute, "the lines to paste", func() bool { return told.MatchString(p.stdout.String()) })
	lines := strings.ReplaceAll(told.FindStringSubmatch(p.stdout.String())[1], "\r", "")
	doctor := startShell(t, nil, lines+"\nclerksync migrate up && clerksync doctor")
	doctor.wantExit(0, time.Minute)
	if !strings.Contains(doctor.stdout.String(), "the key belongs to ins_emulator") {
		t.Errorf("with the lines of the emulator: %s", doctor.stdout)
	}
}

// TestTerminalWatch watches the status until it was drawn over.
func TestTerminalWatch(t *testing.T) {
	t.Parallel()
	env := atTerminal(t, clerktest.Config{Users: 5})
	run(t, 0, env, "migrate", "up")
	p := startTerminal(t, 80, env, "status", "--watch")
	again := regexp.MustCompile(`\x1b\[(\d+)F\x1b\[Jas of`)
	eventually(t, time.Minute, "the status is drawn over", func() bool { return again.MatchString(p.stdout.String()) })
	p.signal(syscall.SIGINT)
	p.wantExit(0, time.Minute)
	first, _, _ := strings.Cut(strings.TrimPrefix(p.stdout.String(), "\x1b[J"), "F\x1b[J")
	if up := again.FindStringSubmatch(p.stdout.String())[1]; fmt.Sprint(strings.Count(first, "\n")) != up {
		t.Errorf("%s lines are drawn over, of:\n%q", up, first)
	}

	piped := start(t, env, "status", "--watch", "--json")
	eventually(t, time.Minute, "two statuses", func() bool { return strings.Count(piped.stdout.String(), `{"healthy":`) >= 2 })
	piped.signal(syscall.SIGTERM)
	piped.wantExit(0, time.Minute)
}
