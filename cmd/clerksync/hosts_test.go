package main_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestSeveralHosts lists a standby before the primary, and a standby alone that is promoted while the daemon waits.
func TestSeveralHosts(t *testing.T) {
	t.Parallel()
	primary := pgtest.Own(t, pgtest.Options{})
	standby, err := primary.Standby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop() })
	clerk := emulate(t, clerktest.Config{Users: 3})

	run(t, 0, environment(clerk, eitherOf(standby, primary)), "reconcile")
	if _, stderr := run(t, 1, environment(clerk, eitherOf(standby, primary)+"&target_session_attrs=any"), "reconcile"); !strings.Contains(stderr, "25006") {
		t.Errorf("a server that nobody chose for it tells %s", stderr)
	}

	db := connect(t, standby.URL("postgres"))
	eventually(t, time.Minute, "the standby to follow", func() bool {
		return count(t, db, `SELECT count(*) FROM pg_class WHERE oid = to_regclass('clerk.users')`) == 1
	})
	env := environment(clerk, eitherOf(standby, standby))
	p := start(t, env, "serve")
	eventually(t, time.Minute, "the daemon waits", func() bool { return strings.Contains(p.stderr.String(), "the database does not answer yet") })
	db.MustExec(`SELECT pg_promote()`)
	eventually(t, time.Minute, "the daemon works", func() bool { return strings.Contains(p.stderr.String(), "this replica leads") })
}

// eitherOf is the address of two servers that does not say which of them is wanted.
func eitherOf(a, b *pgtest.Cluster) string {
	_, first := a.Socket()
	_, second := b.Socket()
	q := url.Values{"host": {"127.0.0.1,127.0.0.1"}, "port": {strconv.Itoa(first) + "," + strconv.Itoa(second)}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: q.Encode()}).String()
}
