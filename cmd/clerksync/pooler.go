package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/migrations"
)

const (
	poolerTime  = time.Second // for which a server's session is kept from others, in vain where the pooler has that one alone
	poolerTries = 3           // since the session that one of ours had may be anybody's next
)

const adviseUnprepared = "set CLERKSYNC_DB_PREPARE=off, or have the pooler keep them: PgBouncer 1.21 or later does with max_prepared_statements=200"

var errLosesPrepared = errors.New("a pooler in transaction mode loses prepared statements, and where two programs give theirs the same name runs one in place of the other")

// keepsPrepared makes sure that what is prepared can be executed. The error is [errLosesPrepared] if it cannot; any other failure is for
// others to tell, who need the database more.
func (d database) keepsPrepared(ctx context.Context, db *sqlx.DB, unprepared bool) error {
	if d.dialect == migrations.SQLite || unprepared {
		return nil
	}
	held, cancel := context.WithTimeout(ctx, poolerTime)
	defer cancel()
	for range poolerTries {
		switch err := tryPrepared(ctx, held, db); {
		case isLostPrepared(err):
			return errLosesPrepared
		case err != nil || held.Err() != nil:
			return nil
		}
	}
	return nil
}

// isLostPrepared reports whether an error says that a name means no statement, another one, or one that is there already.
func isLostPrepared(err error) bool {
	return slices.Contains([]string{"26000", "08P01", "42P05"}, sqlState(err))
}

// askPrepared has more parameters than any statement of ours, which have some fifty, so that another one of its name is refused and not
// executed.
var askPrepared, askedWith = func() (string, []any) {
	names, values := make([]string, 200), make([]any, 200)
	for i := range names {
		names[i], values[i] = fmt.Sprintf("$%d::text", i+1), ""
	}
	return "SELECT pg_backend_pid() WHERE coalesce(" + strings.Join(names, ", ") + ") = ''", values
}()

// tryPrepared prepares a statement, lets another connection have the server's session in which that happened, if it can get it, until the
// context held ends, and executes the statement.
func tryPrepared(ctx, held context.Context, db *sqlx.DB) (err error) {
	ours, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	stmt, err := ours.PrepareContext(ctx, askPrepared)
	if err != nil {
		return err
	}
	defer stmt.Close() // fails where the statement is lost
	other, err := db.BeginTx(held, nil)
	if err != nil {
		return err
	}
	defer other.Rollback() // of nothing
	var pid sql.NullInt64
	if err := stmt.QueryRowContext(ctx, askedWith...).Scan(&pid); err != nil {
		return fmt.Errorf("executing what was prepared: %w", err)
	}
	return nil
}
