package sync

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/crash"
)

// hookCall is one call of a hook that a transaction has to make.
type hookCall struct {
	hook Hook
	name string
	t    Transition
	fold *fold // what is left out if it fails; nil in an erasure
}

// previous is what a row holds before a merge.
type previous struct {
	data    []byte
	version int64
}

// previous reads the rows that a merge is about to write, for the hooks of their kind. It locks none of them: the merge locks rows that
// are there and rows that come into being in one order, that of ids, which nothing ahead of it can keep. Whoever was overtaken in between
// shows by the version; see calls.
func (m *Mirror) previous(ctx context.Context, tx *sqlx.Tx, k *kind, folds []*fold) (map[string]previous, error) {
	if !m.hooked(k) {
		return nil, nil
	}
	var ids []string
	for _, f := range folds {
		if !f.fresh() {
			ids = append(ids, f.id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	var rows []struct {
		ID      string `db:"id"`
		Data    []byte `db:"data"`
		Version int64  `db:"_version"`
	}
	if err := m.selectAmong(ctx, tx, &rows, `SELECT id, data, _version FROM {`+string(k.name)+`} WHERE id IN `+m.dialect.among(), ids); err != nil {
		return nil, err
	}
	before := make(map[string]previous, len(rows))
	for _, r := range rows {
		before[r.ID] = previous{r.Data, r.Version}
	}
	return before, nil
}

// calls are the hooks that a merge's changes ask for. The error is errOvertaken where another transaction wrote a row after its
// previous content was read.
func (m *Mirror) calls(k *kind, folds []*fold, changes []Change, before map[string]previous) (calls []hookCall, err error) {
	hooks, hooked := m.cfg.Hooks[k.name]
	if !hooked {
		return nil, nil
	}
	byID := make(map[string]*fold, len(folds))
	for _, f := range folds {
		byID[f.id] = f
	}
	for _, c := range changes {
		hook, name := hooks.of(c.Op)
		if hook == nil || c.Initial && !hooks.Initial {
			continue
		}
		f, was := byID[c.ObjectID], before[c.ObjectID]
		if c.Version != was.version+1 {
			return nil, errOvertaken
		}
		t := Transition{Change: c, Before: was.data}
		if c.Op != Deleted && !f.bare {
			t.After = f.live.object.appendData(nil)
		}
		t.Fields = k.differing(t.Before, t.After, m.keeping())
		calls = append(calls, hookCall{hook, name, t, f})
	}
	return calls, nil
}

// differing names the projected members in which two of Clerk's objects differ.
func (k *kind) differing(before, after []byte, keep keeping) (names []string) {
	if before == nil || after == nil {
		return nil
	}
	a, errA := k.decode(before, keep)
	b, errB := k.decode(after, keep)
	if errA != nil || errB != nil {
		return nil
	}
	for _, p := range k.projected {
		if !a.withheld(p.name) && !bytes.Equal(p.append(nil, a), p.append(nil, b)) {
			names = append(names, p.name)
		}
	}
	return names
}

// erasureCalls are the hooks that an erasure's changes ask for.
func (m *Mirror) erasureCalls(changes []Change, before map[Kind]map[string][]byte) (calls []hookCall) {
	for _, c := range changes {
		if hook, name := m.cfg.Hooks[c.Kind].of(c.Op); hook != nil {
			calls = append(calls, hookCall{hook: hook, name: name, t: Transition{Change: c, Before: before[c.Kind][c.ObjectID]}})
		}
	}
	return calls
}

// hookTimeout is how long all hooks of a transaction may take: less than its own time, so that it can be tried again without them, and on
// SQLite less than the 15 s after which Clerk's sender gives up.
func (m *Mirror) hookTimeout() time.Duration {
	if m.dialect.postgres {
		return commitTimeout / 2
	}
	return slowCommitTimeout / 3
}

// graceTime is how long a hook has to return once its context has ended.
const graceTime = time.Second

// errAbandoned means that a hook did not return, so its transaction is left to it.
var errAbandoned = errors.New("a hook did not return")

// errLeftOpen means that a hook has not closed the rows that it reads: until then its connection takes nothing but a rollback.
var errLeftOpen = fmt.Errorf("a hook left a query open: %w", sql.ErrTxDone)

// errCutOff means that a hook has ended a query by a context of its own, for which drivers give up the connection.
var errCutOff = fmt.Errorf("a hook ended a query: %w", sql.ErrTxDone)

// errGone means that a hook has ended its goroutine instead of returning.
var errGone = errors.New("a hook ended its goroutine")

// hookMark is the key under which a hook's context has its mirror.
type hookMark struct{}

// errFromHook is for a hook: what it asks for would wait for the hook's own transaction.
var errFromHook = errors.New("a hook must not call this with its context: it would wait for itself")

// isHook reports whether a context is that of a hook of this mirror.
func (m *Mirror) isHook(ctx context.Context) bool { return ctx.Value(hookMark{}) == m }

// callHooks makes calls, each behind a savepoint. Its error is hookFailures where some failed: the transaction is then of no use any
// more, but all that would fail is known, unless time has run out or a hook has ended the transaction.
func (m *Mirror) callHooks(ctx context.Context, tx *sqlx.Tx, calls []hookCall) error {
	if len(calls) == 0 {
		return nil
	}
	within, cancel := context.WithTimeout(context.WithValue(ctx, hookMark{}, m), m.hookTimeout())
	defer cancel()
	limit := strconv.FormatInt((m.hookTimeout() + graceTime/2).Milliseconds(), 10)
	if err := m.limitQueries(within, tx, limit); err != nil {
		return err
	}
	var failures hookFailures
	begun := time.Now()
	for i, c := range calls {
		called := time.Now()
		failure, err := c.run(within, tx)
		switch {
		case errors.Is(failure, errAbandoned) && ctx.Err() != nil:
			return abandoned{ctx.Err()}
		case errors.Is(failure, errAbandoned):
			return abandoned{late{hookFailures: failures.with("did not return when its time was over", c), rest: calls[i+1:]}}
		case ctx.Err() != nil:
			return ctx.Err()
		case within.Err() != nil:
			m.pace.note(i, called.Sub(begun))
			crowded := i > 0 && time.Since(called) < m.hookTimeout()/2
			return late{hookFailures: failures.with("did not end in time", c), rest: calls[i+1:], crowded: crowded}
		case err != nil:
			return err
		case failure != nil:
			failures = failures.with(describeFailure(failure), c)
		}
		if isDone(failure) {
			return failures
		}
	}
	m.pace.note(len(calls), time.Since(begun))
	if len(failures) > 0 {
		return failures
	}
	return nil
}

// limitQueries has PostgreSQL end a query that goes on when the hooks' time is over. A hook that gives its query another context than its
// own would keep the locks of everybody in this transaction otherwise. It holds until the transaction ends, or is set anew.
func (m *Mirror) limitQueries(ctx context.Context, tx *sqlx.Tx, limit string) error {
	if !m.dialect.postgres {
		return nil
	}
	_, err := tx.ExecContext(ctx, `SELECT set_config('statement_timeout', '`+limit+`', true)`)
	return err
}

// queryLimit returns the limit that holds for queries now.
func (m *Mirror) queryLimit(ctx context.Context, tx *sqlx.Tx) (limit string, err error) {
	if !m.dialect.postgres {
		return "", nil
	}
	err = tx.GetContext(ctx, &limit, `SELECT current_setting('statement_timeout')`)
	return limit, err
}

// run makes one call. It tells the hook's failure from an error of the database that is nobody's fault.
func (c hookCall) run(ctx context.Context, tx *sqlx.Tx) (failure, err error) {
	if _, err := tx.ExecContext(ctx, `SAVEPOINT hook`); err != nil {
		return nil, err
	}
	failure = c.call(ctx, tx)
	if errors.Is(failure, errAbandoned) {
		return failure, nil
	}
	if failure == nil { // unless it has passed over an error of the database
		if _, failure = tx.ExecContext(ctx, `RELEASE SAVEPOINT hook`); strings.HasPrefix(sqlState(failure), "53") { // a full disk, say
			return nil, failure
		}
	}
	if failure == nil || isDone(failure) {
		return failure, nil
	}
	return undo(ctx, tx, failure)
}

// undo goes back to before a call, so that others can follow. Where it cannot, it finds out whether the hook is to blame for that.
func undo(ctx context.Context, tx *sqlx.Tx, failed error) (failure, err error) {
	cutOff, broken := endedQuery(failed) && ctx.Err() == nil, failed
	if !errors.Is(failed, driver.ErrBadConn) {
		if isNobodysFault(failed) {
			return nil, failed
		}
		_, err := tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT hook`)
		switch {
		case err == nil:
			return failed, nil
		case isDone(err):
			return err, nil
		case endedBySQL(failed, err):
			return sql.ErrTxDone, nil
		case sqlState(err) != "" || sqliteCode(err) != 0:
			return nil, err
		}
		broken = err
	}
	switch {
	case tx.Rollback() == nil: // so the connection is well, and was only busy
		return errLeftOpen, nil
	case cutOff:
		return errCutOff, nil
	default:
		return nil, broken
	}
}

// call calls the hook. One that goes on when its time is over is left behind: it may be waiting for this very process to write something.
func (c hookCall) call(ctx context.Context, tx *sqlx.Tx) error {
	done := make(chan error, 1)
	go func() {
		err := errGone
		defer func() { done <- err }()
		err = crash.Contain(func() error { return c.hook(ctx, tx, c.t) })
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(graceTime):
		return errAbandoned
	}
}
