package feed

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/lease"
)

// position is how far a relay is: its row of the table of relays, under a term of its lease.
type position struct {
	mirror   *clerksync.Mirror
	name     string
	term     int64
	seq      int64     // of the last change that the receiver took
	at       time.Time // when that change was written, once it is not the row's: what tells it from another one of its seq
	savedSeq int64     // what the row says
	savedAt  time.Time
}

// claim makes a relay's position this term's own, and returns it. The error is [lease.ErrLost] if a later term has done so already.
func claim(ctx context.Context, m *clerksync.Mirror, name string, term int64) (position, error) {
	p := position{mirror: m, name: name, term: term}
	err := m.DB().GetContext(ctx, &p.seq, m.SQL(`INSERT INTO {relays} AS r (name, seq, term, moved_at) VALUES ($1, 0, $2, {now})
ON CONFLICT (name) DO UPDATE SET term = excluded.term WHERE r.term <= excluded.term RETURNING seq`), name, term)
	if errors.Is(err, sql.ErrNoRows) {
		err = lease.ErrLost
	}
	if err != nil {
		return position{}, fmt.Errorf("reading a relay's position: %w", err)
	}
	p.savedSeq, p.savedAt = p.seq, time.Now()
	return p, nil
}

// look reads the row again. Where it is not as it was written, or the change is gone that the receiver took last, the database has fallen
// back to an older state and gives the numbers since then a second time: the row is right, then, and what comes after it is to be
// delivered. That change may also have been removed with its object, which looks the same: then a second's changes come twice. Where the
// newest change has a smaller number than the row and was written after it, the numbers alone have fallen back, and the row with them. The
// error is [lease.ErrLost] if a later term has claimed the position.
func (p *position) look(ctx context.Context) error {
	var row struct {
		Seq      int64      `db:"seq"`
		MovedAt  time.Time  `db:"moved_at"`
		At       *time.Time `db:"at"`
		Newest   *int64     `db:"newest"`
		NewestAt *time.Time `db:"newest_at"`
	}
	err := p.mirror.DB().GetContext(ctx, &row, p.mirror.SQL(`SELECT r.seq, r.moved_at, c.created_at AS at, n.seq AS newest, n.created_at AS newest_at
FROM {relays} AS r LEFT JOIN {changes} AS c ON c.seq = $1 LEFT JOIN {changes} AS n ON n.seq = (SELECT max(seq) FROM {changes})
WHERE r.name = $2 AND r.term = $3`), p.seq, p.name, p.term)
	if errors.Is(err, sql.ErrNoRows) {
		err = lease.ErrLost
	}
	if err != nil {
		return fmt.Errorf("reading a relay's position: %w", err)
	}
	if row.Seq != p.savedSeq || p.seq != p.savedSeq && (row.At == nil || !row.At.Equal(p.at)) {
		p.seq, p.savedSeq = row.Seq, row.Seq
	}
	if row.Newest != nil && *row.Newest < row.Seq && row.NewestAt.After(row.MovedAt) {
		return p.back(ctx, row.MovedAt)
	}
	return nil
}

// apart is how far the clocks of two database servers, one of which took over from the other, may be from each other.
const apart = time.Minute

// back moves the position to the last change that was written before the position was.
func (p *position) back(ctx context.Context, moved time.Time) error {
	err := p.mirror.DB().GetContext(ctx, &p.seq, p.mirror.SQL(`SELECT coalesce((SELECT seq FROM {changes} WHERE created_at < $1 ORDER BY seq DESC LIMIT 1), 0)`),
		moved.Add(-apart).UTC().Format("2006-01-02T15:04:05.000Z"))
	if err != nil {
		return fmt.Errorf("looking for a relay's position: %w", err)
	}
	return p.save(ctx)
}

// save writes the position over the one that was written before. The error is [lease.ErrLost] if that is not there any more.
func (p *position) save(ctx context.Context) error {
	result, err := p.mirror.DB().ExecContext(ctx, p.mirror.SQL(
		`UPDATE {relays} SET seq = $1, moved_at = {now} WHERE name = $2 AND term = $3 AND seq = $4`), p.seq, p.name, p.term, p.savedSeq)
	if err != nil {
		return fmt.Errorf("writing a relay's position: %w", err)
	}
	if n, err := result.RowsAffected(); err == nil && n == 0 {
		return fmt.Errorf("writing a relay's position: %w", lease.ErrLost)
	}
	p.savedSeq, p.savedAt = p.seq, time.Now()
	return nil
}

// Position tells how far a relay is.
type Position struct {
	Relay  string    `db:"name"`
	Seq    int64     `db:"seq"` // of the last change that its receiver took
	Oldest time.Time // when the oldest change was written that the receiver did not take yet; zero if it took all
}

// Positions returns how far the relays of a mirror are that ever ran, by name. The error is clerksync.ErrUnavailable where the database
// cannot answer.
func Positions(ctx context.Context, m *clerksync.Mirror) ([]Position, error) {
	var all []Position
	if err := m.DB().SelectContext(ctx, &all, m.SQL(`SELECT name, seq FROM {relays} ORDER BY name`)); err != nil {
		return nil, fmt.Errorf("reading the relays' positions: %w: %w", clerksync.ErrUnavailable, err)
	}
	for i := range all {
		next, err := m.Changes(ctx, all[i].Seq, 1)
		if err != nil {
			return nil, err
		}
		if len(next) > 0 {
			all[i].Oldest = next[0].WrittenAt
		}
	}
	return all, nil
}
