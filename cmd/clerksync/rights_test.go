package main_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestMissingRights has users of the database who may not make or read the tables, and who must learn who may.
func TestMissingRights(t *testing.T) {
	t.Parallel()
	mirrored, empty := pgtest.URL(t), pgtest.Empty(t)
	for _, c := range []struct {
		address string
		args    []string
	}{
		{pgtest.As(t, empty, pgtest.Daemon), []string{"migrate", "up"}},
		{pgtest.As(t, empty, pgtest.Daemon), []string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}},
		{pgtest.As(t, mirrored, pgtest.Reader), []string{"status"}},
	} {
		_, stderr := run(t, 2, []string{"DATABASE_URL=" + c.address, "CLERK_WEBHOOK_SIGNING_SECRET=whsec_aHVzaGh1c2hodXNoaHVzaGh1c2hodXNo"}, c.args...)
		for _, want := range []string{"permission denied", "run clerksync migrate up as clerk_owner", "migrate print --roles"} {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s does not say %q:\n%s", strings.Join(c.args, " "), want, stderr)
			}
		}
	}
}

// TestOtherEncoding has a database that cannot hold everybody's name: that is a mistake of the configuration, and the sentence says what to
// do about it.
func TestOtherEncoding(t *testing.T) {
	t.Parallel()
	env := []string{"DATABASE_URL=" + pgtest.Encoded(t, "SQL_ASCII"), "CLERK_WEBHOOK_SIGNING_SECRET=whsec_aHVzaGh1c2hodXNoaHVzaGh1c2hodXNo"}
	for _, args := range [][]string{{"migrate", "up"}, {"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, {"status"}} {
		if _, stderr := run(t, 2, env, args...); !strings.Contains(stderr, "SQL_ASCII: make a database with createdb -T template0 -E UTF8") {
			t.Errorf("%s does not say what to do:\n%s", strings.Join(args, " "), stderr)
		}
	}
}

// TestParametersOfLibpq has an address with what providers and their tools put in for libpq.
func TestParametersOfLibpq(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t) + "&channel_binding=prefer&gssencmode=disable&keepalives=1&keepalives_idle=30&sslcompression=0"
	run(t, 0, []string{"DATABASE_URL=" + address}, "migrate", "status")
}

// TestMigrateSaysWhere has the settings of the daemon missing, or half of them: then migrate up makes other tables, and must say which.
func TestMigrateSaysWhere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "other.db")
	for want, env := range map[string][]string{
		"the schema other of the database ": {"DATABASE_URL=" + pgtest.Empty(t), "CLERKSYNC_SCHEMA=other"},
		"the file " + file + ",":            {"DATABASE_URL=sqlite:" + file},
	} {
		for range 2 { // also where there is nothing to do
			if stdout, _ := run(t, 0, env, "migrate", "up"); !strings.HasPrefix(stdout, want) {
				t.Errorf("it says %q, want %q", stdout, want)
			}
		}
	}
}
