package sync_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestPanicStandsAlone puts one user about whom the database's driver panics among many others. He is quarantined with the place of
// the panic, and they are merged.
func TestPanicStandsAlone(t *testing.T) {
	t.Parallel()
	const n, bad, poison = 20, 7, "Canaria"
	connector, err := pq.NewConnector(pgtest.Direct(t))
	if err != nil {
		t.Fatal(err)
	}
	db := sqlx.NewDb(sql.OpenDB(weakConnector{connector, poison}), "postgres")
	t.Cleanup(func() { db.Close() })
	m := pinned(t, db)
	refused := user{ID: "user_bad", Updated: past, Name: poison}.told()
	release := holdFeed(t, db, m)
	first := callers(t.Context(), m, 1, func(int) clerksync.Evidence { return numbered(999) })
	waitFor(t, "a commit to wait", func() bool { return waitingForLocks(t, db) == 1 })
	wait := callers(t.Context(), m, n, func(i int) clerksync.Evidence {
		if i == bad {
			return refused
		}
		return numbered(i)
	})
	waitFor(t, "all to wait", func() bool { waiting, _ := m.Queue(); return waiting == n })
	release()
	if err := errors.Join(first(), wait()); err != nil {
		t.Fatal(err)
	}
	got := rows(t, m)
	if _, found := got[refused.ID]; found || len(got) != n {
		t.Errorf("found %t, %d rows; want false, %d", found, len(got), n)
	}
	kept := events(t, m)[refused.Event.ID]
	if kept.Error == nil || !strings.HasPrefix(*kept.Error, "merging it panicked at panic_test.go:") || strings.Contains(*kept.Error, poison) {
		t.Errorf("the event is %+v, want the place of the panic", kept)
	}
	kept.Error = nil
	if diff := cmp.Diff(eventRow{ID: refused.Event.ID, Outcome: clerksync.Quarantined, Attempts: 1, Payload: refused.Event.Body}, kept); diff != "" {
		t.Errorf("the event (-want +got)\n%s", diff)
	}
	checkVersions(t, m)
}

// weakConnector makes connections of lib/pq that panic where a statement about names has a parameter with a certain text.
type weakConnector struct {
	driver.Connector
	poison string
}

func (c weakConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return weakConn{conn, c.poison}, err
}

type weakConn struct {
	driver.Conn
	poison string
}

func (c weakConn) Prepare(query string) (driver.Stmt, error) {
	s, err := c.Conn.Prepare(query)
	if !strings.Contains(query, "first_name") {
		return s, err
	}
	return weakStmt{s, c.poison}, err
}

type weakStmt struct {
	driver.Stmt
	poison string
}

func (s weakStmt) Exec(args []driver.Value) (driver.Result, error) {
	s.weaken(args)
	return s.Stmt.Exec(args)
}

func (s weakStmt) Query(args []driver.Value) (driver.Rows, error) {
	s.weaken(args)
	return s.Stmt.Query(args)
}

func (s weakStmt) weaken(args []driver.Value) {
	for _, a := range args {
		if b, ok := a.([]byte); ok {
			a = string(b)
		}
		if text := fmt.Sprint(a); strings.Contains(text, s.poison) {
			panic(text)
		}
	}
}
