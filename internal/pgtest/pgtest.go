// Package pgtest gives every test a database of its own: a migrated PostgreSQL database on a real server, or a migrated SQLite
// file. A package that uses PostgreSQL has
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// The server starts on first use, takes about a second, and ends with the test binary. Where none is installed the tests fail and
// say what to install: they never pass without a database.
//
// Environment variables have the same tests use PostgreSQL otherwise: PGTEST_ROLE as another role, such as clerk_daemon;
// PGTEST_DRIVER=pgx by another driver; PGTEST_BOUNCER=1 through a PgBouncer in transaction mode.
package pgtest

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/clerksync/clerksync/migrations"
)

// connections is the size of the pools that tests get: enough for contention, few enough for many tests at once.
const connections = 10

// Main runs a package's tests, stops the server, fails if a goroutine is left that is not one of those to ignore, and exits.
func Main(m *testing.M, ignore ...goleak.Option) {
	code := m.Run()
	if err := server.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping PostgreSQL:", err)
		code = 1
	}
	if code == 0 {
		if err := goleak.Find(ignore...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// The roles of migrations.PrintRoles, which every migrated database has. The tests' own role is the superuser.
const (
	Daemon = "clerk_daemon"
	Reader = "clerk_reader"
)

// As returns the address of a PostgreSQL database for another role.
func As(t testing.TB, address, role string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	return u.String()
}

// Superuser returns a pool for the PostgreSQL database behind another one and the tests' own role, for what no role of a mirror may
// do. It ends with the test. SQLite has no roles: there it is the same pool.
func Superuser(t testing.TB, db *sqlx.DB) *sqlx.DB {
	t.Helper()
	if db.DriverName() == "sqlite" {
		return db
	}
	var name string
	if err := db.GetContext(t.Context(), &name, "SELECT current_database()"); err != nil {
		t.Fatal(err)
	}
	return open(t, "postgres", server.cluster.URL(name))
}

// Own returns a server of the test's own, which the test may ill-treat. It ends with the test.
func Own(t testing.TB, o Options) *Cluster {
	t.Helper()
	cluster, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

// Migrated returns a pool for a server of the test's own, on which it makes the tables. It ends with the test.
func Migrated(t testing.TB, c *Cluster) *sqlx.DB {
	t.Helper()
	db := open(t, "postgres", c.URL("postgres"))
	if err := migrations.Up(t.Context(), db.DB, migrations.Options{Dialect: migrations.Postgres}); err != nil {
		t.Fatal(err)
	}
	return db
}

// New returns a pool of up to ten connections to a fresh, migrated PostgreSQL database. It ends with the test.
func New(t testing.TB) *sqlx.DB {
	t.Helper()
	driver, address := cmp.Or(os.Getenv("PGTEST_DRIVER"), "postgres"), URL(t)
	if Unprepared() {
		address = unprepared(t, driver, address)
	}
	return open(t, driver, address)
}

// URL returns the address of a fresh, migrated PostgreSQL database, which ends with the test.
func URL(t testing.TB) string {
	t.Helper()
	address := Direct(t)
	if server.bouncer == nil {
		return address
	}
	address, err := server.bouncer.Behind(address)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// Direct is like [URL], but never through a pooler: for what needs a session, such as LISTEN.
func Direct(t testing.TB) string {
	t.Helper()
	address := server.database(t, "migrated")
	if role := os.Getenv("PGTEST_ROLE"); role != "" {
		return As(t, address, role)
	}
	return address
}

// Unprepared reports whether mirrors must do without prepared statements, because the tests' databases are behind a PgBouncer.
func Unprepared() bool { return os.Getenv("PGTEST_BOUNCER") != "" }

// unprepared has a driver prepare no statements.
func unprepared(t testing.TB, driver, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if driver == "pgx" {
		q.Set("default_query_exec_mode", "exec")
	} else {
		q.Set("binary_parameters", "yes")
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Empty is like [URL], but the database is not migrated.
func Empty(t testing.TB) string {
	t.Helper()
	return server.database(t, "bare")
}

// Encoded is like [Empty], but the database stores texts in another encoding than UTF8.
func Encoded(t testing.TB, encoding string) string {
	t.Helper()
	return server.database(t, "template0 ENCODING '"+encoding+"' LOCALE 'C'")
}

// Turkish is like [New], of a database in whose language "I" and "i" are two letters, where the server knows that.
func Turkish(t testing.TB) *sqlx.DB {
	t.Helper()
	template := "bare"
	if err := server.ready(); err != nil {
		t.Fatal("starting PostgreSQL: ", err)
	}
	var known bool
	if err := server.admin.QueryRowContext(t.Context(), `SELECT current_setting('server_version_num')::int >= 150000
AND EXISTS (SELECT 1 FROM pg_collation WHERE collname = 'tr-x-icu')`).Scan(&known); err != nil {
		t.Fatal("looking for Turkish: ", err)
	}
	if known {
		template = "template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'tr' LOCALE 'C'"
	}
	db := open(t, "postgres", server.database(t, template))
	if err := migrations.Up(t.Context(), db.DB, migrations.Options{Dialect: migrations.Postgres}); err != nil {
		t.Fatal(err)
	}
	return db
}

// Both runs f twice, as parallel subtests: with a fresh, migrated PostgreSQL database and with a SQLite one.
func Both(t *testing.T, f func(t *testing.T, db *sqlx.DB)) {
	t.Helper()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, New(t))
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, SQLite(t))
	})
}

func open(t testing.TB, driver, address string) *sqlx.DB {
	t.Helper()
	db, err := sqlx.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

func init() { sqlx.BindDriver("sqlite", sqlx.DOLLAR) }

// server is the one that this test binary shares.
var server shared

// shared is a cluster with two template databases, "bare" and "migrated". The zero value starts on first use.
type shared struct {
	start   sync.Once
	err     error
	cluster *Cluster
	bouncer *Bouncer // nil without PGTEST_BOUNCER
	admin   *sql.DB
	last    atomic.Int64 // numbers the databases
}

func (s *shared) ready() error {
	s.start.Do(func() {
		if s.cluster, s.err = Start(Options{}); s.err != nil {
			return
		}
		if s.admin, s.err = sql.Open("postgres", s.cluster.URL("postgres")); s.err != nil {
			return
		}
		if s.err = s.templates(); s.err == nil && Unprepared() {
			s.bouncer, s.err = StartBouncer(s.cluster)
		}
	})
	return s.err
}

// templates makes the databases that tests copy. Their default collation is a language's where the server can, so that a query
// which relies on the order of bytes without saying so shows.
func (s *shared) templates() error {
	_, err := s.admin.Exec(`CREATE DATABASE bare TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'`)
	if err != nil { // older than PostgreSQL 15, or built without ICU
		if _, err = s.admin.Exec(`CREATE DATABASE bare TEMPLATE template0 ENCODING 'UTF8'`); err != nil {
			return err
		}
	}
	if _, err := s.admin.Exec(`CREATE DATABASE migrated TEMPLATE bare`); err != nil {
		return err
	}
	db, err := sql.Open("postgres", s.cluster.URL("migrated"))
	if err != nil {
		return err
	}
	defer db.Close() // an open connection would keep it from being copied
	options := migrations.Options{Dialect: migrations.Postgres}
	if err := migrations.Up(context.Background(), db, options); err != nil {
		return err
	}
	var roles strings.Builder
	if err := migrations.PrintRoles(&roles, options); err != nil {
		return err
	}
	_, err = db.Exec(roles.String())
	return err
}

func (s *shared) database(t testing.TB, template string) string {
	t.Helper()
	if err := s.ready(); err != nil {
		t.Fatal("starting PostgreSQL: ", err)
	}
	name := fmt.Sprintf("test_%d", s.last.Add(1))
	if _, err := s.admin.Exec("CREATE DATABASE " + name + " TEMPLATE " + template); err != nil {
		t.Fatal("creating a database: ", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own context is over
		defer cancel()
		if _, err := s.admin.ExecContext(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error("dropping the test's database: ", err)
		}
	})
	return s.cluster.URL(name)
}

func (s *shared) stop() error {
	if s.admin != nil {
		s.admin.Close()
	}
	var err error
	if s.bouncer != nil {
		err = s.bouncer.Stop()
	}
	if s.cluster == nil {
		return err
	}
	return errors.Join(err, s.cluster.Stop())
}
