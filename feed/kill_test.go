package feed_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// hookedDatabase names the variable that makes the test binary a process whose hook tells on standard output what it is called for.
const hookedDatabase = "FEED_TEST_HOOKED"

func hook(address string) {
	db, err := sqlx.Open("postgres", address)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	m, err := clerksync.Open(ctx, db, clerksync.Config{InstanceID: instance})
	if err != nil {
		panic(err)
	}
	f, err := feed.New(feed.Config{Mirror: m, Relays: []feed.Relay{{Name: "hooks", Receiver: feed.Hooks{clerksync.Users: {
		OnCreated: func(ctx context.Context, m feed.Message) error {
			fmt.Println(m.Change.ObjectID)
			if m.Change.ObjectID == os.Getenv("FEED_TEST_HANGS") {
				<-ctx.Done()
			}
			return ctx.Err()
		},
	}}}}})
	if err != nil {
		panic(err)
	}
	panic(f.Run(ctx))
}

// TestHooksOfAKilledProcess kills a process, the way the kernel does, while its hook is at the third of five users. The next process
// is called for the third again and for those after it, and perhaps for some before it: how far a relay is, is written now and then.
func TestHooksOfAKilledProcess(t *testing.T) {
	t.Parallel()
	address := pgtest.Direct(t)
	db := sqlx.MustOpen("postgres", address)
	t.Cleanup(func() { db.Close() })
	m := open(t, db)
	began := time.Now()
	var all []string
	for i := range 5 {
		all = append(all, fmt.Sprintf("user_%d", i+1))
		apply(t, m, user(all[i], began))
	}
	first := startHooked(t, address, "user_3")
	if diff := cmp.Diff(all[:3], first.next(3)); diff != "" {
		t.Errorf("calls of the first process (-want +got)\n%s", diff)
	}
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	second := startHooked(t, address, "")
	calls := second.next(1)
	from := slices.Index(all[:3], calls[0])
	if from < 0 {
		t.Fatalf("the second process was called for %s first", calls[0])
	}
	if diff := cmp.Diff(all[from:], append(calls, second.next(len(all)-from-1)...)); diff != "" {
		t.Errorf("calls of the second process (-want +got)\n%s", diff)
	}
}

type hooked struct {
	t     *testing.T
	cmd   *exec.Cmd
	calls chan string
}

func startHooked(t *testing.T, address, hangs string) *hooked {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := &hooked{t: t, cmd: exec.Command(self), calls: make(chan string, 100)}
	h.cmd.Env = append(os.Environ(), hookedDatabase+"="+address, "FEED_TEST_HANGS="+hangs)
	var stderr strings.Builder
	h.cmd.Stderr = &stderr
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			h.calls <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = h.cmd.Process.Kill() // it may be dead
		<-done
		_ = h.cmd.Wait()
		if t.Failed() {
			t.Log(stderr.String())
		}
	})
	return h
}

// next returns the next calls. The lease of a killed process lasts a while.
func (h *hooked) next(n int) (calls []string) {
	h.t.Helper()
	for late := time.After(time.Minute); len(calls) < n; {
		select {
		case call := <-h.calls:
			calls = append(calls, call)
		case <-late:
			h.t.Fatalf("no more calls than %v", calls)
		}
	}
	return calls
}
