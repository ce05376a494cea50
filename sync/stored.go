package sync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Stored is all that the mirror keeps of one object, be it visible, hidden or erased.
type Stored struct {
	Kind       Kind
	ID         string     `db:"id"`
	Data       []byte     `db:"data"`       // what is kept of Clerk's JSON; nil of what is erased, or was never seen alive
	Unstorable string     `db:"unstorable"` // names what of it the database could not hold
	Source     Source     `db:"source"`     // of the evidence that wrote it last
	SyncedAt   time.Time  `db:"synced_at"`  // when that was
	DeletedAt  *time.Time `db:"deleted_at"` // nil of a visible object
	ErasedAt   *time.Time `db:"erased_at"`
	Version    int64      `db:"_version"` // how many visible changes there were
	// What the merge rule knows, in Unix milliseconds, or [Never].
	Alive   int64 `db:"_alive_at"`   // the latest instant at which the object provably existed
	Updated int64 `db:"_updated_at"` // Clerk's updated_at of the data
	Seen    int64 `db:"_seen_at"`    // when the data was told or read
	Dead    int64 `db:"_dead_at"`    // the object is gone as of this instant
}

// Stored reads what the mirror keeps of one object. It reports false for one that it does not know. The error is [ErrUnavailable]
// where the database cannot answer.
func (m *Mirror) Stored(ctx context.Context, k Kind, id string) (Stored, bool, error) {
	if _, known := describe(k); !known {
		return Stored{}, false, fmt.Errorf("reading an object of %q: no such kind", k)
	}
	var s Stored
	err := m.db.GetContext(ctx, &s, m.SQL(`SELECT id, data, coalesce(unstorable, '') AS unstorable, source, synced_at, deleted_at, erased_at,
_version, _alive_at, _updated_at, _seen_at, _dead_at FROM {`+string(k)+`} WHERE id = $1`), plain(id))
	if errors.Is(err, sql.ErrNoRows) {
		return Stored{}, false, nil
	}
	if err != nil {
		return Stored{}, false, fmt.Errorf("reading an object of %s: %w", k, unavailable(err))
	}
	s.Kind, s.SyncedAt = k, s.SyncedAt.UTC()
	return s, true, nil
}

// Hidden is a deleted object that is not erased yet: [Reader.Get] and [Mirror.Apply] bring it back whole, if Clerk has it after all.
type Hidden struct {
	Kind      Kind
	ID        string    `db:"id"`
	DeletedAt time.Time `db:"deleted_at"`
	Source    Source    `db:"source"` // of the evidence that it is gone
}

// Hidden returns deleted objects that are not erased yet, those deleted last first, at most limit of them. The error is
// [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Hidden(ctx context.Context, limit int) ([]Hidden, error) {
	var all []Hidden
	for _, k := range kinds {
		if !m.Mirrors(k.name) {
			continue
		}
		var some []Hidden
		err := m.db.SelectContext(ctx, &some, m.SQL(`SELECT id, deleted_at, source FROM {`+string(k.name)+`}
WHERE deleted_at IS NOT NULL AND erased_at IS NULL ORDER BY deleted_at DESC LIMIT $1`), limit)
		if err != nil {
			return nil, fmt.Errorf("listing deleted objects of %s: %w", k.name, unavailable(err))
		}
		for _, h := range some {
			h.Kind, h.DeletedAt = k.name, h.DeletedAt.UTC()
			all = append(all, h)
		}
	}
	slices.SortStableFunc(all, func(a, b Hidden) int { return b.DeletedAt.Compare(a.DeletedAt) })
	return all[:min(limit, len(all))], nil
}

// AuditOf returns what the audit log tells of one object, the last entry first. The error is [ErrUnavailable] where the database
// cannot answer.
func (m *Mirror) AuditOf(ctx context.Context, k Kind, id string) (entries []AuditEntry, err error) {
	for r, err := range m.auditRows(ctx, `object_id = $2 AND resource = $3`, plain(id), string(k)) {
		if err != nil {
			return nil, fmt.Errorf("reading the audit log of an object: %w", err)
		}
		entries = append(entries, r.entry())
	}
	slices.Reverse(entries)
	return entries, nil
}
