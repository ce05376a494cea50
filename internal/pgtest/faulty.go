package pgtest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"modernc.org/sqlite"
)

// Way is how a call of a database fails.
type Way string

// The ways.
const (
	Cut     Way = "cut"     // the connection breaks before the call reaches the database
	Lost    Way = "lost"    // the database does what it is told, and the connection breaks before its answer comes
	Refused Way = "refused" // the database answers that its disk is full
)

// Ways are all ways.
var Ways = []Way{Cut, Lost, Refused}

// Faulty is a migrated database of which one call can be made to fail. A call is everything that a driver does for database/sql: to
// connect, begin, prepare, execute, query, step to a row, commit, roll back.
type Faulty struct {
	*sqlx.DB          // whose calls can fail
	Well     *sqlx.DB // the same database, which works

	mu     sync.Mutex
	left   int // calls until the one that fails, which is 1
	way    Way
	struck string // the call that failed; "" while none has
	broken bool   // every call fails
	hung   chan struct{}
}

// BothFaulty runs f twice, as parallel subtests: with a PostgreSQL database and with a SQLite one.
func BothFaulty(t *testing.T, f func(t *testing.T, db *Faulty)) {
	t.Helper()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		address := Direct(t)
		connector, err := pq.NewConnector(address)
		f(t, faulty(t, connector, err, open(t, "postgres", address)))
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, FaultySQLite(t))
	})
}

// FaultySQLite returns a SQLite database.
func FaultySQLite(t testing.TB) *Faulty {
	t.Helper()
	address := migratedSQLite(t)
	connector, err := sqlite.NewConnector(address)
	return faulty(t, connector, err, open(t, "sqlite", address))
}

func faulty(t testing.TB, connector driver.Connector, err error, well *sqlx.DB) *Faulty {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	f := &Faulty{Well: well}
	f.DB = sqlx.NewDb(sql.OpenDB(faultyConnector{connector, f}), well.DriverName())
	t.Cleanup(func() { f.Close() })
	f.SetMaxOpenConns(connections)
	f.SetMaxIdleConns(connections)
	return f
}

// Fail makes the n-th call from now on fail, counted from 1.
func (f *Faulty) Fail(n int, way Way) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.way, f.struck = n, way, ""
}

// Heal makes all calls work again. It returns the call that failed, "" if none did.
func (f *Faulty) Heal() (struck string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.broken = 0, false
	if f.hung != nil {
		close(f.hung)
		f.hung = nil
	}
	return f.struck
}

// Hang has all calls wait until [Faulty.Heal], also once their contexts are over, as lib/pq does on a connection that says nothing.
func (f *Faulty) Hang() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hung = make(chan struct{})
}

// wait waits while the database hangs.
func (f *Faulty) wait() {
	f.mu.Lock()
	hung := f.hung
	f.mu.Unlock()
	if hung != nil {
		<-hung
	}
}

// Break makes all calls fail until [Faulty.Heal].
func (f *Faulty) Break() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken, f.way = true, Cut
}

// meet counts a call, and tells how it has to fail; "" means not.
func (f *Faulty) meet(call string) Way {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return f.way
	}
	if f.left == 0 {
		return ""
	}
	if f.left--; f.left > 0 {
		return ""
	}
	f.struck = call
	return f.way
}

var errCut = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}

// fullError is what SQLite says on a full disk.
type fullError struct{}

func (fullError) Error() string { return "database or disk is full (13)" }
func (fullError) Code() int     { return 13 }

type faultyConnector struct {
	driver.Connector
	faults *Faulty
}

// Connect implements driver.Connector.
func (c faultyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	c.faults.wait()
	if c.faults.meet("connect") != "" {
		return nil, errCut
	}
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &faultyConn{Conn: inner, faults: c.faults}, nil
}
