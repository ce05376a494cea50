package sync

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clerksync/clerksync/internal/crash"
)

// fault is what an error of the database means for a batch.
type fault int

const (
	outage fault = iota // nobody's fault: answer "try again"
	clash               // two transactions were in each other's way: run it again now
	poison              // one of the pieces cannot be stored, or makes somebody panic: find it
)

// errOvertaken means that a row was written between two looks at it.
var errOvertaken = errors.New("another transaction was faster")

// diagnose classifies an error by its SQLSTATE, which every PostgreSQL driver tells, or by SQLite's result code. What it cannot
// place is taken for poison if the database said it: the search for the piece ends in an outage if not even its quarantine can be
// written.
func diagnose(err error) fault {
	var panicked *crash.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, driver.ErrBadConn):
		return outage
	case errors.Is(err, errOvertaken):
		return clash
	case errors.As(err, &panicked):
		return poison
	case sqlState(err) != "":
		return diagnoseSQLState(sqlState(err))
	default:
		return diagnoseSQLite(sqliteCode(err))
	}
}

// sqlState returns the SQLSTATE of an error of PostgreSQL, and of any other one "".
func sqlState(err error) string {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState()
	}
	return ""
}

// sqliteCode returns the primary result code of an error of SQLite, and of any other one 0.
func sqliteCode(err error) int {
	var code interface{ Code() int }
	if errors.As(err, &code) {
		return code.Code() & 0xff
	}
	return 0
}

func diagnoseSQLState(state string) fault {
	if len(state) != 5 {
		return outage
	}
	switch class := state[:2]; {
	case class == "40", state == lockTimeout: // rolled back for another transaction's sake
		return clash
	case slices.Contains(outages, class):
		return outage
	}
	return poison
}

// lockTimeout is the SQLSTATE of a lock that was not to be had in time.
const lockTimeout = "55P03"

// outages are the classes of SQLSTATE that speak of the server, the connection, the login or the schema. Every other one can be
// caused by what is being stored, be it by way of the team's own trigger.
var outages = []string{"08", "0A", "25", "26", "28", "3D", "3F", "42", "53", "55", "57", "58", "F0"}

// misfits say that a schema, a table or a column is not there.
var misfits = []string{"3F000", "42P01", "42703"}

func diagnoseSQLite(code int) fault {
	switch code {
	case 5, 6: // busy, locked
		return clash
	case 18, 19, 20: // too big, a constraint or a trigger, mismatch
		return poison
	}
	return outage
}

// violated reports whether an error tells of a constraint: the team's own, since the mirror's hold by themselves.
func violated(err error) bool {
	if state := sqlState(err); state != "" {
		return strings.HasPrefix(state, "23")
	}
	return sqliteCode(err) == 19
}

// constraint marks an error of the database as one that trying again does not cure.
func constraint(err error) error { return fmt.Errorf("%w: %s", ErrConstraint, describeRefusal(err)) }

// unavailable marks an error of the database as one that trying again may cure. The driver's message stays out of it: it can
// quote rows.
func unavailable(err error) error {
	switch state := sqlState(err); {
	case err == nil:
		return nil
	case slices.Contains(misfits, state):
		return fmt.Errorf("the database lacks a table or column (SQLSTATE %s): run migrations.Up, or clerksync migrate up; where the tables are at this version, "+
			"somebody else has changed them, or a trigger of yours names it: restore a backup or start over, or correct the trigger: %w", state, ErrUnavailable)
	case state != "":
		return fmt.Errorf("the database answered SQLSTATE %s: %w", state, ErrUnavailable)
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}
