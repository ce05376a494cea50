package sync

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Changes returns the changes that follow a seq in the feed, in its order, at most limit of them. A reader that remembers the last
// seq it saw misses nothing, since that is the order of commits. The error is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Changes(ctx context.Context, after int64, limit int) ([]Change, error) {
	return m.changes(ctx, `WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
}

// ChangesOf returns the changes of one object that the feed still has, the last first, at most limit of them, and no remarks on a
// sign-in. The error is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) ChangesOf(ctx context.Context, k Kind, id string, limit int) ([]Change, error) {
	return m.changes(ctx, `WHERE resource = $1 AND object_id = $2 AND op <> 'suspicious' ORDER BY version DESC LIMIT $3`, string(k), plain(id), limit)
}

func (m *Mirror) changes(ctx context.Context, which string, args ...any) ([]Change, error) {
	var rows []struct {
		Seq        int64          `db:"seq"`
		Resource   Kind           `db:"resource"`
		ObjectID   string         `db:"object_id"`
		Op         Outcome        `db:"op"`
		Version    int64          `db:"version"`
		Initial    bool           `db:"initial"`
		OccurredAt *time.Time     `db:"occurred_at"`
		Source     Source         `db:"source"`
		Reasons    sql.NullString `db:"reasons"`
		CreatedAt  time.Time      `db:"created_at"`
	}
	err := m.db.SelectContext(ctx, &rows, m.SQL(`SELECT seq, resource, object_id, op, version, initial, occurred_at,
coalesce(source, '') AS source, reasons, created_at FROM {changes} `+which), args...)
	if err != nil {
		return nil, fmt.Errorf("reading the change feed: %w", unavailable(err))
	}
	changes := make([]Change, len(rows))
	for i, r := range rows {
		c := Change{
			Seq: r.Seq, WrittenAt: r.CreatedAt.UTC(), Kind: r.Resource, ObjectID: r.ObjectID, Op: r.Op, Version: r.Version,
			Initial: r.Initial, OccurredAt: r.CreatedAt.UTC(), Source: r.Source,
		}
		if r.OccurredAt != nil {
			c.OccurredAt = r.OccurredAt.UTC()
		}
		if r.Reasons.Valid {
			if err := json.Unmarshal([]byte(r.Reasons.String), &c.Reasons); err != nil {
				return nil, fmt.Errorf("reading the reasons of change %d: %w", r.Seq, err)
			}
		}
		changes[i] = c
	}
	return changes, nil
}

// FeedEnds returns the seq of the oldest change that the feed still has and that of the last one. If it has none, last is 0, and
// oldest follows the last change that is known to be gone, or is 1. The error is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) FeedEnds(ctx context.Context) (oldest, last int64, err error) {
	err = m.db.QueryRowxContext(ctx, m.SQL(`SELECT coalesce((SELECT min(seq) FROM {changes}), `+m.lastGone()+` + 1, 1),
(SELECT coalesce(max(seq), 0) FROM {changes})`)).Scan(&oldest, &last)
	if err != nil {
		return 0, 0, fmt.Errorf("looking for the ends of the change feed: %w", unavailable(err))
	}
	return oldest, last, nil
}

// lastGone is an SQL expression: the seq of the last change of a feed that has none any more, null if none is known. PostgreSQL's daemon
// may not read the sequence, and has a relay that passes over every change.
func (m *Mirror) lastGone() string {
	if m.dialect.postgres {
		return `greatest((SELECT max(seq) FROM {relays}),
(SELECT last_value FROM pg_sequences WHERE schemaname = '` + m.dialect.schema + `' AND sequencename = 'changes_seq_seq'))`
	}
	return `(SELECT seq FROM sqlite_sequence WHERE name = '` + m.dialect.table("changes") + `')`
}

// Objects returns what the mirror keeps of Clerk's JSON of objects of a kind, by id. Those that are deleted or erased, and those that
// belong to a deleted one, are left out. The error is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Objects(ctx context.Context, k Kind, ids ...string) (map[string][]byte, error) {
	d, known := describe(k)
	if !known {
		return nil, fmt.Errorf("reading objects of %q: no such kind", k)
	}
	var rows []struct {
		ID   string `db:"id"`
		Data []byte `db:"data"`
	}
	query := `SELECT id, data FROM {` + string(k) + `} AS t WHERE id IN ` + m.dialect.among() + ` AND deleted_at IS NULL AND data IS NOT NULL AND NOT ` + d.orphaned()
	if err := m.selectAmong(ctx, m.db, &rows, query, plainAll(ids)); err != nil {
		return nil, fmt.Errorf("reading objects: %w", unavailable(err))
	}
	objects := make(map[string][]byte, len(rows))
	for _, r := range rows {
		objects[r.ID] = r.Data
	}
	return objects, nil
}

// Notifies reports whether the mirror's database has LISTEN and NOTIFY.
func (m *Mirror) Notifies() bool { return m.dialect.postgres }
