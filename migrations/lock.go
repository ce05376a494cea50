package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/pressly/goose/v3/lock"
)

// prepare makes the schema and the tables that say which migrations it has, in one transaction.
func (t *tables) prepare(ctx context.Context, db *sql.DB) error {
	text, err := fs.ReadFile(t.files, "versions.sql")
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if t.dialect == Postgres {
		if err := t.enter(ctx, tx); err != nil {
			return err
		}
	}
	for statement := range strings.SplitSeq(string(text), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// enter keeps processes apart for the length of a transaction, since even CREATE … IF NOT EXISTS fails when two run it at once.
// Unlike a session's lock, a transaction's works behind a pooler.
func (t *tables) enter(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, ownFunctions); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtext($1))`, "clerksync "+t.schema); err != nil {
		return err
	}
	var keyword bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_get_keywords() WHERE word = $1 AND catcode <> 'U')`, t.schema).Scan(&keyword); err != nil {
		return err
	}
	if keyword {
		return errors.New("that is a word of PostgreSQL's own: set CLERKSYNC_SCHEMA to another name")
	}
	return nil
}

const (
	patience = 5 * time.Minute // for another process that migrates
	interval = 200 * time.Millisecond
)

// lock waits until no other process migrates, and returns what lets the next one. SQLite needs none, see apply.
//
// The lock is taken around the whole run and not by goose, which would ask the pool for a second connection while it holds one.
func (t *tables) lock(ctx context.Context, db *sql.DB) (unlock func() error, err error) {
	if t.dialect == SQLite {
		return func() error { return nil }, nil
	}
	locker, err := lock.NewPostgresTableLocker(
		lock.WithTableName(t.name("migrations_lock")),
		lock.WithTableLockTimeout(interval, uint64(patience/interval)),
		lock.WithTableUnlockTimeout(interval, 25),
		lock.WithTableRetryPolicy(retryable),
		lock.WithTableLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		return nil, err
	}
	if err := locker.Lock(ctx, db); err != nil {
		return nil, err
	}
	return func() error {
		if err := locker.Unlock(ctx, db); err != nil {
			return fmt.Errorf("ending the lease on schema %q: %w", t.schema, err)
		}
		return nil
	}, nil
}

// retryable is false for what the server itself answered, such as a missing right: asking again for minutes will not change it.
func retryable(err error) bool {
	var state interface{ SQLState() string }
	return !errors.As(err, &state)
}

// whileBusy runs f again as long as SQLite answers that another process is at work. A busy_timeout does not cover everything: what
// opens a fresh file for write-ahead logging while another process does the same is refused at once.
func whileBusy(ctx context.Context, f func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if !isBusy(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(interval):
		}
	}
}

// isBusy knows SQLITE_BUSY, in all its kinds, by the number that SQLite gives it.
func isBusy(err error) bool {
	var result interface{ Code() int }
	return errors.As(err, &result) && result.Code()&0xff == 5
}
