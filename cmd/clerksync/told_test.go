package main_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
)

// TestToldAtStart has a daemon tell of what its operator may not have meant.
func TestToldAtStart(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 1})
	d := serve(t, clerk, environment(clerk, "sqlite:mirror.db", "CLERKSYNC_ERASE_AFTER=0", "CLERKSYNC_RESOURCES=users,sessions"))
	d.signal(syscall.SIGHUP)
	for _, want := range []string{"CLERKSYNC_ERASE_AFTER is 0", "SIGHUP: no secret comes from a file"} {
		eventually(t, 10*time.Second, want, func() bool { return strings.Contains(d.stderr.String(), want) })
	}
	_, metrics := get(t, d.admin+"/metrics")
	for _, op := range []string{"created", "updated", "deleted", "revived"} {
		if series := `clerksync_drift_total{op="` + op + `",resource="users"} `; !strings.Contains(metrics, series) {
			t.Errorf("before the first repair, there is no %s", series)
		}
	}
	for _, series := range []string{`webhook_requests_total{code="401",reason="signature"}`, `webhook_requests_total{code="499",reason="gone"}`,
		`webhook_requests_total{code="503",reason="unavailable"}`, `clerk_requests_total{code="401",endpoint="/users"}`} {
		if !strings.Contains(metrics, "\nclerksync_"+series+" 0\n") {
			t.Errorf("before the first trouble, there is no %s", series)
		}
	}
	if strings.Contains(metrics, `clerksync_drift_total{op="created",resource="organizations"}`) || strings.Contains(metrics, `clerksync_drift_total{op="created",resource="sessions"}`) {
		t.Error("there is drift of what no pass looks at")
	}
}

// trip trips the deletion guard and returns the plan that it refuses.
func trip(t *testing.T, clerk *clerktest.Server, env []string) (plan string) {
	t.Helper()
	run(t, 0, env, "reconcile")
	gone := 0
	for id := range clerk.Users() {
		if err := clerk.DeleteUser(id); err != nil {
			t.Fatal(err)
		}
		if gone++; gone == 12 {
			break
		}
	}
	refused, _ := run(t, 3, env, "reconcile")
	return regexp.MustCompile(`refused deletion plan: ([0-9a-f]+)`).FindStringSubmatch(refused)[1]
}

// TestApprovalQuietsTheGuard approves what the guard refused: nothing is left to be attended to.
func TestApprovalQuietsTheGuard(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 60})
	env := environment(clerk, "sqlite:"+filepath.Join(t.TempDir(), "mirror.db"))
	plan := trip(t, clerk, env)
	if status, _ := run(t, 0, env, "status"); !strings.Contains(status, "clerksync reconcile --approve "+plan) {
		t.Errorf("the status does not say how to approve the plan:\n%s", status)
	}
	run(t, 0, env, "reconcile", "--approve", plan)
	if status, _ := run(t, 0, env, "status"); strings.Contains(status, "needs attention") || strings.Contains(status, "--approve") {
		t.Errorf("after the approval the status tells:\n%s", status)
	}
}

// TestInterruptedApproval ends a pass of an approved plan in its midst: nothing goes on from there.
func TestInterruptedApproval(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 60})
	env := environment(clerk, "sqlite:"+filepath.Join(t.TempDir(), "mirror.db"))
	plan := trip(t, clerk, env)
	if dry, _ := run(t, 0, env, "reconcile", "--approve", plan, "--dry-run"); !strings.Contains(dry, "deletion plan that may be approved: "+plan) || strings.Contains(dry, "approved deletion plan") {
		t.Errorf("a dry run of an approval tells:\n%s", dry)
	}
	if err := clerk.SetFaults(clerktest.Faults{Latency: time.Second}); err != nil {
		t.Fatal(err)
	}
	p := start(t, env, "reconcile", "--approve", plan)
	eventually(t, time.Minute, "the plan is used", func() bool {
		audit, _ := run(t, 0, env, "audit", "list")
		return strings.Contains(audit, "approved")
	})
	p.signal(syscall.SIGINT)
	p.wantExit(1, time.Minute)
	if told := p.stderr.String(); !strings.Contains(told, "interrupted: the plan is spent, so run a pass for what is left") {
		t.Errorf("an interrupted approval tells:\n%s", told)
	}
	if status, _ := run(t, 0, env, "status"); !strings.Contains(status, "clerksync reconcile looks again") || strings.Contains(status, "--approve") {
		t.Errorf("after an interrupted approval the status tells:\n%s", status)
	}
}

// TestInterruptedCheck ends a check in its midst, when it has found users whom the mirror lacks: it says that it was interrupted, and nothing
// about drift.
func TestInterruptedCheck(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 3500})
	to, err := url.Parse(clerk.URL())
	if err != nil {
		t.Fatal(err)
	}
	sixth := make(chan struct{})
	pages, once := atomic.Int32{}, sync.Once{}
	proxy := httputil.NewSingleHostReverseProxy(to)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/users" && pages.Add(1) > 5 {
			once.Do(func() { close(sixth) })
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer between.Close()
	env := environment(clerk, "sqlite:"+filepath.Join(t.TempDir(), "mirror.db"), "CLERK_API_URL="+between.URL)
	run(t, 0, env, "migrate", "up")
	p := start(t, env, "check")
	<-sixth
	p.signal(syscall.SIGINT)
	p.wantExit(1, time.Minute)
	if told := p.stdout.String(); !strings.Contains(told, " created") {
		t.Errorf("it had found nothing yet, so this shows nothing:\n%s", told)
	}
}

// TestPassesAlone starts a daemon that full passes alone feed, and which must not promise more.
func TestPassesAlone(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 1})
	d := serve(t, clerk, environment(clerk, "sqlite:mirror.db", "CLERK_WEBHOOK_SIGNING_SECRET=", "CLERKSYNC_POLL_INTERVAL=0"))
	if log := d.stderr.String(); !strings.Contains(log, "changes come by full passes alone") || strings.Contains(log, "polling") {
		t.Errorf("the log tells:\n%s", log)
	}
}

// TestOrderWhileAPassRuns asks for a pass while the first one runs, which nobody asked for: no other one begins, and the answer says so.
func TestOrderWhileAPassRuns(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 1})
	if err := clerk.SetFaults(clerktest.Faults{Latency: 2 * time.Second}); err != nil {
		t.Fatal(err)
	}
	d := serve(t, clerk, environment(clerk, "sqlite:mirror.db"))
	eventually(t, 20*time.Second, "the first pass runs", func() bool {
		_, body := get(t, d.admin+"/api/status")
		return strings.Contains(body, `"full":{`)
	})
	if code, body := request(t, http.MethodPost, d.admin+"/api/reconcile"); code != http.StatusConflict || !strings.Contains(body, "a pass is running") {
		t.Errorf("answered %d %s, want 409", code, body)
	}
}

// TestResyncQuarantines has the team's own trigger refuse what is read again.
func TestResyncQuarantines(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 1})
	file := filepath.Join(t.TempDir(), "mirror.db")
	env := environment(clerk, "sqlite:"+file)
	run(t, 0, env, "migrate", "up")
	db, err := sqlx.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.MustExec(`CREATE TRIGGER mine BEFORE INSERT ON clerk_users BEGIN SELECT RAISE(ABORT, 'hush'); END`)
	for id := range clerk.Users() {
		stdout, stderr := run(t, 1, env, "resync", id)
		if !strings.Contains(stdout, "quarantined") || !strings.Contains(stderr, "resyncing "+id+": it could not be stored") || strings.Contains(stderr, "hush") {
			t.Errorf("what cannot be stored is told as\n%s%s", stdout, stderr)
		}
		if status, _ := run(t, 0, env, "status"); !strings.Contains(status, "→ quarantine: verified, and could not be applied. clerksync events list --outcome quarantined shows them") {
			t.Errorf("the status does not say what to do about it:\n%s", status)
		}
	}
}

// TestShownContent has every event's content kept, of which nothing waits to be applied.
func TestShownContent(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 1})
	env := environment(clerk, "sqlite:"+filepath.Join(t.TempDir(), "mirror.db"), "CLERKSYNC_EVENT_PAYLOADS=all")
	d := serve(t, clerk, env)
	const body = `{"type":"waitlistEntry.created","object":"event","data":{"id":"wait_1","object":"waitlist_entry"}}`
	if code := signedBody(t, client, d.webhook, clerk.WebhookSecret(), "msg_1", body); code != 204 {
		t.Fatalf("answered %d", code)
	}
	if shown, _ := run(t, 0, env, "events", "show", "msg_1"); !strings.Contains(shown, " bytes, kept as long as the event") {
		t.Errorf("an event that is done with:\n%s", shown)
	}
}
