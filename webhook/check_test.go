//go:build check

package webhook_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestOtherSigners lets libraries in another language, by other people, sign what the handler verifies. It needs node, npm and
// npm's registry.
func TestOtherSigners(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script, err := os.ReadFile("testdata/post.cjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "post.cjs"), script, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, dir, nil, "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, "svix@2.5.0", "standardwebhooks@1.1.1")

	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	now := ms(time.Now())
	body := envelope("user.created", now, userJSON("user_1", now, `"first_name":"Ada"`))
	got := run(t, dir, []string{"ENDPOINT=" + e.server.URL, "SECRET=" + secret, "BODY=" + body}, "node", "post.cjs")
	const want = "svix 204\nstandard 204\nunicode 204\naltered 401\nold 401\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if n := e.count("events", "id IN ('msg_svix', 'msg_standard', 'msg_unicode')"); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("running %s (is it installed? `apt-get install nodejs npm`): %v\n%s", name, err, output)
	}
	return string(output)
}
