package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/clerksync/clerksync/internal/loopback"
	"github.com/clerksync/clerksync/migrations"
)

// database is what DATABASE_URL names.
type database struct {
	dialect  migrations.Dialect
	url      *url.URL      // of a PostgreSQL database, with all its parameters
	path     string        // of a SQLite file
	create   bool          // the SQLite file is made if there is none
	brief    bool          // the file ends with this process, so nothing need wait for the disk
	patience time.Duration // for the next byte of PostgreSQL's answer; 0 = for ever
	alone    bool          // a SQLite file has one connection: in a bubble of testing/synctest nobody may sleep who keeps others waiting
}

func parseDatabase(v string) (database, error) {
	if path, ok := strings.CutPrefix(v, "sqlite:"); ok {
		return parseSQLite(path)
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || isSlip(v, u) {
		return database{}, errors.New("must be postgres://USER:PASSWORD@HOST:PORT/NAME?sslmode=… or sqlite:PATH; " +
			"special characters of a password are written as %XX")
	}
	q := u.Query()
	if mode := os.Getenv("PGSSLMODE"); q.Get("sslmode") == "" && mode != "" {
		q.Set("sslmode", mode)
	}
	if q.Get("sslmode") == "" {
		if !isLocal(u) {
			return database{}, errors.New("must say sslmode for a server that is not on this machine: add sslmode=verify-full, " +
				"with sslrootcert=FILE where your provider gives you one, or sslmode=require")
		}
		q.Set("sslmode", "prefer")
	}
	for _, name := range libpqOnly {
		if q.Get(name) == "require" {
			return database{}, fmt.Errorf("asks for %[1]s=require, which clerksync's driver cannot do: take %[1]s out, and have sslmode=verify-full prove the server", name)
		}
		q.Del(name)
	}
	if len(hosts(u)) > 1 && os.Getenv("PGTARGETSESSIONATTRS") == "" {
		setDefault(q, "target_session_attrs", "read-write") // or the driver takes the first that answers, be it a standby
	}
	setDefault(q, "connect_timeout", "5")
	setDefault(q, "fallback_application_name", "clerksync")
	u.RawQuery = q.Encode()
	return database{dialect: migrations.Postgres, url: u}, nil
}

// libpqOnly are parameters by which libpq connects in ways that the driver does not know. It would hand them on to the server, which refuses
// them. Those that are only wished for can be done without.
var libpqOnly = []string{"channel_binding", "gssencmode", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "sslcompression"}

// isSlip reports whether a URL says something else than who wrote it meant: with a slash too many or too few, the user and the password
// are part of the database's name, which errors quote; and what follows a # is not read at all.
func isSlip(v string, u *url.URL) bool {
	return !strings.Contains(v, "://") || strings.Contains(u.EscapedPath(), "@") || u.Fragment != ""
}

func parseSQLite(path string) (database, error) {
	path = strings.TrimPrefix(path, "//")
	if path == "" || strings.HasPrefix(path, ":") || strings.HasPrefix(path, "file:") {
		return database{}, errors.New("must name a file after sqlite:, as in sqlite:clerksync.db")
	}
	return database{dialect: migrations.SQLite, path: path}, nil
}

func setDefault(q url.Values, name, value string) {
	if !q.Has(name) {
		q.Set(name, value)
	}
}

// isLocal reports whether every host of a PostgreSQL URL is this machine; a path is a Unix socket. What the URL leaves out, the driver
// takes from the environment or from a service, which may name any host.
func isLocal(u *url.URL) bool {
	q, found := u.Query(), hosts(u)
	if len(found) == 0 && cmp.Or(q.Get("service"), os.Getenv("PGSERVICE")) != "" {
		return false
	}
	found = append(found, strings.Split(q.Get("host"), ",")...)
	found = append(found, strings.Split(cmp.Or(q.Get("hostaddr"), os.Getenv("PGHOSTADDR")), ",")...)
	return !slices.ContainsFunc(found, func(host string) bool { return host != "" && !strings.HasPrefix(host, "/") && !loopback.Is(host) })
}

// hosts are those of a PostgreSQL URL, or else of the environment.
func hosts(u *url.URL) []string {
	host := cmp.Or(u.Hostname(), u.Query().Get("host"), os.Getenv("PGHOST"))
	if host == "" {
		return nil
	}
	return strings.Split(host, ",")
}

// The sizes of the pools. PostgreSQL answers a few connections faster than many; SQLite has one writer, and readers beside it.
const (
	postgresConnections = 10
	sqliteConnections   = 4
)

// open returns a pool of connections. It connects to nothing yet.
func (d database) open(unprepared bool) (*sqlx.DB, error) {
	if d.dialect == migrations.SQLite {
		return d.openSQLite()
	}
	u := *d.url
	if unprepared {
		q := u.Query()
		q.Set("binary_parameters", "yes")
		u.RawQuery = q.Encode()
	}
	connector, err := pq.NewConnector(u.String())
	if err != nil {
		return nil, mistake("DATABASE_URL is not understood: check its parameters") // the driver's error can quote the password
	}
	if d.patience > 0 {
		connector.Dialer(dialer{patience: d.patience})
	}
	db := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	db.SetMaxOpenConns(postgresConnections)
	db.SetMaxIdleConns(postgresConnections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour)
	return db, nil
}

// openSQLite returns a pool for a file.
func (d database) openSQLite() (*sqlx.DB, error) {
	if folder, err := os.Stat(filepath.Dir(d.path)); err != nil || !folder.IsDir() {
		return nil, mistake(fmt.Sprintf("DATABASE_URL names a file in the folder %s, which does not exist: make it first", filepath.Dir(d.path)))
	}
	flags := os.O_RDWR
	if d.create {
		flags |= os.O_CREATE
	}
	file, err := os.OpenFile(d.path, flags, 0o600) // people's data is nobody else's business on this machine
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, mistake(fmt.Sprintf("there is no file %s: see whether DATABASE_URL is set and right; clerksync migrate up makes one", d.path))
	case err != nil:
		return nil, fmt.Errorf("opening the file that DATABASE_URL names: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("opening the file that DATABASE_URL names: %w", err)
	}
	synchronous := "synchronous(FULL)" // a commit is on the disk before it is answered for
	if d.brief {
		synchronous = "synchronous(OFF)"
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", synchronous, "foreign_keys(ON)",
		"cache_size(-16000)", "temp_store(MEMORY)", "wal_autocheckpoint(4000)"}} // a batch's pages fit into 16 MB, and none is written twice
	db, err := sqlx.Open("sqlite", "file:"+(&url.URL{Path: d.path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", d.path, err)
	}
	connections := sqliteConnections
	if d.alone {
		connections = 1
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

func init() { sqlx.BindDriver("sqlite", sqlx.DOLLAR) }

// tables are the options of the migrations.
func (s *settings) tables() migrations.Options {
	return migrations.Options{Dialect: s.database.dialect, Schema: s.schema}
}

// migrated brings the tables to this version, or only checks that they are. It has connections of its own, which wait for as long as a
// migration takes.
func (s *settings) migrated(ctx context.Context, migrate bool) error {
	where := s.database
	where.patience, where.create = 0, migrate
	db, err := where.open(s.unprepared)
	if err != nil {
		return err
	}
	defer db.Close()
	err = where.keepsPrepared(ctx, db, s.unprepared)
	switch {
	case err != nil:
	case migrate:
		err = migrations.Up(ctx, db.DB, s.tables())
	default:
		err = migrations.Check(ctx, db.DB, s.tables())
	}
	if errors.Is(err, errLosesPrepared) || isLostPrepared(err) && !s.unprepared {
		return mistake(fmt.Sprintf("%v: %s", err, adviseUnprepared))
	}
	return s.adviseRights(err)
}

// adviseRights says who may make the tables where the database's user may not.
func (s *settings) adviseRights(err error) error {
	if sqlState(err) != "42501" {
		return err
	}
	return mistake(fmt.Sprintf("%v: run clerksync migrate up as %s_owner or, where there are no tables or no roles yet, as an administrator, "+
		"and after it what clerksync migrate print --roles writes", err, s.schema))
}
