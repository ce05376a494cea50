package migrations_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// engine is one of the two databases, empty.
type engine struct {
	dialect migrations.Dialect
	driver  string
	address string
}

// onBoth runs f with an empty database of either kind.
func onBoth(t *testing.T, f func(t *testing.T, e engine)) {
	t.Parallel()
	for _, e := range []engine{{migrations.Postgres, "postgres", ""}, {migrations.SQLite, "sqlite", ""}} {
		t.Run(e.driver, func(t *testing.T) {
			t.Parallel()
			f(t, e.empty(t))
		})
	}
}

// empty returns another empty database of the same kind.
func (e engine) empty(t *testing.T) engine {
	t.Helper()
	if e.dialect == migrations.Postgres {
		e.address = pgtest.Empty(t)
	} else {
		e.address = pgtest.EmptySQLite(t)
	}
	return e
}

// open returns a pool of its own, as a process of its own would have.
func (e engine) open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open(e.driver, e.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func (e engine) options(schema string) migrations.Options {
	return migrations.Options{Dialect: e.dialect, Schema: schema}
}

func (e engine) name(schema, relation string) string {
	if e.dialect == migrations.Postgres {
		return schema + "." + relation
	}
	return schema + "_" + relation
}

func up(t *testing.T, db *sql.DB, o migrations.Options) {
	t.Helper()
	if err := migrations.Up(t.Context(), db, o); err != nil {
		t.Fatal("Up: ", err)
	}
}

func wantCheck(t *testing.T, db *sql.DB, o migrations.Options, want error) {
	t.Helper()
	if err := migrations.Check(t.Context(), db, o); !errors.Is(err, want) {
		t.Errorf("Check = %v, want %v", err, want)
	}
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// texts runs a query with one text column.
func texts(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestUpOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		db := e.open(t)
		o := e.options("")
		wantCheck(t, db, o, migrations.ErrPending)
		up(t, db, o)
		wantCheck(t, db, o, nil)
		born := texts(t, db, "SELECT value FROM "+e.name("clerk", "state")+" WHERE key = 'born'")
		before := catalog(t, db, e, "clerk")
		up(t, db, o)
		if diff := cmp.Diff(before, catalog(t, db, e, "clerk")); diff != "" {
			t.Errorf("the second Up changed the tables (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(born, texts(t, db, "SELECT value FROM "+e.name("clerk", "state")+" WHERE key = 'born'")); diff != "" {
			t.Errorf("the second Up changed the birth of the mirror (-want +got):\n%s", diff)
		}
	})
}

func TestUpWithOneConnection(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		db := e.open(t)
		db.SetMaxOpenConns(1)
		up(t, db, e.options(""))
		wantCheck(t, db, e.options(""), nil)
	})
}

func TestUpInManyProcesses(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		rounds := 8 // in every other round of SQLite one process runs into another one's tables
		if e.dialect == migrations.Postgres {
			rounds = 1
		}
		for range rounds {
			e = e.empty(t)
			var group errgroup.Group
			for range 8 {
				db := e.open(t)
				group.Go(func() error { return migrations.Up(t.Context(), db, e.options("")) })
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
			db := e.open(t)
			wantCheck(t, db, e.options(""), nil)
			keys := texts(t, db, "SELECT key FROM "+e.name("clerk", "state")+" ORDER BY key")
			if diff := cmp.Diff([]string{"audit", "born", "feed"}, keys); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		}
	})
}

func TestTwoSchemas(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		db := e.open(t)
		up(t, db, e.options("clerk_test")) // on SQLite its tables have the other one's prefix too
		wantCheck(t, db, e.options("clerk"), migrations.ErrPending)
		up(t, db, e.options("clerk"))
		wantCheck(t, db, e.options("clerk"), nil)
		wantCheck(t, db, e.options("clerk_test"), nil)
		exec(t, db, "DELETE FROM "+e.name("clerk", "state"))
		if n := len(texts(t, db, "SELECT key FROM "+e.name("clerk_test", "state"))); n != 3 {
			t.Errorf("clerk_test has %d rows of state after those of clerk were deleted, want 3", n)
		}
	})
}

func TestForeignRelations(t *testing.T) {
	for _, relation := range []string{"users", "migrations", "active_users"} {
		t.Run(relation, func(t *testing.T) {
			onBoth(t, func(t *testing.T, e engine) {
				db := e.open(t)
				if e.dialect == migrations.Postgres {
					exec(t, db, "CREATE SCHEMA clerk")
				}
				exec(t, db, "CREATE TABLE "+e.name("clerk", relation)+" (id int, note text)")
				exec(t, db, "INSERT INTO "+e.name("clerk", relation)+" VALUES (1, 'theirs')")
				before := catalog(t, db, e, "clerk")
				err := migrations.Up(t.Context(), db, e.options(""))
				if !errors.Is(err, migrations.ErrForeign) {
					t.Fatalf("Up = %v, want ErrForeign", err)
				}
				for _, part := range []string{"CLERKSYNC_SCHEMA", e.name("clerk", relation)} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("Up says %q, which does not name %s", err, part)
					}
				}
				if diff := cmp.Diff(before, catalog(t, db, e, "clerk")); diff != "" {
					t.Errorf("Up touched a schema that is not its own (-want +got):\n%s", diff)
				}
				if notes := texts(t, db, "SELECT note FROM "+e.name("clerk", relation)); len(notes) != 1 || notes[0] != "theirs" {
					t.Errorf("the foreign table holds %q", notes)
				}
				wantCheck(t, db, e.options(""), migrations.ErrPending)
				up(t, db, e.options("clerk_sync"))
			})
		})
	}
}

func TestNeighboursAreLeftAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		db := e.open(t)
		if e.dialect == migrations.Postgres {
			exec(t, db, "CREATE SCHEMA clerk")
		}
		exec(t, db, "CREATE TABLE "+e.name("clerk", "notes")+" (note text)")
		up(t, db, e.options(""))
		exec(t, db, "INSERT INTO "+e.name("clerk", "notes")+" VALUES ('still here')")
	})
}

func TestNewerVersion(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		db := e.open(t)
		up(t, db, e.options(""))
		exec(t, db, "INSERT INTO "+e.name("clerk", "migrations")+" (version_id, is_applied) VALUES (99999, true)")
		wantCheck(t, db, e.options(""), migrations.ErrNewer)
		if err := migrations.Up(t.Context(), db, e.options("")); !errors.Is(err, migrations.ErrNewer) {
			t.Errorf("Up = %v, want ErrNewer", err)
		}
	})
}

func TestStatus(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		if e.dialect == migrations.Postgres {
			e.address += "&timezone=Asia/Tokyo" // the session's zone must not shift what is told
		}
		db := e.open(t)
		steps := status(t, db, e)
		if len(steps) == 0 || steps[0].Version != 1 || steps[0].Name != "mirror" || !steps[0].AppliedAt.IsZero() {
			t.Fatalf("before Up: %+v", steps)
		}
		wantCheck(t, db, e.options(""), migrations.ErrPending) // Status made nothing
		up(t, db, e.options(""))
		exec(t, db, "INSERT INTO "+e.name("clerk", "migrations")+" (version_id, is_applied) VALUES (99999, true)")
		steps = status(t, db, e)
		for _, step := range steps {
			if age := time.Since(step.AppliedAt); age < -time.Minute || age > time.Minute {
				t.Errorf("version %d was applied at %v, want about now", step.Version, step.AppliedAt)
			}
		}
		if last := steps[len(steps)-1]; last.Version != 99999 || last.Name != "" {
			t.Errorf("last step = %+v, want the unknown version 99999", last)
		}
	})
}

func status(t *testing.T, db *sql.DB, e engine) []migrations.Step {
	t.Helper()
	steps, err := migrations.Status(t.Context(), db, e.options(""))
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	tests := []migrations.Options{
		{},
		{Dialect: "mysql"},
		{Dialect: migrations.Postgres, Schema: "Clerk"},
		{Dialect: migrations.Postgres, Schema: "a.b"},
		{Dialect: migrations.Postgres, Schema: `x"; DROP TABLE y; --`},
		{Dialect: migrations.Postgres, Schema: strings.Repeat("a", 41)},
		{Dialect: migrations.Postgres, Schema: "pg_clerk"},
		{Dialect: migrations.SQLite, Schema: "sqlite_clerk"},
		{Dialect: migrations.SQLite, Schema: "1clerk"},
	}
	for _, o := range tests {
		t.Run(fmt.Sprintf("%s %s", o.Dialect, o.Schema), func(t *testing.T) {
			t.Parallel()
			if err := migrations.Print(&strings.Builder{}, o); err == nil {
				t.Error("Print took it")
			}
		})
	}
}
