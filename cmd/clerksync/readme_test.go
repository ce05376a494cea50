package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// blocks returns the README's blocks of one language.
func blocks(t *testing.T, language string) (all []string) {
	t.Helper()
	for _, m := range fence.FindAllStringSubmatch(read(t, "../../README.md"), -1) {
		if m[1] == language {
			all = append(all, m[2])
		}
	}
	return all
}

// TestReadmeFiles holds the README's files to those of examples, which are compiled, tested or run.
func TestReadmeFiles(t *testing.T) {
	t.Parallel()
	for language, files := range map[string][]string{
		"go":      {"login/main.go"},
		"yaml":    {"nightly/cronjob.yaml"},
		"ini":     {"nightly/clerksync.service", "nightly/clerksync.timer"},
		"crontab": {"nightly/crontab"},
	} {
		shown := blocks(t, language)
		if len(shown) != len(files) {
			t.Errorf("%d blocks of %s, want %d", len(shown), language, len(files))
			continue
		}
		for i, file := range files {
			if shown[i] != read(t, filepath.Join("../../examples", file)) {
				t.Errorf("the README's block %d of %s differs from examples/%s", i+1, language, file)
			}
		}
	}
}

// TestReadmeAccount runs what the README tells the owner of a Clerk account to run, against an emulated one.
func TestReadmeAccount(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 30})
	url := pgtest.Empty(t)
	script := blocks(t, "sh")[2]
	for shown, real := range map[string]string{
		"sk_test_…": clerk.SecretKey(), "whsec_…": clerk.WebhookSecret(), "postgres://USER:PASSWORD@localhost/DATABASE": "'" + url + "'",
		"go run ./cmd/clerksync": "exec clerksync",
	} {
		if !strings.Contains(script, shown) {
			t.Fatalf("the README's block has no %s:\n%s", shown, script)
		}
		script = strings.ReplaceAll(script, shown, real)
	}
	startShell(t, []string{"CLERK_API_URL=" + clerk.URL(), "CLERKSYNC_LISTEN=127.0.0.1:0", "CLERKSYNC_ADMIN_LISTEN=127.0.0.1:0"}, script)
	db := connect(t, url)
	eventually(t, 30*time.Second, "all users are there", func() bool {
		var n int
		err := db.GetContext(t.Context(), &n, `SELECT count(*) FROM clerk.active_users`)
		return err == nil && n == 30
	})
}

// TestReadmeNightly runs the commands of the nightly jobs.
func TestReadmeNightly(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 30})
	env := filepath.Join(t.TempDir(), "clerksync.env")
	text := "CLERK_API_URL=" + clerk.URL() + "\nCLERK_SECRET_KEY=" + clerk.SecretKey() + "\nDATABASE_URL=sqlite:" + filepath.Join(t.TempDir(), "mirror.db") + "\n"
	if err := os.WriteFile(env, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	shell := func(script string) string {
		script = strings.ReplaceAll(strings.ReplaceAll(script, "/etc/clerksync.env", env), "/usr/local/bin/clerksync", "clerksync")
		p := startShell(t, nil, script)
		p.wantExit(0, time.Minute)
		return p.stdout.String()
	}
	_, cron, _ := strings.Cut(blocks(t, "crontab")[0], "* * * ")
	if out := shell(cron); !strings.Contains(out, "30 created") {
		t.Errorf("cron's command printed\n%s", out)
	}
	_, exec, _ := strings.Cut(blocks(t, "ini")[0], "ExecStart=")
	if out := shell("set -a; . /etc/clerksync.env; " + exec); !strings.Contains(out, "30 unchanged") {
		t.Errorf("systemd's command printed\n%s", out)
	}
	args := regexp.MustCompile(`args: \[(.*)\]`).FindStringSubmatch(blocks(t, "yaml")[0])
	if out := shell("set -a; . /etc/clerksync.env; clerksync " + strings.ReplaceAll(args[1], ",", "")); !strings.Contains(out, `"unchanged":30`) {
		t.Errorf("the CronJob's command printed\n%s", out)
	}
}
