package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/migrations"
)

// SQLite returns a pool of up to ten connections to a fresh, migrated SQLite file. It ends with the test.
func SQLite(t testing.TB) *sqlx.DB {
	t.Helper()
	return open(t, "sqlite", migratedSQLite(t))
}

// EmptySQLite returns the address of a fresh SQLite file, for the driver "sqlite". It is not migrated. Nothing waits for the disk.
func EmptySQLite(t testing.TB) string {
	t.Helper()
	return sqliteAddress(sqliteFile(t.TempDir()))
}

// migratedSQLite is like [EmptySQLite], but migrated.
func migratedSQLite(t testing.TB) string {
	t.Helper()
	content, err := sqliteTemplate()
	if err != nil {
		t.Fatal("migrating SQLite: ", err)
	}
	file := sqliteFile(t.TempDir())
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return sqliteAddress(file)
}

func sqliteFile(dir string) string { return filepath.Join(dir, "clerksync.db") }

func sqliteAddress(file string) string {
	u := url.URL{Path: file} // a test without a name has a # in its folder's
	return "file:" + u.EscapedPath() +
		"?_txlock=immediate&_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)"
}

// sqliteTemplate returns what is in a migrated file. Tests copy it, since migrating takes half a second with the race detector.
var sqliteTemplate = sync.OnceValues(func() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "clerksync-sqlite-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := sqliteFile(dir)
	db, err := sql.Open("sqlite", sqliteAddress(file))
	if err != nil {
		return nil, err
	}
	err = migrations.Up(context.Background(), db, migrations.Options{Dialect: migrations.SQLite})
	if err := errors.Join(err, db.Close()); err != nil { // closing brings into the file what is in its log
		return nil, err
	}
	return os.ReadFile(file)
})
