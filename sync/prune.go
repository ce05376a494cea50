package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"
)

// tombstoneTime is how long a tombstone stays at least: Clerk's sender can replay events for 90 days.
const tombstoneTime = 100 * 24 * time.Hour

// PruneChanges removes changes that were written longer ago than an age, the oldest first, and stops before a seq: what a relay has
// still to send must stay. An age of zero keeps all. It returns how many it removed, also beside an error, which is [ErrUnavailable]
// where the database cannot answer.
func (m *Mirror) PruneChanges(ctx context.Context, age time.Duration, before int64) (removed int64, err error) {
	if age <= 0 {
		return 0, nil
	}
	for { // seq grows with time, so the oldest rows tell whether there is more
		n, err := m.pruneSomeChanges(ctx, age, before)
		if err != nil {
			return removed, fmt.Errorf("pruning changes: %w", unavailable(err))
		}
		if removed += n; n < pruneBatch {
			return removed, nil
		}
	}
}

// pruneSomeChanges does so with a batch of them.
func (m *Mirror) pruneSomeChanges(ctx context.Context, age time.Duration, before int64) (removed int64, err error) {
	err = m.inTransaction(ctx, func(tx *sqlx.Tx) (err error) {
		removed, err = m.affect(ctx, tx, `DELETE FROM {changes} WHERE created_at < $1 AND seq IN (SELECT seq FROM {changes} WHERE seq < $2 ORDER BY seq LIMIT `+
			fmt.Sprint(pruneBatch)+`)`, stamp(time.Now().Add(-age)), before)
		return err
	})
	return removed, err
}

// PruneSessions removes sessions that ended, and were last heard of or erased, longer ago than an age; zero keeps all. The age should be
// 100 days or more, or else a replayed event makes the row anew, and the feed tells of no erasure that it has not told of by then. Rows
// that another table refers to, or a trigger keeps, stay. It returns how many it removed, also beside an error, which is
// [ErrUnavailable] where the database cannot answer.
func (m *Mirror) PruneSessions(ctx context.Context, age time.Duration) (removed int64, err error) {
	if age <= 0 {
		return 0, nil
	}
	instant := time.Now().Add(-age)
	ended := `_alive_at < $2 AND (deleted_at IS NOT NULL OR status IS NULL OR status IN ('` + strings.Join(terminalStatuses, "', '") + `')
OR expire_at < $1 OR abandon_at < $1) AND coalesce(last_active_at, created_at) < $1`
	return m.removeRows(ctx, sessions, "created_at", `created_at < $1 AND (erased_at IS NULL OR erased_at < $1) AND `+ended, stamp(instant), instant.UnixMilli())
}

// PruneTombstones removes what [Hard] has left of objects whose deletion and erasure are 100 days ago, and with them what belonged to them
// and was erased. Rows that another table refers to, or a trigger keeps, stay. It returns how many objects it removed, also beside an
// error, which is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) PruneTombstones(ctx context.Context) (removed int64, err error) {
	instant := time.Now().Add(-tombstoneTime)
	for _, k := range slices.Backward(kinds) { // children before parents
		n, err := m.removeRows(ctx, k, "deleted_at", `deleted_at < $1 AND erased_at < $1 AND data IS NULL AND _dead_at < $2`, stamp(instant), instant.UnixMilli())
		if removed += n; err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// oldRow is a row that may be removed, and the instant by which it is old.
type oldRow struct {
	ID string    `db:"id"`
	At time.Time `db:"at"`
}

// removeRows removes the rows of a kind that meet a condition, each in a transaction of its own, in the order of a column.
func (m *Mirror) removeRows(ctx context.Context, k *kind, by, condition string, args ...any) (removed int64, err error) {
	query := fmt.Sprintf(`SELECT id, %[2]s AS at FROM {%[1]s} WHERE %[3]s AND (%[2]s, id) > ($3, $4) ORDER BY %[2]s, id LIMIT %[4]d`,
		k.name, by, condition, pruneBatch)
	for last := (oldRow{At: time.UnixMilli(0)}); ; {
		var rows []oldRow
		if err := m.db.SelectContext(ctx, &rows, m.SQL(query), append(slices.Clone(args), stamp(last.At), last.ID)...); err != nil {
			return removed, fmt.Errorf("looking for old %s: %w", k.name, unavailable(err))
		}
		for _, r := range rows {
			err := m.inTransaction(ctx, func(tx *sqlx.Tx) error { return m.removeRow(ctx, tx, k, r.ID, condition, args) })
			switch {
			case err == nil:
				removed++
			case !errors.Is(err, errStays) && diagnose(err) == outage: // any other error is this row's own, and the others need not stay for it
				return removed, fmt.Errorf("removing old %s: %w", k.name, unavailable(err))
			}
		}
		if len(rows) < pruneBatch {
			return removed, nil
		}
		last = rows[len(rows)-1]
	}
}

// errStays means that a row has still to stay.
var errStays = errors.New("the row stays")

// removeRow removes a row together with the erased rows that belong to it, and notes what is forgotten with them. The error is errStays if
// the row does not meet the condition any more, or if what belongs to it is not erased.
func (m *Mirror) removeRow(ctx context.Context, tx *sqlx.Tx, k *kind, id, condition string, args []any) error {
	until := Never
	for _, child := range kinds {
		for _, p := range child.parents {
			if p.kind != k.name {
				continue
			}
			of := p.column + ` = $1`
			last, _, err := m.remove(ctx, tx, child, of+` AND erased_at IS NOT NULL`, id)
			if err != nil {
				return err
			}
			until = max(until, last)
			var left int64
			if err := tx.GetContext(ctx, &left, m.SQL(`SELECT count(*) FROM {`+string(child.name)+`} WHERE `+of), id); err != nil {
				return err
			}
			if left > 0 {
				return errStays
			}
		}
	}
	last, n, err := m.remove(ctx, tx, k, condition+` AND id = $3`, append(slices.Clone(args), id)...)
	if err != nil {
		return err
	}
	if n == 0 {
		return errStays
	}
	return m.noteForgotten(ctx, tx, max(until, last))
}

// remove removes rows with their changes: were they told of once more, their versions would begin anew. It returns until when nothing that
// is told of them may be taken for news, and how many they were.
func (m *Mirror) remove(ctx context.Context, tx *sqlx.Tx, k *kind, condition string, args ...any) (until int64, n int, err error) {
	var rows []struct {
		ID    string `db:"id"`
		Until int64  `db:"until"`
	}
	err = tx.SelectContext(ctx, &rows, m.SQL(`DELETE FROM {`+string(k.name)+`} WHERE `+condition+` RETURNING id,
CASE WHEN erased_at IS NULL THEN _dead_at ELSE `+m.dialect.greatest("_alive_at", "_dead_at")+` END AS until`), args...)
	if err != nil || len(rows) == 0 {
		return Never, 0, err
	}
	until = Never
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i], until = r.ID, max(until, r.Until)
	}
	parameter, err := json.Marshal(ids)
	if err != nil {
		return Never, 0, err
	}
	_, err = tx.ExecContext(ctx, m.SQL(removing(k, m.dialect.among())), string(parameter))
	return until, len(rows), err
}

// forgotten is the value of the key of that name of the state table: no tombstone that was removed was dead as of a later instant, nor was
// what was removed with one heard of later, in Unix milliseconds.
type forgotten struct {
	Until int64 `json:"until"`
}

// noteForgotten notes that a tombstone was removed. It holds the lock of the feed, so that what others note meanwhile is not lost.
func (m *Mirror) noteForgotten(ctx context.Context, tx *sqlx.Tx, until int64) error {
	if err := m.lockFeed(ctx, tx); err != nil {
		return err
	}
	f := forgotten{Until: Never}
	if _, err := m.readState(ctx, tx, "forgotten", &f); err != nil || f.Until >= until {
		return err
	}
	return m.WriteStateIn(ctx, tx, "forgotten", forgotten{Until: until})
}

// doubt settles hearsay about unknown objects that is as old as a tombstone which was removed: it may speak of an object whose
// deletion is forgotten. A read decides.
func (m *Mirror) doubt(ctx context.Context, pieces []*piece, now time.Time) error {
	for _, p := range pieces {
		if p.final || p.Source != Webhook || p.object == nil || p.At > now.Add(-tombstoneTime).UnixMilli() {
			continue
		}
		f := forgotten{Until: Never}
		if _, err := m.ReadState(ctx, "forgotten", &f); err != nil {
			return err
		}
		if max(p.At, p.object.updated) > f.Until {
			continue
		}
		known, _, err := m.Find(ctx, p.kind.name, p.ID)
		if err != nil {
			return err
		}
		if !known {
			p.settle(Result{Outcome: Stale, Conflict: true, Reason: "it is as old as deletions that are forgotten by now"})
		}
	}
	return nil
}
