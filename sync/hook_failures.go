package sync

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clerksync/clerksync/internal/crash"
)

// hookFailures is the error of a transaction in which hooks failed: what they were called for has to be left out of the next try.
type hookFailures []hookFailure

type hookFailure struct {
	fold   *fold
	reason string // quotes nobody
}

func (f hookFailures) Error() string { return f[0].reason }
func (f hookFailures) Unwrap() error { return ErrHook }

// late are failures of which the last one took the time that others needed.
type late struct {
	hookFailures
	rest    []hookCall // that were not made
	crowded bool       // no call took much of it: they were too many
}

func (l late) Unwrap() error { return l.hookFailures }

// abandoned is an error after which a hook still holds the transaction.
type abandoned struct{ error }

func (a abandoned) Unwrap() error { return a.error }

func (f hookFailures) with(reason string, calls ...hookCall) hookFailures {
	for _, c := range calls {
		f = append(f, hookFailure{c.fold, fmt.Sprintf("the hook %s of %s %s", c.name, c.t.Kind, reason)})
	}
	return f
}

// describeFailure says what a hook's failure was without what it said.
func describeFailure(err error) string {
	var panicked *crash.Error
	switch state := sqlState(err); {
	case errors.As(err, &panicked):
		return "panicked at " + panicked.Line
	case errors.Is(err, errLeftOpen):
		return "left a query open: close the rows that it reads, also where it fails"
	case errors.Is(err, errCutOff):
		return "ended a query by a context of its own, and with it the connection: give queries the hook's"
	case isDone(err):
		return "ended the transaction"
	case state != "":
		return "failed with SQLSTATE " + state
	default:
		return "failed"
	}
}

// isDone reports whether an error says that the hook has committed the transaction, or rolled it back.
func isDone(err error) bool { return errors.Is(err, sql.ErrTxDone) }

// endedQuery reports whether an error is that of a query whose context has ended.
func endedQuery(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || sqlState(err) == "57014"
}

// endedBySQL reports whether the savepoint to go back to after a failure is missing because the hook has ended the transaction by a
// statement. SQLite does that by itself where memory or the disk fails.
func endedBySQL(failure, err error) bool {
	switch sqlState(err) {
	case "25P01", "3B001":
		return true
	}
	return sqliteCode(err) == 1 && !slices.Contains([]int{7, 10, 13}, sqliteCode(failure))
}

// isNobodysFault reports whether a hook met what could have met any statement: a clash of transactions, or a server that goes away.
func isNobodysFault(err error) bool {
	if state := sqlState(err); strings.HasPrefix(state, "08") || strings.HasPrefix(state, "57P") {
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || diagnose(err) == clash
}

// The bounds of the pause before a refused event is tried again. In between, the pause is as long as the event has waited.
const (
	firstPause = 10 * time.Second
	lastPause  = time.Hour
)

// nextTry is when a refused piece's event is tried again.
func (p *piece) nextTry(now time.Time) time.Time {
	waited := firstPause
	if p.Event != nil && !p.Event.ReceivedAt.IsZero() {
		waited = now.Sub(p.Event.ReceivedAt)
	}
	return now.Add(min(max(waited, firstPause), lastPause))
}

// settle leaves out of the next try what failed, and all else that the same events told: an event has one outcome.
func (f hookFailures) settle(batch []*request) {
	now := time.Now()
	events := map[*Event]string{}
	for _, failed := range f {
		for _, p := range failed.fold.pieces {
			p.refuse(failed.reason, now)
			events[p.Event] = failed.reason
		}
	}
	delete(events, nil)
	for _, r := range batch {
		for _, p := range r.pieces {
			if reason, told := events[p.Event]; told {
				p.refuse(reason, now)
			}
		}
	}
}

// refuse settles a piece that a hook keeps from being merged. A read has no event to try again with: the next one has newer content.
func (p *piece) refuse(reason string, now time.Time) {
	if p.passing = p.Event == nil; !p.passing {
		p.due = p.nextTry(now)
	}
	p.settle(Result{Outcome: Quarantined, Reason: reason})
}
