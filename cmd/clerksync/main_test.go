package main_test

import (
	"bytes"
	"context"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	main "github.com/clerksync/clerksync/cmd/clerksync"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestMain makes the test binary the command itself where it is started by that name: so tests run the real process.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "clerksync" {
		if os.Getenv(hooked) != "" {
			main.SetHooks(notingHooks())
		}
		main.Main()
	}
	// Most tests wait for processes and for what these wait for, and not for a processor.
	if err := flag.Set("test.parallel", strconv.Itoa(max(6, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	// Nothing here may need more rights than the daemon has.
	if err := os.Setenv("PGTEST_ROLE", pgtest.Daemon); err != nil {
		panic(err)
	}
	// Toxiproxy waits for ever to hand on a piece of a line whose far end went away meanwhile.
	pgtest.Main(m, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).write"))
}

// folder returns a folder that holds the command.
func folder(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "clerksync")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// race makes a data race in a command its failure, and keeps the race detector from delaying every exit.
const race = "GORACE=halt_on_error=1 atexit_sleep_ms=0"

// process is the command at work.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdout *output
	stderr *output
	exited chan struct{}
}

// start starts the command with nothing in its environment but the given variables. It is killed at the end of the test.
func start(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	return launch(t, env, exec.Command(filepath.Join(folder(t), "clerksync"), args...))
}

// startShell is like start for a script that finds the command on its PATH.
func startShell(t testing.TB, env []string, script string) *process {
	t.Helper()
	return launch(t, append(env, "PATH="+folder(t)+":"+os.Getenv("PATH")), exec.Command("sh", "-c", script))
}

// unprepared is what a process must be told where its database is behind a pooler of transactions.
func unprepared() []string {
	if pgtest.Unprepared() {
		return []string{"CLERKSYNC_DB_PREPARE=off"}
	}
	return nil
}

func launch(t testing.TB, env []string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, stdout: new(output), stderr: new(output), exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = t.TempDir(), append(append([]string{"HOME=" + t.TempDir(), race}, unprepared()...), env...)
	if cmd.Stdout == nil {
		p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := p.exited
	go func() {
		defer close(exited)
		_ = p.cmd.Wait() // the state tells
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("clerksync %s\nstdout:\n%s\nstderr:\n%s", strings.Join(cmd.Args[1:], " "), p.stdout, p.stderr)
		}
	})
	return p
}

// run runs the command to its end and returns what it printed.
func run(t testing.TB, wantCode int, env []string, args ...string) (stdout, stderr string) {
	t.Helper()
	p := start(t, env, args...)
	p.wantExit(wantCode, time.Minute)
	return p.stdout.String(), p.stderr.String()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have exited
	<-p.exited
}

func (p *process) wantExit(code int, within time.Duration) {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(within):
		p.t.Fatalf("still running after %s", within)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("exit code %d, want %d\n%s%s", got, code, p.stdout, p.stderr)
	}
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// eventually fails the test unless ok becomes true.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// get requests a page and returns status and body; status 0 means that nobody answered.
func get(t testing.TB, url string, header ...string) (int, string) {
	t.Helper()
	return request(t, http.MethodGet, url, header...)
}

func request(t testing.TB, method, url string, header ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, body.String()
}

// client keeps no connections, so that none outlives a test.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
