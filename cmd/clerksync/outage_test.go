package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestOutage takes the database away: before the daemon starts, and while it runs.
func TestOutage(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Own(t, pgtest.Options{})
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

	demote(t, cluster)
	eventually(t, 30*time.Second, "a delivery is refused", func() bool {
		return post(t.Context(), clerk, d.webhook, "msg_3", clerk.InstanceID()) == http.StatusServiceUnavailable
	})
	wantNotReady(t, d, "the database takes no writes")
	promote(t, cluster)
	eventually(t, 30*time.Second, "a delivery is taken again", func() bool {
		return post(t.Context(), clerk, d.webhook, "msg_3", clerk.InstanceID()) == http.StatusNoContent
	})
	if code, body := get(t, d.admin+"/readyz"); code != http.StatusOK {
		t.Errorf("after a delivery was taken: %d %s", code, body)
	}
}

// TestOutageBehindProxy has a proxy take connections and close them, as one does that has no server behind it: before the daemon starts, and
// while it runs.
func TestOutageBehindProxy(t *testing.T) {
	t.Parallel()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop().Level(zerolog.Disabled))
	proxy, database := wire(t, server, "postgres", pgtest.Direct(t))
	outage := cell{toxic: toxic{"limit_data", `{"bytes":0}`}, direction: "downstream"}
	restore := outage.ail(t, proxy)
	clerk := emulate(t, clerktest.Config{Users: 2})
	d := listening(t, clerk, environment(clerk, database, "CLERKSYNC_POLL_INTERVAL=0"))
	tells := func(what string) {
		t.Helper()
		eventually(t, 30*time.Second, what, func() bool { return strings.Contains(d.stderr.String(), `"`+what+`"`) })
	}
	tells("the database does not answer yet")
	restore()
	eventually(t, 30*time.Second, "ready once there is a server", func() bool { code, _ := get(t, d.admin+"/readyz"); return code == 200 })

	restore = outage.ail(t, proxy)
	tells("the database does not answer")
	restore()
	tells("the database answers again")
}

// TestReadyOnLaterTables has a later release migrate under a daemon that runs, as the first step of an update does. It takes deliveries, so
// it must be ready: or no replica were, until the first of the later release is.
func TestReadyOnLaterTables(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{Users: 2})
	d := serve(t, clerk, environment(clerk, url))
	connect(t, pgtest.As(t, url, "postgres")).MustExec(`INSERT INTO clerk.migrations (version_id, is_applied) VALUES (99999, true)`)
	if code := post(t.Context(), clerk, d.webhook, "msg_1", clerk.InstanceID()); code != http.StatusNoContent {
		t.Errorf("a delivery was answered %d, want 204", code)
	}
	if code, body := get(t, d.admin+"/readyz"); code != http.StatusOK || !strings.Contains(body, "a later release has migrated the tables") {
		t.Errorf("/readyz: %d %s, want 200 and a warning", code, body)
	}
	if _, stderr := run(t, 1, environment(clerk, url), "reconcile"); !strings.Contains(stderr, "migrated by a later release") {
		t.Errorf("a pass of this release told %q", stderr)
	}
}

// demote starts a server anew as a standby, which answers and takes no writes.
func demote(t *testing.T, cluster *pgtest.Cluster) {
	t.Helper()
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	folder, _ := cluster.Socket()
	if err := os.WriteFile(filepath.Join(folder, "data", "standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
}

// promote has a standby take writes.
func promote(t *testing.T, cluster *pgtest.Cluster) {
	t.Helper()
	connect(t, cluster.URL("postgres")).MustExec(`SELECT pg_promote()`)
}

func wantNotReady(t *testing.T, d *daemon, reason string) {
	t.Helper()
	eventually(t, 20*time.Second, "not ready: "+reason, func() bool {
		code, body := get(t, d.admin+"/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, reason)
	})
}
