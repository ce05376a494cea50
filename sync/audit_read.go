package sync

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// auditPage is how many rows of the audit log are held in memory.
const auditPage = 1000

// Audit yields the entries of the audit log that were written since an instant and until another one, that one excluded, in the
// order of commits. A zero instant is no bound. It holds no transaction, so it may be stopped at any time. An error ends it; it is
// [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Audit(ctx context.Context, since, until time.Time) iter.Seq2[AuditEntry, error] {
	if until.IsZero() {
		until = time.UnixMilli(1<<47 - 1) // the year 6429
	}
	return func(yield func(AuditEntry, error) bool) {
		for r, err := range m.auditRows(ctx, `at >= $2 AND at < $3`, stamp(since), stamp(until)) {
			if err != nil {
				yield(AuditEntry{}, fmt.Errorf("reading the audit log: %w", err))
				return
			}
			if !yield(r.entry(), nil) {
				return
			}
		}
	}
}

// auditRows yields the rows that meet a condition, whose parameters begin with $2.
func (m *Mirror) auditRows(ctx context.Context, condition string, args ...any) iter.Seq2[auditRead, error] {
	query := m.SQL(`SELECT seq, at, action, resource, object_id, source, event_id, occurred_at, detail, previous, hash FROM {audit}
WHERE seq > $1 AND ` + condition + fmt.Sprintf(` ORDER BY seq LIMIT %d`, auditPage))
	return func(yield func(auditRead, error) bool) {
		for last := int64(0); ; {
			var rows []auditRead
			if err := m.db.SelectContext(ctx, &rows, query, append([]any{last}, args...)...); err != nil {
				yield(auditRead{}, unavailable(err))
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
			if len(rows) < auditPage {
				return
			}
			last = rows[len(rows)-1].Seq
		}
	}
}

// auditRead is a row of the log as the database returns it.
type auditRead struct {
	auditRow
	At         time.Time  `db:"at"`
	OccurredAt *time.Time `db:"occurred_at"`
}

// written returns the row as it was when it was written, if nobody has changed it.
func (r auditRead) written() auditRow {
	w := r.auditRow
	w.At = stamp(r.At)
	if r.OccurredAt != nil {
		w.OccurredAt = stamp(*r.OccurredAt)
	}
	return w
}

func (r auditRead) entry() AuditEntry {
	e := AuditEntry{
		Seq: r.Seq, At: r.At.UTC(), Action: r.Action, Kind: r.Resource, ObjectID: r.ObjectID, Source: r.Source, EventID: r.EventID,
		Detail: r.Detail, Previous: r.Previous, Hash: r.Hash,
	}
	if r.OccurredAt != nil {
		e.OccurredAt = r.OccurredAt.UTC()
	}
	return e
}

// VerifyAudit reads the whole audit log and checks that its rows are those that were written: each one by its hash, none missing
// and none between them. It returns the number of rows and the hash of the last one. Whoever could write to the database could
// also have written the whole log anew; with known, a hash that was noted elsewhere at an earlier time, that shows too. Empty checks
// without one.
//
// The error is [ErrUnavailable] where the database cannot answer; any other says which row is broken first, and how.
func (m *Mirror) VerifyAudit(ctx context.Context, known string) (rows int64, last string, err error) {
	var end auditEnd // before the rows, to which others may add meanwhile
	if _, err := m.ReadState(ctx, "audit", &end); err != nil {
		return 0, "", fmt.Errorf("verifying the audit log: %w", err)
	}
	last, met := noHash, known == "" || known == noHash
	for r, err := range m.auditRows(ctx, `true`) {
		if err != nil {
			return rows, last, fmt.Errorf("verifying the audit log: %w", err)
		}
		switch w := r.written(); {
		case w.Seq != rows+1:
			return rows, last, fmt.Errorf("row %d of the audit log is missing", rows+1)
		case w.Previous != last:
			return rows, last, fmt.Errorf("row %d of the audit log does not follow the row before it: one of the two was replaced", w.Seq)
		case w.Hash != w.digest():
			return rows, last, fmt.Errorf("row %d of the audit log was changed", w.Seq)
		case w.Seq == end.Seq && w.Hash != end.Hash:
			return rows, last, fmt.Errorf("row %d of the audit log was replaced, and maybe rows before it", w.Seq)
		}
		rows, last = r.Seq, r.Hash
		met = met || last == known
	}
	if rows < end.Seq {
		return rows, last, fmt.Errorf("row %d of the audit log is missing, and so are all after it, up to row %d", rows+1, end.Seq)
	}
	end = auditEnd{} // as it is now
	if _, err := m.ReadState(ctx, "audit", &end); err != nil {
		return rows, last, fmt.Errorf("verifying the audit log: %w", err)
	}
	switch {
	case rows > end.Seq:
		return rows, last, fmt.Errorf("the state table does not tell the end of the audit log any more: row %d may be missing", rows+1)
	case !met:
		return rows, last, fmt.Errorf("no row of the audit log has the hash %.64q: the log was replaced, or the hash is another one's", known)
	}
	return rows, last, nil
}
