package main_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jmoiron/sqlx"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/lease"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// ringing starts a daemon whose pass finds a deletion that no webhook told, so that the alarm of silent webhooks rings.
func ringing(t *testing.T, clerk *clerktest.Server, env []string, args ...string) *daemon {
	t.Helper()
	run(t, 0, env, append([]string{"reconcile"}, args...)...)
	d := serve(t, clerk, env, args...)
	for id := range clerk.Users() {
		if err := clerk.DeleteUser(id); err != nil {
			t.Fatal(err)
		}
		break
	}
	order(t, d)
	eventually(t, 30*time.Second, "the alarm", func() bool { return silent(t, d) })
	return d
}

func silent(t *testing.T, d *daemon) bool {
	t.Helper()
	_, body := get(t, d.admin+"/api/status")
	return strings.Contains(body, `"webhooks_silent":true`)
}

// TestOnlyClerkEndsTheSilence has events come that say nothing about Clerk's way to here: the doctor's, and another instance's. The alarm of
// silent webhooks rings on until one of Clerk's comes.
func TestOnlyClerkEndsTheSilence(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 5})
	env := environment(clerk, "sqlite:"+filepath.Join(t.TempDir(), "mirror.db"), "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0")
	d := ringing(t, clerk, env)
	if code := post(t.Context(), clerk, d.webhook, "msg_1", "ins_other"); code != http.StatusNoContent {
		t.Errorf("answered %d, want 204", code)
	}
	run(t, 0, env, "doctor", "--url", d.webhook)
	eventually(t, 20*time.Second, "a status that knows of both", func() bool {
		_, body := get(t, d.admin+"/api/status")
		return strings.Contains(body, "ins_other") && strings.Contains(body, "clerksync.doctor")
	})
	if !silent(t, d) {
		t.Error("the alarm has ended, though nothing has come from Clerk")
	}
	if code := post(t.Context(), clerk, d.webhook, "msg_2", clerk.InstanceID()); code != http.StatusNoContent {
		t.Errorf("answered %d, want 204", code)
	}
	eventually(t, 20*time.Second, "the end of the alarm", func() bool { return !silent(t, d) })
}

// TestAnotherReplicaEndsTheSilence has an event come to another replica than the one whose pass rang the alarm, which nobody scrapes.
func TestAnotherReplicaEndsTheSilence(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 5})
	env := environment(clerk, pgtest.URL(t), "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0")
	one, two := ringing(t, clerk, env, "--no-migrate"), serve(t, clerk, env, "--no-migrate")
	if code := post(t.Context(), clerk, two.webhook, "msg_1", clerk.InstanceID()); code != http.StatusNoContent {
		t.Fatalf("answered %d, want 204", code)
	}
	eventually(t, 20*time.Second, "the end of the alarm", func() bool { return !silent(t, one) })
}

// TestSilenceThatCannotBeEnded has an event come after the alarm, and the database take no end of it, as one that is read-only by then:
// that is when people look at the status.
func TestSilenceThatCannotBeEnded(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 5})
	file := filepath.Join(t.TempDir(), "mirror.db")
	env := environment(clerk, "sqlite:"+file, "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0")
	d := ringing(t, clerk, env)
	db := sqlx.MustOpen("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	defer db.Close()
	db.MustExec(`CREATE TRIGGER no_end BEFORE UPDATE ON clerk_state WHEN new.key = 'silence' BEGIN SELECT RAISE(ABORT, 'read-only'); END`)
	if code := post(t.Context(), clerk, d.webhook, "msg_1", clerk.InstanceID()); code != http.StatusNoContent {
		t.Fatalf("answered %d, want 204", code)
	}
	eventually(t, 20*time.Second, "a status that knows of the event", func() bool {
		code, body := get(t, d.admin+"/api/status")
		return code == http.StatusOK && strings.Contains(body, `"webhooks_silent":false`)
	})
}

// TestSilenceOfWebhooksThatAreGivenUp has the alarm ring in a mirror whose team goes on without webhooks: no event will ever end it.
func TestSilenceOfWebhooksThatAreGivenUp(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 5})
	env := environment(clerk, "sqlite:"+filepath.Join(t.TempDir(), "mirror.db"), "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0")
	d := ringing(t, clerk, env)
	d.signal(syscall.SIGTERM)
	d.wantExit(0, 30*time.Second)
	env = append(env, "CLERK_WEBHOOK_SIGNING_SECRET=", "CLERKSYNC_POLL_INTERVAL=1h")
	d = serve(t, clerk, env)
	eventually(t, 20*time.Second, "the end of the alarm", func() bool {
		status, _ := run(t, 0, env, "status")
		_, body := get(t, d.admin+"/api/status")
		return strings.Contains(body, `"webhooks_silent":false`) && !strings.Contains(status, "none has come since")
	})
}

// TestSilenceIsNoSecretOfOneReplica has a pass ring the alarm: the other replica and "clerksync status" tell of it, too, and go on when
// the replica stops whose pass it was. It stays ended when the event that ended it is removed for its age.
func TestSilenceIsNoSecretOfOneReplica(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 5})
	database := pgtest.URL(t)
	env := environment(clerk, database, "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0")
	one, two := ringing(t, clerk, env, "--no-migrate"), serve(t, clerk, env, "--no-migrate")
	wantSilent := func(want bool) {
		t.Helper()
		eventually(t, 20*time.Second, fmt.Sprintf("the alarm rings: %t", want), func() bool {
			_, metrics := get(t, two.admin+"/metrics")
			status, _ := run(t, 0, env, "status")
			return silent(t, two) == want && strings.Contains(metrics, "\nclerksync_webhooks_silent 1\n") == want &&
				strings.Contains(status, "none has come since") == want
		})
	}
	wantSilent(true)
	one.signal(syscall.SIGTERM)
	one.wantExit(0, 30*time.Second)
	wantSilent(true)
	if code := post(t.Context(), clerk, two.webhook, "msg_1", clerk.InstanceID()); code != http.StatusNoContent {
		t.Fatalf("answered %d, want 204", code)
	}
	wantSilent(false)
	connect(t, database).MustExec(`DELETE FROM clerk.events`)
	wantSilent(false)
}

// TestEventDuringAPass has an event come after a pass found what no webhook had told, and before that pass ends: webhooks do arrive.
func TestEventDuringAPass(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 5})
	env := environment(clerk, "sqlite:"+filepath.Join(t.TempDir(), "mirror.db"), "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0")
	run(t, 0, env, "reconcile")
	d := serve(t, clerk, env)
	for id := range clerk.Users() {
		if err := clerk.DeleteUser(id); err != nil {
			t.Fatal(err)
		}
		break
	}
	if err := clerk.SetFaults(clerktest.Faults{Latency: 300 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	order(t, d)
	metric := func(line string) func() bool {
		return func() bool {
			_, body := get(t, d.admin+"/metrics")
			return strings.Contains(body, "\nclerksync_"+line+"\n")
		}
	}
	eventually(t, 30*time.Second, "the deletion", metric(`changes_total{op="deleted",resource="users",source="reconcile"} 1`))
	if code := post(t.Context(), clerk, d.webhook, "msg_1", clerk.InstanceID()); code != http.StatusNoContent {
		t.Fatalf("answered %d, want 204", code)
	}
	if metric("unannounced_total 1")() {
		t.Fatal("the pass has ended before the event came")
	}
	eventually(t, 30*time.Second, "the end of the pass", metric("unannounced_total 1"))
	if status, _ := run(t, 0, env, "status"); strings.Contains(status, "none has come since") {
		t.Errorf("the alarm rings, though an event has come:\n%s", status)
	}
	if metric("webhooks_silent 1")() {
		t.Error("the alarm rings in the daemon, though an event has come")
	}
}

// TestRecoveryWaitsForAnotherPass has the database come back while another process runs a pass. The full pass that the outage asks for
// follows that one.
func TestRecoveryWaitsForAnotherPass(t *testing.T) {
	t.Parallel()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop().Level(zerolog.Disabled))
	direct := pgtest.Direct(t)
	db := connect(t, direct)
	proxy, database := wire(t, server, "postgres", direct)
	clerk := emulate(t, clerktest.Config{Users: 2})
	d := serve(t, clerk, environment(clerk, database, "CLERKSYNC_POLL_INTERVAL=0"))
	passes := func() int { return count(t, db, `SELECT count(*) FROM clerk.passes WHERE complete AND kind = 'full'`) }
	eventually(t, 30*time.Second, "the backfill", func() bool { return passes() == 1 })
	db.MustExec(`UPDATE clerk.passes SET started_at = started_at - interval '2 hours'`)
	m, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared()})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Stop()
	tells := func(what string, times int) {
		t.Helper()
		eventually(t, time.Minute, what, func() bool { return strings.Count(d.stderr.String(), what) >= times })
	}
	tells(`"the database does not answer"`, 1)
	l, err := lease.Take(t.Context(), m, "lease")
	if err != nil {
		t.Fatal(err)
	}
	err = l.Hold(t.Context(), func(context.Context) error {
		if err := proxy.Start(); err != nil {
			t.Error(err)
		}
		tells(`"pass did not begin","kind":"full"`, 1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the full pass after the other one", func() bool { return passes() == 2 })
}

// TestRecovery takes the database away while something happens that no webhook will tell. Once it is back, a delta pass finds that at
// once, though there is no polling, and a full pass follows, which rings the alarm until an event comes; after a second outage, none
// follows so soon.
func TestRecovery(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Own(t, pgtest.Options{})
	clerk := emulate(t, clerktest.Config{Users: 10})
	url := cluster.URL("postgres")
	d := serve(t, clerk, environment(clerk, url, "CLERKSYNC_POLL_INTERVAL=0"))
	passes := func(kind string) int {
		db := connect(t, url)
		defer db.Close()
		return count(t, db, `SELECT count(*) FROM clerk.passes WHERE complete AND kind = $1`, kind)
	}
	eventually(t, 30*time.Second, "the backfill", func() bool { return passes("full") == 1 })
	for id := range clerk.Users() {
		if err := clerk.DeleteUser(id); err != nil {
			t.Fatal(err)
		}
		break
	}
	wantSilent := func(want string) {
		t.Helper()
		eventually(t, 20*time.Second, "the alarm of silent webhooks is "+want, func() bool {
			_, body := get(t, d.admin+"/metrics")
			return strings.Contains(body, "\nclerksync_webhooks_silent "+want+"\n")
		})
	}
	wantSilent("0")
	connect(t, url).MustExec(`UPDATE clerk.passes SET started_at = started_at - interval '2 hours'`)

	for outage := 1; outage <= 2; outage++ {
		if err := cluster.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "the daemon has noticed the outage", func() bool {
			return strings.Count(d.stderr.String(), `"the database does not answer"`) == outage
		})
		id, err := clerk.CreateUser(clerktest.Fields{"first_name": "Ada"})
		if err != nil {
			t.Fatal(err)
		}
		if err := cluster.Restart(); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "the user who was created during the outage", func() bool {
			db := connect(t, url)
			defer db.Close()
			return count(t, db, `SELECT count(*) FROM clerk.active_users WHERE id = $1 AND source = 'delta'`, id) == 1
		})
		eventually(t, time.Minute, "the full pass after the delta pass", func() bool { return passes("full") == 2 })
		if outage == 1 {
			wantSilent("1")
			if code := post(t.Context(), clerk, d.webhook, "msg_1", clerk.InstanceID()); code != http.StatusNoContent {
				t.Errorf("answered %d, want 204", code)
			}
			wantSilent("0")
		}
	}

	// A database that takes no writes answers pings all the time.
	deltas := passes("delta")
	super := connect(t, url)
	for _, mode := range []string{"on", "off"} {
		super.MustExec(`ALTER SYSTEM SET default_transaction_read_only = ` + mode)
		super.MustExec(`SELECT pg_reload_conf()`)
		want := map[string]int{"on": http.StatusServiceUnavailable, "off": http.StatusNoContent}[mode]
		n := 0
		eventually(t, 20*time.Second, "deliveries are answered as a database does that is read-only: "+mode, func() bool {
			n++
			return post(t.Context(), clerk, d.webhook, fmt.Sprint("msg_readonly_", mode, n), clerk.InstanceID()) == want
		})
	}
	eventually(t, 30*time.Second, "the delta pass after that", func() bool { return passes("delta") > deltas })
}

// TestFileReplaced ends a daemon whose SQLite file somebody has replaced, and that would answer for what nobody will find.
func TestFileReplaced(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{})
	file := filepath.Join(t.TempDir(), "mirror.db")
	d := serve(t, clerk, environment(clerk, "sqlite:"+file))
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	d.wantExit(1, 30*time.Second)
	if !strings.Contains(d.stderr.String(), "was removed or replaced") {
		t.Errorf("it says\n%s", d.stderr)
	}
}

// TestFileThatIsNone takes a path that cannot be opened for no outage, which waiting may cure.
func TestFileThatIsNone(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{})
	folder := t.TempDir()
	p := start(t, environment(clerk, "sqlite:"+folder), "serve")
	p.wantExit(1, 30*time.Second)
	if text := p.stderr.String(); !strings.Contains(text, folder) || strings.Contains(text, "does not answer") {
		t.Errorf("it says\n%s", text)
	}

}
