package sync

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/crash"
)

// inTransaction runs do in a transaction whose commit is on disk when it returns.
func (m *Mirror) inTransaction(ctx context.Context, do func(*sqlx.Tx) error) (err error) {
	tx, err := m.db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { rollBack(tx, err) }()
	if err := m.limitLocks(ctx, tx); err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// begin begins a transaction. One that looks at the pin must see what was committed while it waited for the feed's lock, whatever the
// team's default isolation level is. That costs a round trip, so others take the default.
func (m *Mirror) begin(ctx context.Context, pins bool) (*sqlx.Tx, error) {
	if pins && m.dialect.postgres {
		return m.db.BeginTxx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	}
	return m.db.BeginTxx(ctx, nil)
}

// rollBack ends a transaction that was not committed. Where a hook is still at it, that may take until the hook's last query is answered,
// and nobody waits for it.
func rollBack(tx *sqlx.Tx, err error) {
	if left := (abandoned{}); errors.As(err, &left) {
		go func() { _ = crash.Contain(tx.Rollback) }()
		return
	}
	_ = tx.Rollback()
}

// harden makes the answer wait until the commit is on disk, whatever the server's default. It never weakens a setting that waits
// for more. SQLite's synchronous=FULL is a property of the connection.
func (m *Mirror) harden(ctx context.Context, tx *sqlx.Tx) error {
	if !m.dialect.postgres {
		return nil
	}
	_, err := tx.ExecContext(ctx, hardenSQL)
	return err
}

const hardenSQL = `SELECT set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on'
  ELSE current_setting('synchronous_commit') END, true)`

// limitLocks hardens a transaction, and has it wait for each lock no longer than a commit takes at most, unless the server has a limit of
// its own: who holds a row may have forgotten to commit, and upkeep must come to an end all the same.
func (m *Mirror) limitLocks(ctx context.Context, tx *sqlx.Tx) error {
	if !m.dialect.postgres {
		return nil
	}
	_, err := tx.ExecContext(ctx, hardenSQL+`, set_config('lock_timeout', CASE current_setting('lock_timeout') WHEN '0' THEN '`+
		strconv.FormatInt(commitTimeout.Milliseconds(), 10)+`' ELSE current_setting('lock_timeout') END, true)`)
	return err
}
