package main_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/clerksync/clerksync/clerktest"
)

// TestScripts runs the command line as users type it: testdata/script has one story a file.
func TestScripts(t *testing.T) {
	t.Parallel()
	bin := folder(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Vars = append(env.Vars, race)
			env.Setenv("CLERKSYNC_READ_MARGIN", "0s")
			env.Values[emulatorKey{}] = new(*clerktest.Server)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "until": until, "emulator": emulator, "clerk": clerk},
	})
}

// exits CODE PROGRAM ARG… runs a program and insists on its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if want := args[0]; strconv.Itoa(code) != want {
		ts.Fatalf("exit code %d, want %s", code, want)
	}
}

// until PROGRAM ARG… runs a program again and again, until it succeeds.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: until PROGRAM ARG…")
	}
	for deadline := time.Now().Add(time.Minute); ts.Exec(args[0], args[1:]...) != nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("not within a minute")
		}
	}
}

type emulatorKey struct{}

// emulator USERS SEED starts an emulator of Clerk and points the environment to it. A second one takes the place of the first.
func emulator(ts *testscript.TestScript, _ bool, args []string) {
	users, err := strconv.Atoi(args[0])
	ts.Check(err)
	seed, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	server, err := clerktest.Start(context.Background(), clerktest.Config{Users: users, Seed: seed})
	ts.Check(err)
	ts.Defer(server.Close)
	*ts.Value(emulatorKey{}).(**clerktest.Server) = server
	ts.Setenv("CLERK_API_URL", server.URL())
	ts.Setenv("CLERK_SECRET_KEY", server.SecretKey())
	ts.Setenv("INSTANCE", server.InstanceID())
	for id := range server.Users() {
		ts.Setenv("SOMEBODY", id)
		break
	}
}

// clerk delete|rename N changes users in Clerk, an hour ago as far as Clerk tells; clerk faults JSON makes it faulty.
func clerk(ts *testscript.TestScript, _ bool, args []string) {
	server := *ts.Value(emulatorKey{}).(**clerktest.Server)
	if args[0] == "faults" {
		resp, err := http.Post(server.URL()+"/_emulator/faults", "application/json", strings.NewReader(args[1]))
		ts.Check(err)
		ts.Check(resp.Body.Close())
		if resp.StatusCode >= 300 {
			ts.Fatalf("setting faults: %s", resp.Status)
		}
		return
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var ids []string
	for id := range server.Users() {
		if ids = append(ids, id); len(ids) == n {
			break
		}
	}
	for _, id := range ids {
		switch args[0] {
		case "delete":
			ts.Check(server.DeleteUser(id))
		case "rename":
			ts.Check(server.UpdateUser(id, clerktest.Fields{
				"first_name": fmt.Sprint("Renamed ", time.Now().UnixNano()), "updated_at": time.Now().Add(-time.Hour).UnixMilli(),
			}))
		}
	}
}
