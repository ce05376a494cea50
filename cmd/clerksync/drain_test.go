package main_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// holdUp starts a daemon, and has a delivery wait in the middle of its transaction for a lock that release gives up.
func holdUp(t *testing.T) (d *daemon, db *sqlx.DB, release func() error, answered <-chan int) {
	t.Helper()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{})
	d = serve(t, clerk, environment(clerk, url))
	db = connect(t, url)
	tx, err := db.BeginTxx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	if _, err := tx.Exec(`LOCK TABLE clerk.events IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	code := make(chan int, 1)
	go func() { code <- post(t.Context(), clerk, d.webhook, "msg_1", clerk.InstanceID()) }()
	eventually(t, 10*time.Second, "the delivery waits for the lock", func() bool {
		return count(t, db, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	})
	return d, db, tx.Rollback, code
}

// TestServeDrains stops the daemon in the middle of a delivery: that one is finished and answered.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	d, db, release, answered := holdUp(t)
	d.signal(syscall.SIGTERM)
	eventually(t, 10*time.Second, "not ready, since draining", func() bool {
		code, body := get(t, d.admin+"/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "shutting down")
	})
	if code, _ := get(t, d.admin+"/livez"); code != http.StatusOK {
		t.Errorf("/livez answers %d while draining", code)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if code := <-answered; code != http.StatusNoContent {
		t.Errorf("the delivery in flight was answered %d, want 204", code)
	}
	d.wantExit(0, 25*time.Second)
	if n := count(t, db, `SELECT count(*) FROM clerk.events WHERE id = 'msg_1'`); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

// TestSecondSignal ends the daemon at once, in the middle of its drain.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	d, _, _, answered := holdUp(t)
	d.signal(syscall.SIGTERM)
	eventually(t, 10*time.Second, "draining", func() bool { return strings.Contains(d.stderr.String(), "stopping") })
	d.signal(syscall.SIGTERM)
	select {
	case <-d.exited:
	case <-time.After(3 * time.Second):
		t.Fatal("a second signal did not end the daemon at once")
	}
	if code := <-answered; code == http.StatusNoContent {
		t.Error("the delivery was answered 204 although it cannot be committed")
	}
}
