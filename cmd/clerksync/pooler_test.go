package main_test

import (
	"strings"
	"testing"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestPoolerLosesPrepared leaves CLERKSYNC_DB_PREPARE as it is behind a PgBouncer in transaction mode that keeps no prepared statements: what
// one connection prepared another one executes, with the parameters of its own.
func TestPoolerLosesPrepared(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Own(t, pgtest.Options{})
	bouncer, err := pgtest.StartBouncer(cluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bouncer.Stop() })
	behind, err := bouncer.Behind(cluster.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
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
