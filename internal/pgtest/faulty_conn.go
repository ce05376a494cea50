package pgtest

import (
	"context"
	"database/sql/driver"
	"io"
)

// faultyConn is a connection whose calls can fail. It passes on what the drivers of PostgreSQL and SQLite implement.
type faultyConn struct {
	driver.Conn
	faults *Faulty
	dead   bool
}

// do makes a call, or has it fail.
func do[T any](c *faultyConn, name string, call func() (T, error)) (result T, err error) {
	if c.dead {
		return result, driver.ErrBadConn
	}
	c.faults.wait()
	switch c.faults.meet(name) {
	case "":
		return call()
	case Refused:
		return result, c.refuse()
	case Lost:
		made, err := call()
		if open, ok := any(made).(io.Closer); ok && err == nil {
			open.Close()
		}
	}
	c.dead = true // and closed once database/sql has put away what it has of it
	return result, errCut
}

// refuse has the database itself refuse something, which ends PostgreSQL's transaction.
func (c *faultyConn) refuse() error {
	if c.faults.DriverName() == "sqlite" {
		return fullError{}
	}
	_, err := c.Conn.(driver.ExecerContext).ExecContext(context.Background(), `DO $$ BEGIN RAISE 'disk full' USING ERRCODE = '53100'; END $$`, nil)
	return err
}

func (c *faultyConn) ResetSession(ctx context.Context) error {
	if c.dead {
		return driver.ErrBadConn
	}
	return c.Conn.(driver.SessionResetter).ResetSession(ctx)
}

func (c *faultyConn) IsValid() bool { return !c.dead && c.Conn.(driver.Validator).IsValid() }

func (c *faultyConn) Ping(ctx context.Context) error {
	_, err := do(c, "ping", func() (any, error) { return nil, c.Conn.(driver.Pinger).Ping(ctx) })
	return err
}

func (c *faultyConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := do(c, "begin", func() (driver.Tx, error) { return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o) })
	if err != nil {
		return nil, err
	}
	return faultyTx{tx, c}, nil
}

func (c *faultyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := do(c, "prepare "+query, func() (driver.Stmt, error) { return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query) })
	if err != nil {
		return nil, err
	}
	return &faultyStmt{stmt, c, query}, nil
}

func (c *faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return do(c, query, func() (driver.Result, error) { return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args) })
}

func (c *faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.rows(query, func() (driver.Rows, error) { return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args) })
}

func (c *faultyConn) rows(query string, call func() (driver.Rows, error)) (driver.Rows, error) {
	rows, err := do(c, query, call)
	if err != nil {
		return nil, err
	}
	return &faultyRows{Rows: rows, conn: c, query: query}, nil
}

type faultyRows struct {
	driver.Rows
	conn  *faultyConn
	query string
	steps int
}

// Next implements driver.Rows. While rows come, a connection can break; it is too late to refuse. The first two steps count as calls:
// those that follow are like the second one, and there may be thousands.
func (r *faultyRows) Next(to []driver.Value) error {
	if r.conn.dead {
		return driver.ErrBadConn
	}
	if r.steps++; r.steps <= 2 && r.conn.faults.meet("a row of "+r.query) != "" {
		r.conn.dead = true
		return errCut
	}
	return r.Rows.Next(to)
}

type faultyTx struct {
	driver.Tx
	conn *faultyConn
}

func (tx faultyTx) Commit() error {
	_, err := do(tx.conn, "commit", func() (any, error) { return nil, tx.Tx.Commit() })
	if err != nil && !tx.conn.dead {
		_ = tx.Tx.Rollback() // as drivers do where a database refuses to commit; it may have done so itself
	}
	return err
}

func (tx faultyTx) Rollback() error {
	if tx.conn.dead {
		return driver.ErrBadConn
	}
	if tx.conn.faults.meet("roll back") != "" { // which no database refuses
		tx.conn.dead = true
		return errCut
	}
	return tx.Tx.Rollback()
}

// faultyStmt is a prepared statement. PostgreSQL's COPY is one that has no calls with a context, and cannot be refused half way.
type faultyStmt struct {
	driver.Stmt
	conn  *faultyConn
	query string
}

func (s *faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if exec, ok := s.Stmt.(driver.StmtExecContext); ok {
		return do(s.conn, s.query, func() (driver.Result, error) { return exec.ExecContext(ctx, args) })
	}
	if s.conn.dead {
		return nil, driver.ErrBadConn
	}
	if s.conn.faults.meet(s.query) != "" {
		s.conn.dead = true
		return nil, errCut
	}
	values := make([]driver.Value, len(args))
	for i, a := range args {
		values[i] = a.Value
	}
	return s.Stmt.Exec(values) //nolint:staticcheck // it has no other
}

func (s *faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.rows(s.query, func() (driver.Rows, error) { return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args) })
}
