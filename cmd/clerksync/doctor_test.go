package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// diagnosis runs the doctor and returns its findings, one "verdict check: found → advice" a line.
func diagnosis(t *testing.T, code int, env []string, args ...string) string {
	t.Helper()
	stdout, _ := run(t, code, env, append([]string{"doctor", "--json"}, args...)...)
	var report struct {
		OK       bool
		Findings []struct{ Check, Verdict, Found, Advice string }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || report.OK != (code == 0) || len(report.Findings) < 8 {
		t.Fatalf("the doctor printed (%v):\n%s", err, stdout)
	}
	var b strings.Builder
	for _, f := range report.Findings {
		b.WriteString(f.Verdict + " " + f.Check + ": " + f.Found + " → " + f.Advice + "\n")
		if f.Verdict == "failed" && f.Advice == "" {
			t.Errorf("nothing is said about what to do: %+v", f)
		}
	}
	return b.String()
}

func wantFindings(t *testing.T, found string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(found, w) {
			t.Errorf("the doctor does not find %q but\n%s", w, found)
		}
	}
}

// TestDoctor examines set-ups that are well, and ones that are ill in every way the doctor knows.
func TestDoctor(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk, other := emulate(t, clerktest.Config{Users: 3}), emulate(t, clerktest.Config{Seed: 9})
	env := environment(clerk, url)
	with := func(more ...string) []string { return append(env[:len(env):len(env)], more...) }

	// Before anything was ever run.
	wantFindings(t, diagnosis(t, 0, env), "ok tables", "ok Clerk: the key belongs to "+clerk.InstanceID(), "ok clock",
		"ok role: clerk_daemon may do what it needs, and no more", "warning mirror: no full pass", "skipped endpoint", "ok sslmode", "ok listeners: the admin")
	if n := count(t, connect(t, url), `SELECT count(*) FROM clerk.state WHERE key = 'instance'`); n != 0 {
		t.Error("the doctor pinned the mirror")
	}

	d := serve(t, clerk, env)
	run(t, 0, env, "reconcile")
	wantFindings(t, diagnosis(t, 0, env, "--url", d.webhook), "ok endpoint: an unsigned delivery is refused", "ok endpoint: a delivery signed with secret 1 is taken",
		"ok mirror: the last complete pass")
	if n := count(t, connect(t, url), `SELECT count(*) FROM clerk.events WHERE type = 'clerksync.doctor' AND outcome = 'ignored'`); n != 1 {
		t.Errorf("%d events of the doctor's, want 1", n)
	}

	bare, latin := pgtest.Empty(t), pgtest.Encoded(t, "LATIN1")
	dir := t.TempDir()
	open := filepath.Join(dir, "key")
	write(t, open, clerk.SecretKey())
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		code int
		env  []string
		args []string
		want []string
	}{
		{"no database", 1, with("DATABASE_URL=postgres://nobody@127.0.0.1:1/nothing"), nil, []string{"failed database", "skipped tables", "skipped Clerk"}},
		{"no tables", 1, with("DATABASE_URL=" + bare), nil, []string{"failed tables: they are missing", "clerksync migrate up"}},
		{"another encoding", 1, with("DATABASE_URL=" + latin), nil, []string{"failed database: PostgreSQL", "the encoding LATIN1", "createdb", "skipped tables"}},
		{"a superuser", 0, with("DATABASE_URL=" + pgtest.As(t, url, "postgres")), nil, []string{"warning role: postgres", "is a superuser", "migrate print --roles"}},
		{"a reader", 1, with("DATABASE_URL=" + pgtest.As(t, url, pgtest.Reader)), nil, []string{"failed tables", "failed role: ", "may not write"}},
		{"a standby", 1, with("DATABASE_URL=" + pgtest.Direct(t) + "&options=-c%20default_transaction_read_only%3Don"), nil, []string{"failed database: it takes no writes"}},
		{"a log of what is written", 0, with("DATABASE_URL=" + pgtest.As(t, pgtest.Direct(t), "postgres") + "&options=-c%20log_statement%3Dmod"), nil,
			[]string{"warning database: its log quotes people's data, which no erasure reaches, by log_statement=mod → ", "log_parameter_max_length"}},
		{"a log of errors", 0, with("DATABASE_URL=" + pgtest.As(t, pgtest.Direct(t), "postgres") + "&options=-c%20log_parameter_max_length_on_error%3D-1"), nil,
			[]string{"warning database: its log quotes people's data, which no erasure reaches, by log_parameter_max_length_on_error=-1"}},
		{"another instance's key", 1, with("CLERK_API_URL="+other.URL(), "CLERK_SECRET_KEY="+other.SecretKey()), nil,
			[]string{"failed Clerk: the key belongs to " + other.InstanceID() + ", and the database mirrors " + clerk.InstanceID()}},
		{"nobody's key", 1, with("CLERK_SECRET_KEY=sk_test_hush"), nil, []string{"failed Clerk", "HTTP 401"}},
		{"no key", 0, with("CLERK_SECRET_KEY="), nil, []string{"warning configuration: webhooks alone", "skipped Clerk: there is no"}},
		{"another secret", 1, with("CLERK_WEBHOOK_SIGNING_SECRET=" + fresh(t)), []string{"--url", d.webhook},
			[]string{"ok endpoint", "failed endpoint: a delivery signed with secret 1 was answered 401", "other secrets"}},
		{"another path", 1, env, []string{"--url", d.webhook + "/elsewhere"}, []string{"failed endpoint: an unsigned delivery was answered 404", "CLERKSYNC_WEBHOOK_PATH"}},
		{"another server", 1, env, []string{"--url", d.admin + "/livez"}, []string{"failed endpoint"}},
		{"nobody there", 1, env, []string{"--url", "http://127.0.0.1:1/"}, []string{"failed endpoint", "DNS, firewall"}},
		{"an open file", 0, with("CLERK_SECRET_KEY=", "CLERK_SECRET_KEY_FILE="+open), nil, []string{"warning files: everybody on this machine may open the file of CLERK_SECRET_KEY_FILE", "chmod"}},
		{"a receiver in the clear", 0, with("CLERKSYNC_PUBLISH=nats://me:hunter2@nats.example.com/CLERK#far,nats://[::1]/CLERK#near,tls://nats.example.com/CLERK#safe"), nil,
			[]string{"warning receivers: far can be reached without encryption", "tls://", "ok receivers: near", "ok receivers: safe"}},
		{"an open admin listener", 0, with("CLERKSYNC_ADMIN_LISTEN=:8081", "CLERKSYNC_ADMIN_TOKEN=hush"), nil, []string{"warning listeners", "short token"}},
		{"no erasure", 0, with("CLERKSYNC_DELETE_POLICY=hide"), nil, []string{"warning erasure: deleted people are hidden and never erased"}},
		{"erased at once", 0, with("CLERKSYNC_ERASE_AFTER=0"), nil, []string{"warning erasure: a deletion is erased at once, and cannot be undone → set CLERKSYNC_ERASE_AFTER"}},
		{"kept for ever", 0, with("CLERKSYNC_EVENT_RETENTION=0"), nil, []string{"warning retention"}},
		{"a broken certificate", 1, with("CLERKSYNC_TLS_CERT="+open, "CLERKSYNC_TLS_KEY="+open), nil, []string{"failed listeners: CLERKSYNC_TLS_CERT must be a PEM file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found := diagnosis(t, c.code, c.env, c.args...)
			wantFindings(t, found, c.want...)
			for _, secret := range []string{"hush", "hunter2", clerk.SecretKey(), other.SecretKey(), clerk.WebhookSecret()[6:]} {
				if strings.Contains(found, secret) {
					t.Errorf("the findings show %q:\n%s", secret, found)
				}
			}
		})
	}
	spared := pgtest.As(t, pgtest.Direct(t), "postgres") + "&options=-c%20log_min_duration_statement%3D0%20-c%20log_parameter_max_length%3D0"
	if found := diagnosis(t, 0, with("DATABASE_URL="+spared)); strings.Contains(found, "its log quotes") {
		t.Errorf("a log without parameters is said to quote people's data:\n%s", found)
	}
	shadowed := pgtest.Direct(t)
	connect(t, pgtest.As(t, shadowed, "postgres")).MustExec(`GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC; SET ROLE clerk_reader;
CREATE FUNCTION public.has_schema_privilege(text, text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'`)
	wantFindings(t, diagnosis(t, 0, with("DATABASE_URL="+shadowed)), "warning role: everybody may make functions in the schema public", "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "ok role")
	stdout, stderr := run(t, 1, with("CLERK_SECRET_KEY=sk_test_hush"), "doctor")
	wantFindings(t, stdout, "failed ", "→ look whether this machine reaches")
	wantFindings(t, stderr, "something is wrong with this set-up")
	if _, stderr := run(t, 2, with("CLERKSYNC_POLL_INTERVAL=soon"), "doctor"); !strings.Contains(stderr, "CLERKSYNC_POLL_INTERVAL") {
		t.Errorf("a mistake is told as %q", stderr)
	}
}

// TestDoctorOfMovedTables has tables whose rows came without their sequences, as logical replication brings them, and ones of which a
// policy of the team's hides rows from the daemon. Neither is an error of any statement of the daemon's that says why.
func TestDoctorOfMovedTables(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 3})
	for _, c := range []struct {
		name, harm, found, mend string
	}{
		{"numbers of changes", `ALTER TABLE clerk.changes ALTER COLUMN seq RESTART WITH 1`,
			"failed tables: the next number of changes is not above those that are taken, so what needs one is refused with SQLSTATE 23505, or no relay delivers it → " +
				"as the owner of the tables: SELECT setval('clerk.changes_seq_seq', (SELECT max(seq) FROM clerk.changes)); then clerksync events retry --all, and have",
			`SELECT setval('clerk.changes_seq_seq', (SELECT max(seq) FROM clerk.changes))`},
		{"numbers of passes", `ALTER TABLE clerk.passes ALTER COLUMN id RESTART WITH 1`, "failed tables: the next number of passes is taken already",
			`SELECT setval('clerk.passes_id_seq', (SELECT max(id) FROM clerk.passes))`},
		{"numbers that a relay has passed", `INSERT INTO clerk.relays (name, seq, term, moved_at) VALUES ('billing', 5000, 1, now())`,
			"failed tables: the next number of changes is one that a relay has passed, so it goes back and delivers numbers a second time → as the owner of the tables: " +
				"SELECT setval('clerk.changes_seq_seq', (SELECT max(seq) FROM clerk.relays)); then have what receives them read the mirror anew",
			`SELECT setval('clerk.changes_seq_seq', (SELECT max(seq) FROM clerk.relays))`},
		{"row-level security", `ALTER TABLE clerk.users ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON clerk.users FOR SELECT USING (id = current_setting('app.user', true))`,
			"failed role: row-level security may hide rows of users from clerk_daemon → for each of them, as its owner: CREATE POLICY daemon ON clerk.TABLE TO clerk_daemon USING (true)",
			`CREATE POLICY daemon ON clerk.users TO clerk_daemon USING (true)`},
		{"a policy that outweighs others", `ALTER TABLE clerk.users ENABLE ROW LEVEL SECURITY; CREATE POLICY daemon ON clerk.users USING (true); CREATE POLICY ours ON clerk.users AS RESTRICTIVE USING (first_name <> 'Nobody')`,
			"failed role: row-level security may hide rows of users from clerk_daemon", `ALTER POLICY ours ON clerk.users TO clerk_reader`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.URL(t)
			env, owner := environment(clerk, url), connect(t, pgtest.As(t, url, "postgres"))
			run(t, 0, env, "reconcile")
			owner.MustExec(c.harm)
			wantFindings(t, diagnosis(t, 1, env), c.found)
			owner.MustExec(c.mend)
			wantFindings(t, diagnosis(t, 0, env), "ok tables: they are at this version", "ok role: clerk_daemon may do what it needs, and no more")
			owner.MustExec(`UPDATE clerk.users SET _digest = 0, first_name = 'Nobody', _updated_at = 0, _hash = ''`)
			run(t, 0, env, "reconcile")
			if n := count(t, owner, `SELECT count(*) FROM clerk.users WHERE first_name = 'Nobody'`) + count(t, owner, `SELECT count(*) FROM clerk.events`); n != 0 {
				t.Errorf("the next pass leaves or sets aside %d users", n)
			}
		})
	}
}
