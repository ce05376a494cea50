package migrations_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/migrations"
)

// rights lists what a role may do with tables and views, as "name: right right".
const rights = `
SELECT table_name || ': ' || string_agg(privilege_type, ' ' ORDER BY privilege_type COLLATE "C")
FROM information_schema.role_table_grants WHERE table_schema = 'clerk' AND grantee = '{role}' GROUP BY table_name ORDER BY table_name COLLATE "C"`

// cleared are the tables of which the daemon removes rows: tombstones and old sessions, as a trigger sees to, and what retention and
// the end of a quarantine clear.
var cleared = []string{
	"users", "organizations", "organization_memberships", "organization_invitations", "invitations", "sessions",
	"organization_domains", "roles", "permissions",
	"events", "changes", "passes", "plans",
}

// TestRoles compares what the roles may do with what they should.
func TestRoles(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.URL(t)}
	db := e.open(t)
	var daemon, reader []string
	for _, name := range texts(t, db, `SELECT relname FROM pg_class WHERE relnamespace = 'clerk'::regnamespace AND relkind IN ('r', 'v') ORDER BY relname COLLATE "C"`) {
		switch {
		case texts(t, db, `SELECT relkind FROM pg_class WHERE oid = 'clerk.`+name+`'::regclass`)[0] == "v":
			daemon, reader = append(daemon, name+": SELECT"), append(reader, name+": SELECT")
		case name == "audit":
			daemon = append(daemon, name+": INSERT SELECT")
		case name == "migrations":
			daemon = append(daemon, name+": SELECT")
		case name == "migrations_lock":
		case slices.Contains(cleared, name):
			daemon = append(daemon, name+": DELETE INSERT SELECT UPDATE")
		default:
			daemon = append(daemon, name+": INSERT SELECT UPDATE")
		}
	}
	for role, want := range map[string][]string{pgtest.Daemon: daemon, pgtest.Reader: reader} {
		if diff := cmp.Diff(want, texts(t, db, strings.ReplaceAll(rights, "{role}", role))); diff != "" || len(want) < 10 {
			t.Errorf("rights of %s (-want +got):\n%s", role, diff)
		}
	}
	if others := texts(t, db, `SELECT relname FROM pg_class WHERE relnamespace = 'clerk'::regnamespace AND relkind IN ('r', 'v', 'S')
		AND relowner <> 'clerk_owner'::regrole`); len(others) > 0 {
		t.Errorf("these do not belong to the owner: %v", others)
	}
}

// denied are statements that the daemon must not be able to run, whoever takes it over.
var denied = []string{
	"CREATE TABLE clerk.more (id int)", "ALTER TABLE clerk.users ADD COLUMN more int", "DROP TABLE clerk.users", "TRUNCATE clerk.users",
	"CREATE FUNCTION clerk.more() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP SCHEMA clerk CASCADE", "CREATE SCHEMA more", "CREATE ROLE more",
	"DELETE FROM clerk.users", "DELETE FROM clerk.organizations WHERE deleted_at IS NULL",
	"UPDATE clerk.audit SET detail = 'other'", "DELETE FROM clerk.audit", "TRUNCATE clerk.audit", "ALTER TABLE clerk.audit DISABLE TRIGGER ALL",
	"INSERT INTO clerk.migrations (version_id, is_applied) VALUES (99, true)", "DELETE FROM clerk.migrations",
	"DELETE FROM clerk.state", "DELETE FROM clerk.relays",
	"SET session_replication_role = replica", "ALTER TABLE clerk.users DISABLE TRIGGER ALL", "SET ROLE clerk_owner",
}

const object = ` (id, source, synced_at, deleted_at, _alive_at, _updated_at, _seen_at, _dead_at, _hash, _was_visible, _version, _changed) VALUES `

// TestRolesAreBounded tries what the daemon and the reader must not do, and what they must.
func TestRolesAreBounded(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.URL(t)}
	admin := e.open(t)
	daemon := engine{e.dialect, e.driver, pgtest.As(t, e.address, pgtest.Daemon)}.open(t)
	reader := engine{e.dialect, e.driver, pgtest.As(t, e.address, pgtest.Reader)}.open(t)
	for _, table := range []string{"users", "organizations", "sessions"} {
		exec(t, daemon, `INSERT INTO clerk.`+table+object+`('here', 'webhook', now(), NULL, 1, 1, 1, 0, '', true, 1, true), ('gone', 'webhook', now(), now(), 1, 1, 1, 2, '', true, 2, true)`)
	}
	exec(t, daemon, `INSERT INTO clerk.audit (seq, at, action, resource, object_id, source, event_id, detail, previous, hash) VALUES (1, now(), '', '', '', '', '', '', '', '')`)
	for _, statement := range denied {
		if _, err := daemon.Exec(statement); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("the daemon runs %s: %v", statement, err)
		}
	}
	exec(t, daemon, `DELETE FROM clerk.users WHERE deleted_at IS NOT NULL`)
	exec(t, daemon, `DELETE FROM clerk.sessions`) // old ones are cleared, whether they have ended or not
	if err := migrations.Up(t.Context(), daemon, e.options("")); err != nil {
		t.Errorf("Up where nothing is missing, as the daemon: %v", err)
	}

	for _, name := range texts(t, admin, `SELECT viewname FROM pg_views WHERE schemaname = 'clerk'`) {
		exec(t, reader, "SELECT * FROM clerk."+name)
		for _, statement := range []string{"DELETE FROM ", "INSERT INTO "} {
			statement += "clerk." + name + map[bool]string{true: " DEFAULT VALUES"}[strings.HasPrefix(statement, "INSERT")]
			if _, err := reader.Exec(statement); err == nil {
				t.Errorf("the reader runs %s", statement)
			}
		}
	}
	if shown := texts(t, reader, "SELECT id FROM clerk.active_users"); len(shown) != 1 || shown[0] != "here" {
		t.Errorf("the reader sees %v, want [here]", shown)
	}
	tables := texts(t, admin, `SELECT tablename FROM pg_tables WHERE schemaname = 'clerk'`)
	for _, name := range tables {
		if _, err := reader.Exec("SELECT count(*) FROM clerk." + name); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("the reader reads %s: %v", name, err)
		}
	}
	if len(tables) < 15 {
		t.Errorf("there are only these tables: %v", tables)
	}
	exec(t, admin, `DELETE FROM clerk.users`) // the administrator is not in the way of himself
}

// TestViewsAsBarriers has a reader try to see rows of deleted parents by casts that fail. What docs/operations.md gives the owner for that
// keeps them from him, whichever views have parents.
func TestViewsAsBarriers(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.URL(t)}
	admin := e.open(t)
	reader := engine{e.dialect, e.driver, pgtest.As(t, e.address, pgtest.Reader)}.open(t)
	exec(t, admin, `INSERT INTO clerk.users`+object+`('gone', 'webhook', now(), now(), 1, 1, 1, 2, '', true, 2, true)`)
	exec(t, admin, `INSERT INTO clerk.organizations`+object+`('gone', 'webhook', now(), now(), 1, 1, 1, 2, '', true, 2, true)`)
	var views []string
	for table, parent := range map[string]string{
		"organization_memberships": "user_id", "organization_invitations": "organization_id", "organization_domains": "organization_id", "sessions": "user_id",
	} {
		views = append(views, "clerk.active_"+table)
		exec(t, admin, `INSERT INTO clerk.`+table+strings.Replace(object, ")", ", "+parent+")", 1)+`('of somebody gone', 'webhook', now(), NULL, 1, 1, 1, 0, '', true, 1, true, 'gone')`)
	}
	if others := texts(t, admin, `SELECT viewname FROM pg_views WHERE schemaname = 'clerk' AND viewname LIKE 'active%' AND definition LIKE '%EXISTS%'`); len(others) != len(views) {
		t.Errorf("views with parents are %v", others)
	}
	exec(t, admin, `UPDATE clerk.sessions SET status = 'active'`)
	peep := func(view string) string {
		if shown := texts(t, reader, "SELECT id FROM "+view); len(shown) > 0 {
			t.Errorf("%s shows %v", view, shown)
		}
		_, err := reader.Exec("SELECT count(*) FROM " + view + " WHERE id::int = 1")
		return fmt.Sprint(err)
	}
	for _, view := range views {
		if told := peep(view); !strings.Contains(told, "of somebody gone") {
			t.Errorf("%s is a barrier already (%s): the page says that it is none", view, told)
		}
	}
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	statements := regexp.MustCompile("(?s)```sql\n(ALTER VIEW .*?)```").FindSubmatch(page)
	if statements == nil {
		t.Fatal("docs/operations.md has no such statements any more")
	}
	exec(t, admin, string(statements[1]))
	for _, view := range views {
		if told := peep(view); told != "<nil>" {
			t.Errorf("behind its barrier %s tells %s", view, told)
		}
	}
	if _, err := reader.Exec("SELECT count(*) FROM clerk.sign_ins"); err == nil {
		t.Error("the reader reads sign_ins")
	}
	if err := migrations.Up(t.Context(), admin, e.options("")); err != nil {
		t.Errorf("Up beside barriers: %v", err)
	}
}

// TestFunctionsOfOthers has somebody with few rights make functions that fit better than PostgreSQL's own, where everybody may make some: they
// would run with the rights of whoever migrates, or gives rights, or of the daemon.
func TestFunctionsOfOthers(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.Empty(t)}
	db := e.open(t)
	pgtest.Shadow(t, db, pgtest.Reader)
	if _, err := db.Exec(`SELECT format('%s', 'x'::text)`); err == nil || !strings.Contains(err.Error(), "shadowed") {
		t.Fatalf("nothing is shadowed: %v", err)
	}
	up(t, db, e.options(""))
	var tables, roles bytes.Buffer
	if err := errors.Join(migrations.Print(&tables, e.options("printed")), migrations.PrintRoles(&roles, e.options(""))); err != nil {
		t.Fatal(err)
	}
	exec(t, db, tables.String())
	exec(t, db, roles.String())
	exec(t, db, `INSERT INTO clerk.users`+object+`('here', 'webhook', now(), NULL, 1, 1, 1, 0, '', true, 1, true)`)
	daemon := engine{e.dialect, e.driver, pgtest.As(t, e.address, pgtest.Daemon)}.open(t)
	if _, err := daemon.Exec("DELETE FROM clerk.users"); err == nil || !strings.Contains(err.Error(), "42501") {
		t.Errorf("the daemon removes who is visible: %v", err)
	}
}

// TestRolesAgain runs what PrintRoles writes by psql, a second time and for another schema.
func TestRolesAgain(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.URL(t)}
	db := e.open(t)
	up(t, db, e.options("mirror_3"))
	exec(t, db, "CREATE PROCEDURE mirror_3.more() LANGUAGE sql AS 'SELECT 1'") // a team's own
	for _, schema := range []string{"clerk", "mirror_3", "mirror_3"} {
		run(t, e, db, printRoles(t, e, schema))
	}
	other := engine{e.dialect, e.driver, pgtest.As(t, e.address, "mirror_3_daemon")}.open(t)
	exec(t, other, "SELECT count(*) FROM mirror_3.users")
	if _, err := other.Exec("SELECT count(*) FROM clerk.users"); err == nil {
		t.Error("one schema's daemon reads another schema")
	}
	if err := migrations.PrintRoles(&bytes.Buffer{}, migrations.Options{Dialect: migrations.SQLite}); err == nil {
		t.Error("SQLite has roles")
	}
}

// printRoles returns a file with what PrintRoles writes.
func printRoles(t *testing.T, e engine, schema string) (file string) {
	t.Helper()
	var text bytes.Buffer
	if err := migrations.PrintRoles(&text, e.options(schema)); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "roles.sql")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// psql runs a file, which must say nothing.
func psql(ctx context.Context, e engine, file string) error {
	out, err := osexec.CommandContext(ctx, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, e.address).CombinedOutput()
	if err != nil || len(out) > 0 {
		return fmt.Errorf("psql: %w: %s", err, out)
	}
	return nil
}

// TestRolesBesideADaemon makes the roles while somebody's transaction takes the tables in the opposite order: neither ends in a deadlock.
// A transaction that nobody ends has it give up, and once the roles are there it keeps nobody from making them again, as each update does.
func TestRolesBesideADaemon(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.URL(t)}
	db := e.open(t)
	up(t, db, e.options("mirror_4"))
	file := printRoles(t, e, "mirror_4")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tables := texts(t, db, `SELECT oid::regclass FROM pg_class WHERE relnamespace = 'mirror_4'::regnamespace AND relkind = 'r' ORDER BY ctid DESC`)
	write := func() (tx *sql.Tx, next func()) {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		return tx, func() {
			if _, err := tx.ExecContext(ctx, "LOCK TABLE "+tables[n]+" IN ROW EXCLUSIVE MODE"); err != nil { // as whoever writes there
				t.Fatal(err)
			}
			n++
		}
	}

	forgotten, next := write()
	next()
	if err := psql(ctx, e, file); err == nil || !strings.Contains(err.Error(), "somebody else's transaction holds one of ") {
		t.Errorf("beside a transaction that nobody ends: %v", err)
	}
	if err := forgotten.Rollback(); err != nil {
		t.Fatal(err)
	}

	daemon, next := write()
	next()
	var group errgroup.Group
	group.Go(func() error { return psql(ctx, e, file) })
	for waits := 0; waits == 0 && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		waits = len(texts(t, db, `SELECT pid::text FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND relation = '`+tables[0]+`'::regclass`))
	}
	for range tables[1:] {
		next()
	}
	if err := daemon.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}

	daemon, next = write()
	defer daemon.Rollback()
	for range tables {
		next()
	}
	if err := psql(ctx, e, file); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// TestRolesBesideAnAutovacuum has an autovacuum work on a table for long. It makes way for who waits for a second, and not for who looks for a
// moment again and again.
func TestRolesBesideAnAutovacuum(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.URL(t)}
	db := e.open(t)
	up(t, db, e.options("mirror_5"))
	autovacuum, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer autovacuum.Rollback()
	if _, err := autovacuum.ExecContext(t.Context(), `LOCK TABLE mirror_5.events IN SHARE UPDATE EXCLUSIVE MODE`); err != nil { // as it does
		t.Fatal(err)
	}
	made, file := make(chan error, 1), printRoles(t, e, "mirror_5")
	go func() {
		made <- psql(t.Context(), e, file)
	}()
	const waiting = `SELECT pid::text FROM pg_locks WHERE NOT granted AND mode = 'ShareUpdateExclusiveLock' AND relation = 'mirror_5.events'::regclass`
	for len(texts(t, db, waiting)) == 0 {
		select {
		case err := <-made:
			t.Fatalf("nobody waited for the autovacuum to make way: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if err := autovacuum.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-made; err != nil {
		t.Error(err)
	}
}

// TestRolesOfATeamsView has a team's view in the schema, whose owner may read the mirror's table alone, and which shows a table of the team's,
// too: nobody needs more rights for it, nor the lock of that table.
func TestRolesOfATeamsView(t *testing.T) {
	t.Parallel()
	e := engine{migrations.Postgres, "postgres", pgtest.URL(t)}
	db := e.open(t)
	up(t, db, e.options("mirror_6"))
	exec(t, db, `CREATE TABLE public.orders (user_id text); GRANT USAGE ON SCHEMA mirror_6 TO clerk_reader; GRANT SELECT ON mirror_6.users, public.orders TO clerk_reader;
CREATE VIEW mirror_6.customers AS SELECT u.id FROM mirror_6.users AS u JOIN public.orders AS o ON o.user_id = u.id; ALTER VIEW mirror_6.customers OWNER TO clerk_reader`)
	team, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Rollback()
	if _, err := team.ExecContext(t.Context(), `INSERT INTO public.orders VALUES ('user_1')`); err != nil {
		t.Fatal(err)
	}
	if err := psql(t.Context(), e, printRoles(t, e, "mirror_6")); err != nil {
		t.Error(err)
	}
}
