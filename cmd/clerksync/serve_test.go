package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// daemon is serve at work, and the emulator that it mirrors.
type daemon struct {
	*process
	clerk   *clerktest.Server
	webhook string // the endpoint
	admin   string // the admin listener
}

// environment points to an emulator and a database.
func environment(clerk *clerktest.Server, database string, more ...string) []string {
	return append([]string{
		"CLERK_API_URL=" + clerk.URL(), "CLERK_SECRET_KEY=" + clerk.SecretKey(), "CLERK_WEBHOOK_SIGNING_SECRET=" + clerk.WebhookSecret(),
		"CLERKSYNC_READ_MARGIN=0s", "DATABASE_URL=" + database,
		"CLERKSYNC_LISTEN=127.0.0.1:0", "CLERKSYNC_ADMIN_LISTEN=127.0.0.1:0", "CLERKSYNC_LOG_LEVEL=debug",
	}, more...)
}

// serve starts the daemon and waits until it is ready.
func serve(t *testing.T, clerk *clerktest.Server, env []string, args ...string) *daemon {
	t.Helper()
	d := listening(t, clerk, env, args...)
	eventually(t, 30*time.Second, "ready", func() bool { code, _ := get(t, d.admin+"/readyz"); return code == http.StatusOK })
	return d
}

// listening starts the daemon and waits until it listens.
func listening(t *testing.T, clerk *clerktest.Server, env []string, args ...string) *daemon {
	t.Helper()
	d := &daemon{clerk: clerk, process: start(t, env, append([]string{"serve"}, args...)...)}
	d.listens(t)
	return d
}

// listens waits until the daemon tells where it listens.
func (d *daemon) listens(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, "listening", func() bool {
		for line := range strings.Lines(d.stderr.String()) {
			var entry struct{ Msg, Webhooks, Admin string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" {
				d.webhook, d.admin = "http://"+entry.Webhooks, "http://"+entry.Admin
			}
		}
		return d.admin != ""
	})
}

// order has the daemon begin a pass, once no other one runs.
func order(t *testing.T, d *daemon, header ...string) {
	t.Helper()
	eventually(t, 30*time.Second, "a pass that is asked for begins", func() bool {
		code, _ := request(t, http.MethodPost, d.admin+"/api/reconcile", header...)
		return code == http.StatusAccepted
	})
}

func emulate(t *testing.T, cfg clerktest.Config) *clerktest.Server {
	t.Helper()
	cfg.RetryScale = 0.01
	return clerktest.NewServer(t, cfg)
}

// count returns the single number that a query answers.
func count(t *testing.T, db *sqlx.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.GetContext(t.Context(), &n, query, args...); err != nil {
		t.Fatal(err)
	}
	return n
}

func connect(t *testing.T, url string) *sqlx.DB {
	t.Helper()
	if pgtest.Unprepared() {
		url += "&binary_parameters=yes"
	}
	db, err := sqlx.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// wantEqual runs a pass and a check, and compares the numbers of users.
func wantEqual(t *testing.T, clerk *clerktest.Server, db *sqlx.DB, env []string) {
	t.Helper()
	run(t, 0, env, "reconcile", "--max-delete-percent", "100")
	run(t, 0, env, "check")
	if got, want := count(t, db, `SELECT count(*) FROM clerk.active_users`), clerk.Count(); got != want {
		t.Errorf("the mirror shows %d users, Clerk has %d", got, want)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	clerk := emulate(t, clerktest.Config{Users: 120})
	env := environment(clerk, url)
	d := serve(t, clerk, env)
	db := connect(t, url)
	clerk.SetWebhookURL(d.webhook)
	eventually(t, 20*time.Second, "the backfill is done", func() bool {
		return count(t, db, `SELECT count(*) FROM clerk.passes WHERE complete`) > 0
	})
	if n := count(t, db, `SELECT count(*) FROM clerk.active_users`); n != 120 {
		t.Errorf("%d rows after the backfill, want 120", n)
	}

	lag := time.Hour
	for try := range 5 { // the machine may be busy with something else
		changed := time.Now()
		id, err := clerk.CreateUser(clerktest.Fields{"first_name": "Ada", "email_address": []string{fmt.Sprintf("ada%d@example.com", try)}})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "the webhook's row is visible", func() bool {
			return count(t, db, `SELECT count(*) FROM clerk.active_users WHERE id = $1 AND first_name = 'Ada'`, id) == 1
		})
		lag = min(lag, time.Since(changed))
	}
	if lag > time.Second {
		t.Errorf("a row was visible after %s at best, want a second at most", lag)
	}

	for _, want := range []struct {
		url, substring string
		code           int
	}{
		{d.admin + "/livez", `"ready":true`, 200},
		{d.admin + "/readyz", `"ready":true`, 200},
		{d.admin + "/api/status", `"visible":12`, 200},
		{d.admin + "/", "Healthy", 200},
		{d.admin + "/metrics", `clerksync_events_total{outcome="created",type="user.created"} 5`, 200},
		{d.admin + "/metrics", `clerksync_last_complete_pass_timestamp_seconds{kind="full"}`, 200},
		{d.admin + "/nowhere", "", 404},
		{strings.Replace(d.webhook, "/api/webhooks/clerk", "/metrics", 1), "", 404},
		{d.webhook, "", 405},
	} {
		if code, body := get(t, want.url); code != want.code || !strings.Contains(body, want.substring) {
			t.Errorf("GET %s: %d, want %d and %q in\n%s", want.url, code, want.code, want.substring, body)
		}
	}
	for path, want := range map[string]int{"/api/events/%00/retry": http.StatusConflict, "/api/events/msg_%ff/drop": http.StatusConflict} {
		if code, body := request(t, http.MethodPost, d.admin+path); code != want {
			t.Errorf("POST %s: %d %s, want %d", path, code, body, want)
		}
	}
	if code, body := request(t, http.MethodGet, d.admin+"/objects/users/user_%ff"); code != http.StatusNotFound {
		t.Errorf("GET of an object that cannot be: %d %s", code, body)
	}
	if code, _ := request(t, http.MethodGet, d.admin+"/api/reconcile"); code != http.StatusMethodNotAllowed {
		t.Errorf("GET /api/reconcile: %d: nothing may change by GET", code)
	}
	before := count(t, db, `SELECT count(*) FROM clerk.passes`)
	order(t, d)
	eventually(t, 20*time.Second, "the pass that was asked for has ended", func() bool {
		return count(t, db, `SELECT count(*) FROM clerk.passes WHERE finished_at IS NOT NULL`) > before
	})
	for _, secret := range []string{clerk.SecretKey(), clerk.WebhookSecret(), "@example.com", "Ada"} {
		if strings.Contains(d.stderr.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}

	d.signal(syscall.SIGTERM)
	d.wantExit(0, 25*time.Second)
	wantEqual(t, clerk, db, env)
}

// post delivers an event about user_1 and returns the status, or 0 where no answer came.
func post(ctx context.Context, clerk *clerktest.Server, url, id, instance string) int {
	now := time.Now()
	body := fmt.Appendf(nil, `{"object":"event","type":"user.updated","timestamp":%[1]d,"instance_id":%[2]q,"data":`+
		`{"id":"user_1","object":"user","created_at":%[1]d,"updated_at":%[1]d,"first_name":"Grace","email_addresses":[]}}`, now.UnixMilli(), instance)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header = clerk.Sign(id, now, body)
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestServeWebhooksAlone(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{})
	d := serve(t, clerk, environment(clerk, url, "CLERK_SECRET_KEY="), "--no-migrate")
	if log := d.stderr.String(); !strings.Contains(log, "webhooks alone") || !strings.Contains(log, "no Clerk instance is pinned") {
		t.Errorf("the log does not say that webhooks come alone:\n%s", log)
	}
	if code := post(t.Context(), clerk, d.webhook, "msg_1", clerk.InstanceID()); code != http.StatusNoContent {
		t.Errorf("answered %d, want 204", code)
	}
	db := connect(t, url)
	if n := count(t, db, `SELECT count(*) FROM clerk.active_users`); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	if code, body := request(t, http.MethodPost, d.admin+"/api/reconcile"); code != http.StatusConflict {
		t.Errorf("POST /api/reconcile without a key: %d %s", code, body)
	}

	// Pinned elsewhere, an event is taken and ignored.
	d.signal(syscall.SIGTERM)
	d.wantExit(0, 25*time.Second)
	_, stderr := run(t, 4, environment(clerk, url, "CLERK_SECRET_KEY=", "CLERK_INSTANCE_ID=ins_other"), "serve")
	if !strings.Contains(stderr, clerk.InstanceID()) {
		t.Errorf("the refusal does not name the instance whose events were applied: %s", stderr)
	}
	other := pgtest.URL(t)
	d = serve(t, clerk, environment(clerk, other, "CLERK_SECRET_KEY=", "CLERK_INSTANCE_ID=ins_other"))
	if code := post(t.Context(), clerk, d.webhook, "msg_1", clerk.InstanceID()); code != http.StatusNoContent {
		t.Errorf("a foreign event was answered %d, want 204", code)
	}
	if n := count(t, connect(t, other), `SELECT count(*) FROM clerk.users`); n != 0 {
		t.Errorf("%d rows of a foreign event, want 0", n)
	}
	if _, body := get(t, d.admin+"/metrics"); !strings.Contains(body, `clerksync_events_total{outcome="foreign",type="user.updated"} 1`) {
		t.Error("the metrics do not count the foreign event")
	}
	if stdout, _ := run(t, 0, []string{"DATABASE_URL=" + other}, "status"); !strings.Contains(stdout, "1 ignored, the last one of "+clerk.InstanceID()) {
		t.Errorf("status does not tell of the foreign event:\n%s", stdout)
	}
}

// TestServeAsksTheKey pins by the key, also where a setting says otherwise: that setting is then wrong, and the mirror stays open to be
// pinned rightly.
func TestServeAsksTheKey(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{Users: 3})
	for _, command := range [][]string{{"serve"}, {"reconcile"}} {
		_, stderr := run(t, 4, environment(clerk, url, "CLERK_INSTANCE_ID=ins_other"), command...)
		for _, word := range []string{"CLERK_INSTANCE_ID", "CLERK_SECRET_KEY", "ins_other", clerk.InstanceID()} {
			if !strings.Contains(stderr, word) {
				t.Errorf("%v: the refusal does not name %s: %s", command, word, stderr)
			}
		}
	}
	if n := count(t, connect(t, url), `SELECT count(*) FROM clerk.state WHERE key = 'instance'`); n != 0 {
		t.Error("the mirror is pinned")
	}
	run(t, 0, environment(clerk, url, "CLERK_INSTANCE_ID="+clerk.InstanceID()), "reconcile")
	_, stderr := run(t, 4, environment(clerk, url, "CLERK_INSTANCE_ID=ins_other"), "reconcile")
	if !strings.Contains(stderr, "CLERK_INSTANCE_ID") {
		t.Errorf("of a pinned mirror the refusal does not name the setting: %s", stderr)
	}
}

// TestServeWhileClerkIsDown pins by the setting alone where the key cannot tell at the first start: no other instance's event may come
// first.
func TestServeWhileClerkIsDown(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{Users: 3, Faults: clerktest.Faults{ErrorRate: 1}})
	d := serve(t, clerk, environment(clerk, url, "CLERK_INSTANCE_ID="+clerk.InstanceID()))
	if code := post(t.Context(), clerk, d.webhook, "msg_1", "ins_other"); code != http.StatusNoContent {
		t.Errorf("a foreign event was answered %d", code)
	}
	if n := count(t, connect(t, url), `SELECT count(*) FROM clerk.users`); n != 0 {
		t.Errorf("%d rows of a foreign event", n)
	}
}

func TestServePolls(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{Users: 20})
	d := serve(t, clerk, environment(clerk, url, "CLERK_WEBHOOK_SIGNING_SECRET=", "CLERKSYNC_POLL_INTERVAL=1s", "CLERKSYNC_DB_PREPARE=off"))
	if code := post(t.Context(), clerk, d.webhook, "msg_1", clerk.InstanceID()); code != http.StatusNotFound {
		t.Errorf("without a signing secret a delivery was answered %d, want 404", code)
	}
	db := connect(t, url)
	eventually(t, 20*time.Second, "the backfill is done", func() bool {
		return count(t, db, `SELECT count(*) FROM clerk.passes WHERE complete`) > 0
	})
	id, err := clerk.CreateUser(clerktest.Fields{"first_name": "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "a delta pass found the new user", func() bool {
		return count(t, db, `SELECT count(*) FROM clerk.active_users WHERE id = $1`, id) == 1
	})
}

func TestAdminToken(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{})
	d := serve(t, clerk, environment(clerk, "sqlite:mirror.db", "CLERKSYNC_ADMIN_TOKEN=a-token", "CLERKSYNC_ADMIN_LISTEN=0.0.0.0:0"))
	for _, path := range []string{"/", "/metrics", "/api/status"} {
		for _, c := range []struct {
			header []string
			code   int
		}{
			{nil, 401},
			{[]string{"Authorization", "Bearer other"}, 401},
			{[]string{"Authorization", "Bearer a-token"}, 200},
			{[]string{"Authorization", "Basic OmEtdG9rZW4="}, 200},
		} {
			if code, _ := get(t, d.admin+path, c.header...); code != c.code {
				t.Errorf("GET %s with %v: %d, want %d", path, c.header, code, c.code)
			}
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if code, _ := get(t, d.admin+path); code != http.StatusOK {
			t.Errorf("GET %s without a token: %d, want 200", path, code)
		}
	}
	if strings.Contains(d.stderr.String(), "a-token") {
		t.Error("the log holds the token")
	}
}
