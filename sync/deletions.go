package sync

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Deletion is one deletion of one object, as the audit log tells it.
type Deletion struct {
	AuditEntry           // of the deletion; its At is when the object was hidden
	RevivedAt  time.Time // when the object became visible again; zero if it has not
	ErasedAt   time.Time // when its personal data was removed; zero if it was not, or only after a later deletion
}

// Deletions yields the deletions that the audit log tells of, since an instant and until another one, that one excluded, in the
// order of commits. What was erased without having been deleted is among them: its action is [AuditErased]. A zero instant is no
// bound. Memory does not grow with their number. An error ends it; it is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Deletions(ctx context.Context, since, until time.Time) iter.Seq2[Deletion, error] {
	return func(yield func(Deletion, error) bool) {
		var page []AuditEntry
		tell := func() bool {
			deletions, err := m.fates(ctx, page)
			if err != nil {
				yield(Deletion{}, fmt.Errorf("reading deletions: %w", err))
				return false
			}
			for _, d := range deletions {
				if !yield(d, nil) {
					return false
				}
			}
			page = page[:0]
			return true
		}
		for e, err := range m.Audit(ctx, since, until) {
			if err != nil {
				yield(Deletion{}, err)
				return
			}
			if e.Action == AuditDeleted || e.Action == AuditErased {
				page = append(page, e)
			}
			if len(page) == auditPage && !tell() {
				return
			}
		}
		tell()
	}
}

// fates tells of deletions what became of their objects, and leaves out the erasures that belong to a deletion.
func (m *Mirror) fates(ctx context.Context, page []AuditEntry) (deletions []Deletion, err error) {
	ids := make([]string, len(page))
	for i, e := range page {
		ids[i] = e.ObjectID
	}
	var rows []auditRead
	if err := m.selectAmong(ctx, m.db, &rows, `SELECT seq, at, action, resource, object_id FROM {audit}
WHERE object_id IN `+m.dialect.among()+` AND action IN ('deleted', 'revived', 'erased') ORDER BY seq`, ids); err != nil {
		return nil, unavailable(err)
	}
	histories := map[[2]string][]auditRead{}
	for _, r := range rows {
		of := [2]string{string(r.Resource), r.ObjectID}
		histories[of] = append(histories[of], r)
	}
	for _, e := range page {
		if d, own := fate(e, histories[[2]string{string(e.Kind), e.ObjectID}]); own {
			deletions = append(deletions, d)
		}
	}
	return deletions, nil
}

// fate follows an object's history from a deletion to the next one. own is false for an erasure that belongs to a deletion.
func fate(e AuditEntry, history []auditRead) (d Deletion, own bool) {
	d, own = Deletion{AuditEntry: e}, true
	hidden := false
	for _, r := range history {
		switch {
		case r.Seq < e.Seq:
			hidden = r.Action == AuditDeleted || r.Action == AuditErased && hidden
		case r.Seq == e.Seq && e.Action == AuditErased:
			own, d.ErasedAt = !hidden, e.At
		case r.Seq == e.Seq:
		case r.Action == AuditErased && d.ErasedAt.IsZero():
			d.ErasedAt = r.At.UTC()
		case r.Action == AuditRevived:
			d.RevivedAt = r.At.UTC()
			return d, own
		case r.Action == AuditDeleted:
			return d, own
		}
	}
	return d, own
}
