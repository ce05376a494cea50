package sync

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
)

// Logged is an event as the log keeps it: a row of the events table, with the size of its body instead of the body. What a pass
// read and could not store is kept beside the events, with the type "read" and an id that begins with "read:".
type Logged struct {
	ID         string     `db:"id"` // the verified message id
	Type       string     `db:"type"`
	ObjectID   string     `db:"object_id"`   // empty if the event tells none
	InstanceID string     `db:"instance_id"` // empty if the event tells none
	OccurredAt *time.Time `db:"occurred_at"` // by Clerk's clock; nil if the event does not tell it
	ReceivedAt time.Time  `db:"received_at"` // the first time, or when it began to wait for what it waits for
	Outcome    Outcome    `db:"outcome"`
	Error      string     `db:"error"`    // why it is quarantined or deferred; names members and rules, never values
	Attempts   int        `db:"attempts"` // how often it was received or tried
	DueAt      *time.Time `db:"due_at"`   // when the event is tried again by itself; nil if it is not
	BodySize   int64      `db:"body_size"`
}

// LogQuery picks events from the log. An empty field picks all.
type LogQuery struct {
	IDs      []string // of messages
	Type     string   // such as user.updated; * stands for any text, and the case of letters makes no difference
	ObjectID string   // of the object that the event speaks of
	Outcome  Outcome
	Held     bool      // only deletions that wait for approval; see [Logged.Held]
	Since    time.Time // received then or later
	Until    time.Time // received before
	Limit    int       // how many at most; zero means 100
}

const loggedColumns = `id, coalesce(type, '') AS type, coalesce(object_id, '') AS object_id, coalesce(instance_id, '') AS instance_id,
occurred_at, received_at, outcome, coalesce(error, '') AS error, attempts, due_at, coalesce(length(payload), 0) AS body_size`

// Log returns events that were received and verified, those received last first. The error is [ErrUnavailable] where the database
// cannot answer.
func (m *Mirror) Log(ctx context.Context, q LogQuery) ([]Logged, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	conditions, args := q.where()
	return m.log(ctx, conditions, limit, args...)
}

func (m *Mirror) log(ctx context.Context, conditions string, limit int, args ...any) ([]Logged, error) {
	var events []Logged
	err := m.db.SelectContext(ctx, &events, m.SQL(`SELECT `+loggedColumns+` FROM {events}`+conditions+
		fmt.Sprintf(` ORDER BY received_at DESC, id DESC LIMIT %d`, limit)), args...)
	if err != nil {
		return nil, fmt.Errorf("reading the log of events: %w", unavailable(err))
	}
	for i := range events {
		e := &events[i]
		e.ReceivedAt = e.ReceivedAt.UTC()
		for _, t := range []*time.Time{e.OccurredAt, e.DueAt} {
			if t != nil {
				*t = t.UTC()
			}
		}
	}
	return events, nil
}

func (q LogQuery) where() (conditions string, args []any) {
	var all []string
	add := func(condition string, arg any) {
		args = append(args, arg)
		all = append(all, fmt.Sprintf(condition, len(args)))
	}
	if len(q.IDs) > 0 {
		marks := make([]string, len(q.IDs))
		for i, id := range q.IDs {
			args = append(args, plain(id))
			marks[i] = fmt.Sprintf("$%d", len(args))
		}
		all = append(all, "id IN ("+strings.Join(marks, ", ")+")")
	}
	if q.Type != "" {
		add(`lower(type) LIKE $%d ESCAPE '!'`, typePattern.Replace(strings.ToLower(plain(q.Type))))
	}
	if q.ObjectID != "" {
		add(`object_id = $%d`, plain(q.ObjectID))
	}
	if q.Outcome != "" {
		add(`outcome = $%d`, string(q.Outcome))
	}
	if q.Held {
		add(`outcome = 'quarantined' AND error = $%d`, heldReason)
	}
	if !q.Since.IsZero() {
		add(`received_at >= $%d`, stamp(q.Since))
	}
	if !q.Until.IsZero() {
		add(`received_at < $%d`, stamp(q.Until))
	}
	if len(all) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(all, " AND "), args
}

var typePattern = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_", "*", "%")

// Drop gives up an event that is quarantined or deferred: it stays in the log as ignored, without its body. What was kept of a read
// goes altogether, so that the next read which cannot be stored shows again. Drop reports whether the event was waiting. Giving up
// a held deletion is recorded in the audit log.
func (m *Mirror) Drop(ctx context.Context, id string) (bool, error) {
	id = plain(id)
	const waiting = ` WHERE id = $1 AND outcome IN ('quarantined', 'deferred')`
	var dropped int64
	err := m.inTransaction(ctx, func(tx *sqlx.Tx) error {
		dropped = 0
		for _, statement := range []string{
			`DELETE FROM {events}` + waiting + ` AND type = 'read'`,
			`UPDATE {events} SET outcome = 'ignored', payload = NULL, due_at = NULL` + waiting,
		} {
			n, err := m.affect(ctx, tx, statement, id)
			if err != nil {
				return err
			}
			dropped += n
		}
		if dropped == 0 {
			return nil
		}
		return m.recordDrop(ctx, tx, id)
	})
	if err != nil {
		return false, fmt.Errorf("dropping an event: %w", unavailable(err))
	}
	return dropped > 0, nil
}

const (
	bodyRetention = 7 * 24 * time.Hour // of events in quarantine; after that, reading the object again tells more. Held ones say little
	pruneBatch    = 1000               // rows a transaction, so that none is long
)

// Prune removes events that were received longer ago than retention; zero keeps them for ever. Events that are quarantined or
// deferred stay, but the bodies of the quarantined go after 7 days, unless they are held for approval. While no instance is pinned, the
// last event applied from each instance stays, too: it tells whose mirror this is. Any number of processes may prune at once. Prune
// returns how many events it removed, also beside an error, which is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Prune(ctx context.Context, retention time.Duration) (removed int64, err error) {
	_, err = m.inBatches(ctx, `UPDATE {events} SET payload = NULL, due_at = NULL WHERE id IN (SELECT id FROM {events}
WHERE outcome = 'quarantined' AND payload IS NOT NULL AND coalesce(error, '') <> '`+heldReason+`' AND received_at < $1`, bodyRetention)
	if err != nil || retention <= 0 {
		return 0, err
	}
	pinned, err := m.Pinned(ctx)
	if err != nil {
		return 0, fmt.Errorf("pruning the log of events: %w", err)
	}
	statement := `DELETE FROM {events} WHERE id IN (SELECT id FROM {events}
WHERE outcome NOT IN ('quarantined', 'deferred') AND received_at < $1`
	if pinned == "" {
		statement += ` AND id NOT IN (SELECT max(id) FROM {events}
WHERE instance_id IS NOT NULL AND outcome NOT IN ('ignored', 'quarantined', 'deferred') GROUP BY instance_id)`
	}
	return m.inBatches(ctx, statement, retention)
}

// inBatches completes and repeats a statement until it finds no more rows that are older than an age. It passes over rows that
// another transaction holds: waiting for them could end in a deadlock, and the next time is near.
func (m *Mirror) inBatches(ctx context.Context, statement string, age time.Duration) (total int64, err error) {
	statement += fmt.Sprintf(` ORDER BY received_at LIMIT %d`, pruneBatch)
	if m.dialect.postgres {
		statement += ` FOR UPDATE SKIP LOCKED`
	}
	before := stamp(time.Now().Add(-age))
	for {
		n, err := m.affect(ctx, m.db, statement+`)`, before)
		if err != nil {
			return total, fmt.Errorf("pruning the log of events: %w", unavailable(err))
		}
		if total += n; n < pruneBatch {
			return total, nil
		}
	}
}
