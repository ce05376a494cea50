package main_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestDriftIsNoBackfill counts what a pass repairs, but not what the first one of all reads; nor does a daemon that is started again
// take a later pass for the first one.
func TestDriftIsNoBackfill(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{Users: 30})
	env := environment(clerk, url, "CLERKSYNC_POLL_INTERVAL=0")
	db := connect(t, url)
	passes := func(n int) func() bool {
		return func() bool { return count(t, db, `SELECT count(*) FROM clerk.passes WHERE complete`) == n }
	}
	d := serve(t, clerk, env)
	eventually(t, 20*time.Second, "the backfill is done", passes(1))
	if _, body := get(t, d.admin+"/metrics"); !strings.Contains(body, `clerksync_drift_total{op="created",resource="users"} 0`) {
		t.Error("a backfill counts as drift")
	}
	d.kill()
	d = serve(t, clerk, env)
	if _, err := clerk.CreateUser(clerktest.Fields{}); err != nil { // no webhook tells it
		t.Fatal(err)
	}
	order(t, d)
	eventually(t, 20*time.Second, "the drift is counted", func() bool {
		_, body := get(t, d.admin+"/metrics")
		return strings.Contains(body, `clerksync_drift_total{op="created",resource="users"} 1`)
	})
}

// TestRetention removes old events when the daemon starts and at the end of a nightly job, and never those in quarantine.
func TestRetention(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{Users: 3})
	db := connect(t, url)
	fill := func() {
		db.MustExec(`INSERT INTO clerk.events (id, type, received_at, outcome, attempts) VALUES
('msg_old', 'user.updated', now() - interval '40 days', 'updated', 1), ('msg_young', 'user.updated', now() - interval '20 days', 'updated', 1),
('msg_waits', 'user.updated', now() - interval '40 days', 'quarantined', 1) ON CONFLICT DO NOTHING`)
	}
	events := func() int { return count(t, db, `SELECT count(*) FROM clerk.events`) }

	fill()
	run(t, 0, environment(clerk, url, "CLERKSYNC_EVENT_RETENTION=0"), "reconcile")
	if n := events(); n != 3 {
		t.Errorf("%d events are left, where they are kept for ever", n)
	}
	run(t, 0, environment(clerk, url), "reconcile", "--dry-run")
	if n := events(); n != 3 {
		t.Errorf("a dry run left %d of 3 events", n)
	}
	run(t, 0, environment(clerk, url), "reconcile")
	if n := events(); n != 2 {
		t.Errorf("%d events are left after a pass, want the young one and the one in quarantine", n)
	}
	fill()
	serve(t, clerk, environment(clerk, url, "CLERKSYNC_EVENT_RETENTION=240h"))
	eventually(t, 20*time.Second, "the daemon has removed old events", func() bool { return events() == 1 })
}

// TestErasureInServe erases in the daemon what is due, with a key and without one, and removes old changes and sessions.
func TestErasureInServe(t *testing.T) {
	t.Parallel()
	for _, key := range []bool{true, false} {
		t.Run(fmt.Sprintf("key=%t", key), func(t *testing.T) {
			t.Parallel()
			url := pgtest.URL(t)
			clerk := emulate(t, clerktest.Config{Users: 20})
			db := connect(t, url)
			env := environment(clerk, url, "CLERKSYNC_ERASE_AFTER=0s", "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0")
			if !key {
				env = append(env, "CLERK_SECRET_KEY=")
			}
			run(t, 0, environment(clerk, url), "reconcile")
			var id string
			for id = range clerk.Users() {
				break
			}
			if err := clerk.DeleteUser(id); err != nil {
				t.Fatal(err)
			}
			run(t, 0, environment(clerk, url), "reconcile")
			erased := func() int {
				return count(t, db, `SELECT count(*) FROM clerk.users WHERE erased_at IS NOT NULL AND data IS NULL`)
			}
			if n := erased(); n != 0 {
				t.Fatalf("%d were erased within the hold-back", n)
			}
			db.MustExec(`UPDATE clerk.changes SET created_at = now() - interval '8 days' WHERE op = 'created'`)
			db.MustExec(`INSERT INTO clerk.sessions (id, status, created_at, source, synced_at, _alive_at, _updated_at, _seen_at, _dead_at, _hash, _was_visible, _version, _changed)
VALUES ('sess_old', 'ended', now() - interval '2 years', 'webhook', now(), 1, 1, 1, -9223372036854775808, '', false, 1, true)`)
			serve(t, clerk, env)
			eventually(t, 20*time.Second, "what is due is erased and removed", func() bool {
				return erased() == 1 && count(t, db, `SELECT count(*) FROM clerk.changes WHERE op = 'created'`) == 0 &&
					count(t, db, `SELECT count(*) FROM clerk.sessions`) == 0
			})
		})
	}
}

// TestChangesLost has a relay that does not come back: its changes stay beyond their retention, with a bound, and what goes at the
// bound is counted.
func TestChangesLost(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{})
	db := connect(t, url)
	for version, age := range []string{"29 days", "20 days", "8 days", "6 days"} {
		db.MustExec(`INSERT INTO clerk.changes (resource, object_id, op, version, initial, source, created_at)
SELECT 'users', 'user_' || n, 'updated', $1, false, 'reconcile', now() - $2::interval FROM generate_series(1, 3) AS n`, version+1, age)
	}
	at := func(n int) int {
		return count(t, db, `SELECT seq FROM clerk.changes ORDER BY seq OFFSET $1 LIMIT 1`, n-1)
	}
	db.MustExec(`INSERT INTO clerk.relays (name, seq, term, moved_at) VALUES ('listen', $1, 0, now()), ('behind', $2, 0, now())`, at(12), at(2))
	env := environment(clerk, url, "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0")
	d := serve(t, clerk, env)
	eventually(t, 20*time.Second, "the changes at the bound are removed", func() bool {
		return count(t, db, `SELECT count(*) FROM clerk.changes WHERE created_at < now() - interval '28 days'`) == 0
	})
	eventually(t, 20*time.Second, "the change is counted that the slowest relay had not delivered", func() bool {
		_, body := get(t, d.admin+"/metrics")
		return strings.Contains(body, "\nclerksync_feed_lost_total 1\n")
	})
	if n := count(t, db, `SELECT count(*) FROM clerk.changes WHERE resource = 'users'`); n != 9 {
		t.Errorf("%d changes are left, want the 9 that the slowest relay has to deliver within the bound", n)
	}

	db.MustExec(`UPDATE clerk.relays SET seq = $1 WHERE name = 'behind'`, at(5)) // it goes on, up to the second of those that are 8 days old
	run(t, 0, env, "reconcile")
	if n := count(t, db, `SELECT count(*) FROM clerk.changes WHERE created_at < now() - interval '7 days'`); n != 1 {
		t.Errorf("%d old changes are left, want the one that the slowest relay has to deliver", n)
	}
}

// TestReferredRowsStay keeps what a table of the team's refers to in the same file, where SQLite heeds foreign keys only if it is told to.
func TestReferredRowsStay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "mirror.db")
	clerk := emulate(t, clerktest.Config{})
	env := environment(clerk, "sqlite:"+file, "CLERKSYNC_DELETE_POLICY=hard", "CLERKSYNC_ERASE_AFTER=0")
	clerk.MustCreateUser(clerktest.Person("Mary", "Somerville"))
	author, stranger := clerk.MustCreateUser(clerktest.Person("Ada", "Lovelace")), clerk.MustCreateUser(clerktest.Person("Grace", "Hopper"))
	run(t, 0, env, "reconcile")
	for _, id := range []string{author, stranger} {
		if err := clerk.DeleteUser(id); err != nil {
			t.Fatal(err)
		}
	}
	run(t, 0, env, "reconcile", "--max-delete-percent", "100")
	db := sqlx.MustOpen("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)")
	t.Cleanup(func() { db.Close() })
	db.MustExec(`CREATE TABLE posts (author text NOT NULL REFERENCES clerk_users (id))`)
	db.MustExec(`INSERT INTO posts VALUES (?)`, author)
	db.MustExec(`UPDATE clerk_users SET deleted_at = '2026-01-02T03:04:05.000Z', erased_at = '2026-01-02T03:04:05.000Z', _alive_at = 1, _dead_at = 2 WHERE deleted_at IS NOT NULL`)
	run(t, 0, env, "reconcile")
	if n := count(t, db, `SELECT count(*) FROM clerk_users WHERE deleted_at IS NOT NULL`); n != 1 {
		t.Errorf("%d tombstones are left, want the one that a post refers to", n)
	}
	if n := count(t, db, `SELECT count(*) FROM posts AS p JOIN clerk_users AS u ON u.id = p.author`); n != 1 {
		t.Error("the post's author is not there any more")
	}
	db.MustExec(`CREATE TABLE subscribers (email text REFERENCES clerk_users (email))`)
	if _, said := run(t, 1, env, "reconcile"); !strings.Contains(said, "subscribers") || !strings.Contains(said, "refer to id") {
		t.Errorf("beside a reference to no id: %s", said)
	}
}
