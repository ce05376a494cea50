package main_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	main "github.com/clerksync/clerksync/cmd/clerksync"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestFrozenServer stops the sessions of a mirror without a word, as a machine does that is gone or a proxy that hangs. Evidence is
// merged again once they are given up, over lines that answer.
func TestFrozenServer(t *testing.T) {
	t.Parallel()
	const patience = time.Second
	address := pgtest.Direct(t)
	watcher, db := connect(t, address), frozenSoon(t, address, patience)
	m, err := clerksync.Open(t.Context(), db, clerksync.Config{InstanceID: "ins_1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := tellOf(t.Context(), m, 0); err != nil {
		t.Fatal(err)
	}
	var sessions []int
	if err := watcher.Select(&sessions, `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'clerksync' AND backend_type = 'client backend'`); err != nil {
		t.Fatal(err)
	}
	if len(sessions) == 0 {
		t.Fatal("the mirror has no session")
	}
	for _, pid := range sessions {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // or nobody could drop the database
	}
	begun := time.Now()
	for n := 1; ; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := tellOf(ctx, m, n)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, clerksync.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v, want ErrUnavailable", err)
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("nothing is merged %s after %d sessions froze: %v", time.Since(begun).Round(time.Second), len(sessions), err)
		}
	}
	t.Logf("merged again %s after %d sessions froze", time.Since(begun).Round(time.Millisecond), len(sessions))
}

// TestAnswersOfFrozenDatabase stops the whole server without a word: whoever asks the daemon how it is gets an answer all the same, however
// often they ask.
func TestAnswersOfFrozenDatabase(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Own(t, pgtest.Options{})
	clerk := emulate(t, clerktest.Config{})
	d := serve(t, clerk, environment(clerk, cluster.URL("postgres")))
	var sessions []int
	if err := connect(t, cluster.URL("postgres")).Select(&sessions, `SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	for _, pid := range append(sessions, cluster.PID()) {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }() // or the server could not be stopped
	}
	for range 12 { // more than there are connections
		begun := time.Now()
		if code, body := get(t, d.admin+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "the database does not answer") {
			t.Errorf("/readyz after %s: %d %s", time.Since(begun).Round(time.Millisecond), code, body)
		}
	}
}

// TestSSLModeOfTheEnvironment insists on an encrypted way by PGSSLMODE, to a server that has none.
func TestSSLModeOfTheEnvironment(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(pgtest.Direct(t))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Del("sslmode")
	u.RawQuery = q.Encode()
	run(t, 0, []string{"DATABASE_URL=" + u.String()}, "status")
	if _, stderr := run(t, 1, []string{"DATABASE_URL=" + u.String(), "PGSSLMODE=verify-full"}, "status"); !strings.Contains(stderr, "SSL is not enabled") {
		t.Errorf("it tells %s", stderr)
	}
}

func frozenSoon(t *testing.T, address string, patience time.Duration) *sqlx.DB {
	t.Helper()
	db, err := main.OpenDatabase(address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func tellOf(ctx context.Context, m *clerksync.Mirror, n int) error {
	_, err := m.Apply(ctx, clerksync.Evidence{Kind: clerksync.Users, At: 2, Source: clerksync.Webhook,
		Object: fmt.Appendf(nil, `{"id":"user_%d","object":"user","created_at":1,"updated_at":2,"email_addresses":[]}`, n)})
	return err
}
