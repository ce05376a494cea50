package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestOutage takes the database away: before the daemon starts, and while it runs.
func TestOutage(t *testing.T) {
	t.Parallel()
	cluster, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	clerk := emulate(t, clerktest.Config{})
	d := listening(t, clerk, environment(clerk, cluster.URL("postgres")))
	wantNotReady(t, d, "the database is not open yet")
	if code := post(t.Context(), clerk, d.webhook, "msg_0", clerk.InstanceID()); code != http.StatusServiceUnavailable {
		t.Errorf("a delivery before the database is there was answered %d, want 503", code)
	}

	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "ready once the database is there", func() bool { code, _ := get(t, d.admin+"/readyz"); return code == 200 })
	if code := post(t.Context(), clerk, d.webhook, "msg_1", clerk.InstanceID()); code != http.StatusNoContent {
		t.Errorf("answered %d, want 204", code)
	}

	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	wantNotReady(t, d, "the database does not answer")
	if code := post(t.Context(), clerk, d.webhook, "msg_2", clerk.InstanceID()); code != http.StatusServiceUnavailable {
		t.Errorf("a delivery during the outage was answered %d, want 503", code)
	}
	for path, want := range map[string]int{"/livez": 200, "/metrics": 200, "/": 200, "/api/status": 503} {
		if code, _ := get(t, d.admin+path); code != want && path != "/api/status" { // that one may be remembered for some seconds
			t.Errorf("GET %s during the outage: %d, want %d", path, code, want)
		}
	}

	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "ready after the outage", func() bool { code, _ := get(t, d.admin+"/readyz"); return code == 200 })
	eventually(t, 30*time.Second, "a delivery is taken after the outage", func() bool {
		return post(t.Context(), clerk, d.webhook, "msg_2", clerk.InstanceID()) == http.StatusNoContent
	})

	admin := connect(t, cluster.URL("template1"))
	readOnly(t, admin, "on")
	eventually(t, 30*time.Second, "a delivery is refused", func() bool {
		return post(t.Context(), clerk, d.webhook, "msg_3", clerk.InstanceID()) == http.StatusServiceUnavailable
	})
	wantNotReady(t, d, "the database takes no writes")
	readOnly(t, admin, "off")
	eventually(t, 30*time.Second, "a delivery is taken again", func() bool {
		return post(t.Context(), clerk, d.webhook, "msg_3", clerk.InstanceID()) == http.StatusNoContent
	})
	if code, body := get(t, d.admin+"/readyz"); code != http.StatusOK {
		t.Errorf("after a delivery was taken: %d %s", code, body)
	}
}

// readOnly makes the database "postgres" of a server read-only, or no longer, also for the sessions that there are.
func readOnly(t *testing.T, admin *sqlx.DB, to string) {
	t.Helper()
	admin.MustExec(`ALTER DATABASE postgres SET default_transaction_read_only = ` + to)
	since := time.Now()
	for looks := 0; looks < 3; time.Sleep(30 * time.Millisecond) { // a session that was about to begin is not shown at once
		ended := admin.MustExec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres' AND backend_start < $1`, since)
		if n, err := ended.RowsAffected(); err == nil && n == 0 {
			looks++
		}
	}
}

func wantNotReady(t *testing.T, d *daemon, reason string) {
	t.Helper()
	eventually(t, 20*time.Second, "not ready: "+reason, func() bool {
		code, body := get(t, d.admin+"/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, reason)
	})
}
