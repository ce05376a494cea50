package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// behindBouncer starts a PgBouncer in transaction mode that keeps no prepared statements, and returns the address of a database behind it.
func behindBouncer(t *testing.T, cluster *pgtest.Cluster, database string) (bouncer *pgtest.Bouncer, address string) {
	t.Helper()
	bouncer, err := pgtest.StartBouncer(cluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bouncer.Stop() })
	address, err = bouncer.Behind(cluster.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	return bouncer, address
}

// TestPoolerLosesPrepared leaves CLERKSYNC_DB_PREPARE as it is behind a PgBouncer in transaction mode that keeps no prepared statements: what
// one connection prepared another one executes, with the parameters of its own.
func TestPoolerLosesPrepared(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Own(t, pgtest.Options{})
	_, behind := behindBouncer(t, cluster, "postgres")
	clerk := emulate(t, clerktest.Config{Users: 3})
	env := environment(clerk, behind, "CLERKSYNC_DB_PREPARE=auto")
	for _, args := range [][]string{{"migrate", "up"}, {"reconcile"}, {"status"}} {
		if _, stderr := run(t, 2, env, args...); !strings.Contains(stderr, "loses prepared statements") || !strings.Contains(stderr, "set CLERKSYNC_DB_PREPARE=off") {
			t.Errorf("%v tells %s", args, stderr)
		}
	}
	wantFindings(t, diagnosis(t, 1, env), "failed database: a pooler in transaction mode loses prepared statements", "CLERKSYNC_DB_PREPARE=off")

	env = append(env, "CLERKSYNC_DB_PREPARE=off")
	run(t, 0, env, "reconcile")
	if found := diagnosis(t, 0, env); strings.Contains(found, "pooler") {
		t.Errorf("the doctor finds\n%s", found)
	}
}

// TestPoolerRefuses starts the daemon while a PgBouncer refuses clients, here since the server does: that says nothing of prepared statements,
// although the SQLSTATE is the same.
func TestPoolerRefuses(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Own(t, pgtest.Options{})
	_, behind := behindBouncer(t, cluster, "later")
	p := start(t, environment(emulate(t, clerktest.Config{Users: 3}), behind, "CLERKSYNC_DB_PREPARE=auto"), "serve")
	eventually(t, time.Minute, "the daemon waits", func() bool { return strings.Contains(p.stderr.String(), "the database does not answer yet") })
	if strings.Contains(p.stderr.String(), "loses prepared statements") {
		t.Errorf("a pooler that lets nobody in is said to lose prepared statements")
	}
	connect(t, cluster.URL("postgres")).MustExec(`CREATE DATABASE later`)
	eventually(t, time.Minute, "the daemon asks for CLERKSYNC_DB_PREPARE", func() bool { return strings.Contains(p.stderr.String(), "loses prepared statements") })
}
