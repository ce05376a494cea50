//go:build check

package feed_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestOtherVerifiers lets libraries in another language, by other people, verify what the relay signs. It needs node, npm and npm's
// registry.
func TestOtherVerifiers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script, err := os.ReadFile("testdata/verify.cjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "verify.cjs"), script, 0o644); err != nil {
		t.Fatal(err)
	}
	command(t, dir, nil, "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, "svix@2.5.0", "standardwebhooks@1.1.1")

	type post struct {
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}
	posts := make(chan post, 10)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		p := post{Headers: map[string]string{}, Body: string(body)}
		for name := range r.Header {
			p.Headers[name] = r.Header.Get(name)
		}
		posts <- p
	}))
	defer s.Close()
	m := open(t, pgtest.SQLite(t))
	b := &inbox{t: t, server: s}
	apply(t, m, user("user_1", time.Now()))
	run(t, m, b.relay("box"))
	text, err := json.Marshal(<-posts)
	if err != nil {
		t.Fatal(err)
	}
	got := command(t, dir, []string{"SECRET=" + secret, "POST=" + string(text)}, "node", "verify.cjs")
	const want = "svix com.clerk.user.created\nstandard com.clerk.user.created\nsvix refuses the altered\nstandard refuses the altered\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verified (-want +got):\n%s", diff)
	}
}

func command(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("running %s (is it installed? `apt-get install nodejs npm`): %v\n%s", name, err, output)
	}
	return string(output)
}
