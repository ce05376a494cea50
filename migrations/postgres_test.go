package migrations_test

import (
	"strings"
	"testing"
	"time"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/migrations"
)

// TestUpWaitsForTheLease has another process migrate: at first it renews its lease, then it is gone without ending it.
func TestUpWaitsForTheLease(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.URL(t)}
	db := e.open(t)
	exec(t, db, "DROP TABLE clerk.users CASCADE")
	for _, table := range []string{"events", "changes", "passes", "plans", "state"} {
		exec(t, db, "DROP TABLE clerk."+table)
	}
	exec(t, db, "DELETE FROM clerk.migrations WHERE version_id = 1")
	exec(t, db, `UPDATE clerk.migrations_lock SET locked = true, locked_by = 'another', lease_expires_at = now() + interval '1 second'`)

	start := time.Now()
	up(t, db, e.options(""))
	if waited := time.Since(start); waited < 900*time.Millisecond {
		t.Errorf("Up ran after %v, while another process held the lease", waited)
	}
	wantCheck(t, db, e.options(""), nil)
	if locked := texts(t, db, "SELECT locked FROM clerk.migrations_lock"); len(locked) != 1 || locked[0] != "false" {
		t.Errorf("locked = %v after Up, want [false]", locked)
	}
}

// TestUpWithoutRights has a role that may only use a schema which the administrator made for it.
func TestUpWithoutRights(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.Empty(t)}
	admin := e.open(t)
	role := texts(t, admin, "SELECT current_database() || '_role'")[0]
	exec(t, admin, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() {
		for _, query := range []string{"DROP OWNED BY " + role + " CASCADE", "DROP ROLE " + role} {
			if _, err := admin.Exec(query); err != nil {
				t.Error(err)
			}
		}
	})
	e.address = strings.Replace(e.address, "postgres@", role+"@", 1)
	db := e.open(t)

	start := time.Now()
	if err := migrations.Up(t.Context(), db, e.options("")); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("Up without the right to create a schema = %v, want permission denied", err)
	}
	exec(t, admin, "CREATE SCHEMA clerk")
	exec(t, admin, "GRANT USAGE ON SCHEMA clerk TO "+role)
	if err := migrations.Up(t.Context(), db, e.options("")); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("Up without the right to create tables = %v, want permission denied", err)
	}
	exec(t, admin, "GRANT CREATE ON SCHEMA clerk TO "+role)
	up(t, db, e.options(""))
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v: a missing right was tried again and again", took)
	}
}

func TestSchemaNamedLikeAKeyword(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.Empty(t)}
	err := migrations.Up(t.Context(), e.open(t), e.options("user"))
	if err == nil || !strings.Contains(err.Error(), "CLERKSYNC_SCHEMA") {
		t.Errorf("Up = %v, want a sentence that names CLERKSYNC_SCHEMA", err)
	}
}

func TestJSONIsCompressedWithLZ4(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.URL(t)}
	db := e.open(t)
	want := "0"
	if able := texts(t, db, `SELECT name FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)`); len(able) == 1 {
		want = "4"
	}
	got := texts(t, db, `SELECT count(*) FROM pg_attribute WHERE attrelid = 'clerk.users'::regclass AND attcompression = 'l'`)
	if got[0] != want {
		t.Errorf("%s columns are compressed with lz4, want %s", got[0], want)
	}
}
