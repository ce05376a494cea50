package main_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	main "github.com/clerksync/clerksync/cmd/clerksync"
)

// TestCrowdAmongFewFiles has more clients who say nothing than the daemon may open files: they put out each other, and neither take the files
// that the database needs nor keep a delivery from being taken.
func TestCrowdAmongFewFiles(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{})
	env := environment(clerk, "sqlite:mirror.db")
	d := &daemon{clerk: clerk, process: launch(t, env, exec.Command("sh", "-c", `ulimit -n 128; exec "$0" serve`, filepath.Join(folder(t), "clerksync")))}
	d.listens(t)
	address, _, _ := strings.Cut(strings.TrimPrefix(d.webhook, "http://"), "/")
	for range 300 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	eventually(t, time.Minute, "a delivery is taken", func() bool { return signed(t, client, d.webhook, clerk.WebhookSecret(), "msg_1") == 204 })
	if strings.Contains(d.stderr.String(), "too many open files") {
		t.Error("the crowd took all files")
	}
}

// TestRoomAmongFiles holds that both listeners together leave a good part of the files to the rest.
func TestRoomAmongFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		files  uint64
		room   int
		expect int
	}{{0, 2048, 2048}, {1 << 63, 2048, 2048}, {4096, 2048, 2048}, {1024, 2048, 512}, {1024, 256, 64}, {10, 256, 1}} {
		if got := main.RoomAmong(c.files, c.room); got != c.expect {
			t.Errorf("of %d files %d for a room of %d, want %d", c.files, got, c.room, c.expect)
		}
	}
	if got := main.OpenFiles(); got == 0 && os.PathSeparator == '/' {
		t.Error("how many files there are is not known")
	}
}
