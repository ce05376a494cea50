package migrations_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/migrations"
)

// postgresCatalog describes everything in the schema: columns, constraints, indexes, views and storage. Servers before PostgreSQL 14
// have no column attcompression.
const postgresCatalog = `
SELECT concat_ws(' ', 'column', table_name, column_name, ordinal_position, data_type, collation_name, is_nullable, column_default,
       identity_generation)
FROM information_schema.columns WHERE table_schema = $1
UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(c.oid))
FROM pg_constraint c JOIN pg_namespace n ON n.oid = connamespace WHERE nspname = $1
UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = $1
UNION ALL SELECT concat_ws(' ', 'view', viewname, definition) FROM pg_views WHERE schemaname = $1
UNION ALL SELECT concat_ws(' ', 'storage', relname, relkind, reloptions, attname, to_jsonb(a) ->> 'attcompression')
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_attribute a ON attrelid = c.oid
WHERE nspname = $1
ORDER BY 1`

const sqliteCatalog = `SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master
WHERE substr(tbl_name, 1, length($1) + 1) = $1 || '_' ORDER BY 1`

func catalog(t *testing.T, db *sql.DB, e engine, schema string) []string {
	t.Helper()
	query := postgresCatalog
	if e.dialect == migrations.SQLite {
		query = sqliteCatalog
	}
	return texts(t, db, strings.ReplaceAll(query, "$1", "'"+schema+"'"))
}

// TestPrint proves that a team with a tool of its own ends where Up does.
func TestPrint(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		for _, schema := range []string{"clerk", "mirror_2"} {
			file := filepath.Join(t.TempDir(), "mirror.sql")
			var text bytes.Buffer
			if err := migrations.Print(&text, e.options(schema)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			db := e.open(t)
			run(t, e, db, file)
			wantCheck(t, db, e.options(schema), nil)
			printed := catalog(t, db, e, schema)
			up(t, db, e.options(schema))
			if diff := cmp.Diff(printed, catalog(t, db, e, schema)); diff != "" {
				t.Errorf("Up after the printed SQL changed the tables (-want +got):\n%s", diff)
			}

			other := e.empty(t).open(t)
			up(t, other, e.options(schema))
			want := catalog(t, other, e, schema)
			if len(want) < 20 {
				t.Fatalf("the catalog query finds only %q", want)
			}
			if diff := cmp.Diff(want, printed); diff != "" {
				t.Errorf("the printed SQL makes other tables than Up (-want +got):\n%s", diff)
			}
			for _, table := range []string{"migrations", "state"} {
				query := "SELECT count(*) FROM " + e.name(schema, table)
				if diff := cmp.Diff(texts(t, other, query), texts(t, db, query)); diff != "" {
					t.Errorf("rows of %s (-want +got):\n%s", table, diff)
				}
			}
		}
	})
}

// run executes a file as an operator does. SQLite's shell comes in a package of its own, so its driver stands in.
func run(t *testing.T, e engine, db *sql.DB, file string) {
	t.Helper()
	if e.dialect == migrations.Postgres {
		out, err := osexec.Command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, e.address).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Fatalf("psql (apt-get install postgresql-client): %v\n%s", err, out)
		}
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, db, string(text))
}

// TestPrintAfter has tables that are at an older version end where Up does.
func TestPrintAfter(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		const version = 3
		o := e.options("")
		db := e.open(t)
		for i, text := range []string{printed(t, o, 0, version), printed(t, o, version, 0)} {
			file := filepath.Join(t.TempDir(), fmt.Sprint(i))
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, e, db, file)
		}
		wantCheck(t, db, o, nil)
		other := e.empty(t).open(t)
		up(t, other, o)
		if diff := cmp.Diff(catalog(t, other, e, "clerk"), catalog(t, db, e, "clerk")); diff != "" {
			t.Errorf("the printed SQL makes other tables than Up (-want +got):\n%s", diff)
		}
		for _, none := range []int64{-1, 99} {
			if err := migrations.PrintAfter(io.Discard, o, none); err == nil || !strings.Contains(err.Error(), "no version comes after") {
				t.Errorf("after version %d: %v", none, err)
			}
		}
	})
}

// TestPrintAfterAnotherVersion has what comes after a version change nothing in tables that are at another one, or that lack one in between:
// Up does not make up for what was left out.
func TestPrintAfterAnotherVersion(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		o := e.options("")
		conn, err := e.open(t).Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		versions := map[migrations.Dialect]string{migrations.Postgres: "clerk.migrations", migrations.SQLite: "clerk_migrations"}[e.dialect]
		for _, c := range []struct {
			before string // a statement
			after  int64
			fits   bool
		}{
			{printed(t, o, 0, 5), 4, false},
			{"SELECT 1", 6, false},
			{"SELECT 1", 7, false},
			{"DELETE FROM " + versions + " WHERE version_id = 4", 5, false},
			{"INSERT INTO " + versions + " (version_id, is_applied) VALUES (4, true)", 5, true},
		} {
			if _, err := conn.ExecContext(t.Context(), c.before); err != nil {
				t.Fatal(err)
			}
			_, err := conn.ExecContext(t.Context(), printed(t, o, c.after, 0))
			if c.fits != (err == nil) || err != nil && !strings.Contains(err.Error(), fmt.Sprint("not at version ", c.after)) {
				t.Errorf("after version %d: %v; fits: %v", c.after, err, c.fits)
			}
			if err == nil {
				continue
			}
			if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// printed is what PrintAfter writes, up to a version where that is not 0.
func printed(t *testing.T, o migrations.Options, after, last int64) string {
	t.Helper()
	var text bytes.Buffer
	if err := migrations.PrintAfter(&text, o, after); err != nil {
		t.Fatal(err)
	}
	if last == 0 {
		return text.String()
	}
	mark := fmt.Sprintf("(version_id, is_applied) VALUES (%d, true);\n", last)
	old, _, found := strings.Cut(text.String(), mark)
	if !found {
		t.Fatalf("the SQL does not note version %d", last)
	}
	return old + mark + "COMMIT;\n"
}

func TestPrintedSQLRefusesToRunIntoATable(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.Empty(t)}
	db := e.open(t)
	exec(t, db, "CREATE SCHEMA clerk")
	exec(t, db, "CREATE TABLE clerk.users (id int)")
	before := catalog(t, db, e, "clerk")
	var text bytes.Buffer
	if err := migrations.Print(&text, e.options("")); err != nil {
		t.Fatal(err)
	}
	cmd := osexec.Command("psql", "-X", "-q", e.address) // without ON_ERROR_STOP, as a careless operator would
	cmd.Stdin = &text
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), "already exists") {
		t.Fatalf("psql said %q", out)
	}
	if diff := cmp.Diff(before, catalog(t, db, e, "clerk")); diff != "" {
		t.Errorf("a failed run left something behind (-want +got):\n%s", diff)
	}
}
