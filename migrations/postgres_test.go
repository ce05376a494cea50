package migrations_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	forget(t, db)
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

// forget undoes the migrations but leaves the tables that record them.
func forget(t *testing.T, db *sql.DB) {
	t.Helper()
	for _, table := range texts(t, db, `SELECT tablename FROM pg_tables WHERE schemaname = 'clerk' AND tablename NOT LIKE 'migrations%'`) {
		exec(t, db, "DROP TABLE clerk."+table+" CASCADE")
	}
	exec(t, db, "DELETE FROM clerk.migrations WHERE version_id > 0")
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

	wantDenied(t, db, e)
	exec(t, admin, "CREATE SCHEMA clerk")
	exec(t, admin, "GRANT USAGE ON SCHEMA clerk TO "+role)
	wantDenied(t, db, e)
	exec(t, admin, "GRANT CREATE ON SCHEMA clerk TO "+role)
	up(t, db, e.options(""))

	exec(t, admin, "DROP SCHEMA clerk CASCADE")
	up(t, admin, e.options(""))
	forget(t, admin)
	exec(t, admin, "GRANT USAGE, CREATE ON SCHEMA clerk TO "+role)
	exec(t, admin, "GRANT ALL ON clerk.migrations TO "+role)
	wantDenied(t, db, e) // the lease
}

// wantDenied runs Up, which must not try again what it has no right to.
func wantDenied(t *testing.T, db *sql.DB, e engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := migrations.Up(ctx, db, e.options("")); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("Up = %v, want permission denied", err)
	}
}

// TestEncodingRefused has databases that cannot hold every name: they are refused before anything is made.
func TestEncodingRefused(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"SQL_ASCII", "LATIN1"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			e := engine{migrations.Postgres, "postgres", pgtest.Encoded(t, encoding)}
			db := e.open(t)
			wantCheck(t, db, e.options(""), migrations.ErrEncoding)
			err := migrations.Up(t.Context(), db, e.options(""))
			if !errors.Is(err, migrations.ErrEncoding) || !strings.Contains(err.Error(), encoding) || !strings.Contains(err.Error(), "createdb") {
				t.Errorf("Up = %v, want a sentence that names %s and says what to do", err, encoding)
			}
			if made := texts(t, db, "SELECT nspname FROM pg_namespace WHERE nspname = 'clerk'"); len(made) > 0 {
				t.Error("Up made a schema")
			}
		})
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

// TestQuoteAllIdentifiers has a server that quotes every name, a word of its own or not.
func TestQuoteAllIdentifiers(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.Empty(t) + "&quote_all_identifiers=on"}
	db := e.open(t)
	if on := texts(t, db, "SHOW quote_all_identifiers"); on[0] != "on" {
		t.Fatal("quote_all_identifiers is ", on)
	}
	up(t, db, e.options(""))
	if err := migrations.Up(t.Context(), db, e.options("user")); err == nil || !strings.Contains(err.Error(), "CLERKSYNC_SCHEMA") {
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
	got := texts(t, db, `SELECT count(*) FROM pg_attribute a WHERE attrelid = 'clerk.users'::regclass AND to_jsonb(a) ->> 'attcompression' = 'l'`)
	if got[0] != want {
		t.Errorf("%s columns are compressed with lz4, want %s", got[0], want)
	}
}

// TestUpBesideAForgottenTransaction migrates tables of which somebody holds a row and has forgotten to commit: it gives up, since all writers
// wait behind it, and is done once he is gone.
func TestUpBesideAForgottenTransaction(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.Empty(t)}
	db := e.open(t)
	files, err := filepath.Glob("postgres/0*.sql")
	if err != nil {
		t.Fatal(err)
	}
	upTo(t, db, files[:6])
	forgotten, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer forgotten.Rollback()
	if _, err := forgotten.ExecContext(t.Context(), `UPDATE clerk.sessions SET city = 'Berlin'`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := migrations.Up(ctx, db, e.options("")); err == nil || !strings.Contains(err.Error(), "lock timeout") {
		t.Errorf("Up = %v, want that a lock was not to be had", err)
	}
	if err := forgotten.Rollback(); err != nil {
		t.Fatal(err)
	}
	up(t, db, e.options(""))
}

// TestJoins has what belongs to one user or organization be found by an index, also in a table of the team's whose column is declared as
// docs/schema.md says. One connection asks all, so that the setting holds for each.
func TestJoins(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.Empty(t) + "&enable_seqscan=off"}
	db := e.open(t)
	up(t, db, e.options(""))
	exec(t, db, `CREATE TABLE orders (id bigint PRIMARY KEY, customer text COLLATE "C" REFERENCES clerk.users (id)); CREATE INDEX ON orders (customer);
CREATE TABLE older (id bigint PRIMARY KEY, customer text); CREATE INDEX ON older (customer)`)
	for child, parent := range map[string]string{
		"orders.customer": "users", `older.customer COLLATE "default"`: "users", "clerk.active_sessions.user_id": "users", "clerk.active_organization_memberships.user_id": "users",
		"clerk.active_organization_memberships.organization_id": "organizations", "clerk.active_organization_invitations.organization_id": "organizations",
		"clerk.active_organization_domains.organization_id": "organizations",
	} {
		dot := strings.LastIndex(child, ".")
		plan := texts(t, db, fmt.Sprintf(`EXPLAIN SELECT * FROM clerk.active_%s AS parent JOIN %s AS child ON parent.id = child.%s WHERE parent.id = 'x_1'`,
			parent, child[:dot], child[dot+1:]))
		if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan") {
			t.Errorf("%s reads all of a table:\n%s", child, text)
		}
	}
}

// TestSuspiciousSignIns has the few that are suspicious be found without reading all changes. The query is that of docs/operations.md.
func TestSuspiciousSignIns(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.URL(t)}
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(string(page), "SELECT c.created_at, c.reasons")
	query, _, found := strings.Cut(query, ";")
	if !found {
		t.Fatal("docs/operations.md has no such query any more")
	}
	db := e.open(t)
	exec(t, db, `INSERT INTO clerk.changes (resource, object_id, op, version) SELECT 'sessions', 'sess_' || i, 'created', 1 FROM generate_series(1, 20000) AS i; ANALYZE clerk.changes`)
	plan := texts(t, db, "EXPLAIN SELECT c.created_at, c.reasons"+query)
	if text := strings.Join(plan, "\n"); !strings.Contains(text, "changes_suspicious") {
		t.Errorf("all changes are read:\n%s", text)
	}
}

// TestOwnIndexes makes the indexes that docs/schema.md shows: each serves the condition beside it, and migrations leave them alone.
func TestOwnIndexes(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.Empty(t) + "&enable_seqscan=off"}
	db := e.open(t)
	up(t, db, e.options(""))
	for line := range strings.Lines(strings.TrimSpace(ownIndexes)) {
		statement, condition, found := strings.Cut(line, "-- ")
		if !found {
			t.Fatal(line)
		}
		exec(t, db, statement)
		if plan := strings.Join(texts(t, db, "EXPLAIN SELECT id FROM clerk.active_users "+condition), "\n"); !strings.Contains(plan, strings.Fields(statement)[2]) {
			t.Errorf("%s is not used:\n%s", statement, plan)
		}
	}
	exec(t, db, `INSERT INTO clerk.users (id, email, last_name, source, synced_at, _alive_at, _updated_at, _seen_at, _dead_at, _hash, _was_visible, _version, _changed)
SELECT 'user_long', t, t, 'webhook', now(), 1, 1, 1, 0, '', false, 1, true FROM (SELECT string_agg(md5(i::text), '') AS t FROM generate_series(1, 2000) AS i) AS long`)
	up(t, db, e.options(""))
	wantCheck(t, db, e.options(""), nil)
}
