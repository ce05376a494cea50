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
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/clerksync/clerksync/migrations"
)

const (
	poolerTime  = time.Second // for which a server's session is waited for and kept from others, in vain where the pooler has one alone
	poolerTries = 3           // since the session that one of ours had may be anybody's next
)

const adviseUnprepared = "set CLERKSYNC_DB_PREPARE=off, or have the pooler keep them: PgBouncer 1.21 or later does with max_prepared_statements=200"

var errLosesPrepared = errors.New("a pooler in transaction mode loses prepared statements, and where two programs give theirs the same name runs one in place of the other")

// keepsPrepared makes sure that what is prepared can be executed. The error is [errLosesPrepared] if it cannot, and an outage if nobody can
// tell yet; any other failure is for others to tell, who need the database more.
func (d database) keepsPrepared(ctx context.Context, db *sqlx.DB, unprepared bool) error {
	if d.dialect == migrations.SQLite || unprepared {
		return nil
	}
	for range poolerTries {
		switch shared, err := tryPrepared(ctx, db); {
		case isLostPrepared(err):
			return errLosesPrepared
		case err != nil && isOutage(err):
			return fmt.Errorf("trying a prepared statement: %w", err)
		case err != nil || !shared:
			return nil
		}
	}
	return nil
}

// isLostPrepared reports whether an error says that a name means no statement, another one, or one that is there already. An error that ends
// the connection does not: PgBouncer has one of these SQLSTATEs for whatever it refuses, such as a client whose database is not there.
func isLostPrepared(err error) bool {
	var answer *pq.Error
	return errors.As(err, &answer) && answer.Severity != pqerror.SeverityFatal && slices.Contains([]string{"26000", "08P01", "42P05"}, sqlState(err))
}

// askPrepared returns a statement that has more parameters than any of ours, which have some fifty, so that another one of its name is
// refused and not executed.
func askPrepared() (statement string, parameters []any) {
	const many = 200
	names := make([]string, many)
	for i := range names {
		names[i] = fmt.Sprintf("$%d::text", i+1)
	}
	return "SELECT pg_backend_pid() WHERE coalesce(" + strings.Join(names, ", ") + ") = ''", slices.Repeat([]any{""}, many)
}

// tryPrepared prepares a statement, lets another connection have the server's session in which that happened, if it can get one, and executes
// the statement. It reports whether there was one to get, and another one for the statement.
func tryPrepared(ctx context.Context, db *sqlx.DB) (shared bool, err error) {
	ours, err := db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	statement, parameters := askPrepared()
	stmt, err := ours.PrepareContext(ctx, statement)
	if err != nil {
		return false, err
	}
	defer stmt.Close() // fails where the statement is lost
	held, cancel := context.WithTimeout(ctx, poolerTime)
	defer cancel()
	other, err := db.BeginTx(held, nil)
	switch {
	case err == nil:
		defer other.Rollback() // of nothing
	case held.Err() == nil || ctx.Err() != nil:
		return false, err
	}
	shared = err == nil
	var pid sql.NullInt64
	if err := stmt.QueryRowContext(ctx, parameters...).Scan(&pid); err != nil {
		return shared, fmt.Errorf("executing what was prepared: %w", err)
	}
	return shared && held.Err() == nil, nil
}
