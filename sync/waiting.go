package sync

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// waitingBatch is how many due events [Mirror.Waiting] returns at most; each may have a body of a mebibyte.
const waitingBatch = 20

// keptQuery selects events that are kept to be applied again, and ownInstance leaves out those of another instance than its parameter.
const (
	keptQuery = `SELECT id, type, coalesce(object_id, '') AS object_id, coalesce(instance_id, '') AS instance_id, occurred_at, received_at, outcome, payload FROM {events}
WHERE outcome IN ('quarantined', 'deferred') AND payload IS NOT NULL AND type <> 'read' AND `
	ownInstance = ` AND (instance_id IS NULL OR instance_id = $1 OR $1 = '')`
)

// alongQuery selects held deletions of what has gone with its parent, in whatever order these are found: sorting would look at all that are
// held each time.
func alongQuery(most int) string {
	return keptQuery + overtaken() + ownInstance + ` LIMIT ` + fmt.Sprint(most)
}

// Waiting returns events that are kept to be applied again, with their bodies. Without ids these are those that are due by the
// database's clock, because they were deferred, or refused by a hook or a constraint of the team's, the earliest first, and deletions that
// are held of what has gone with its parent since, at most 20 of them, less those of another instance than the pinned one; with ids, those
// events that are quarantined or deferred. What was kept of a read is no event: reading again tells more.
// The error is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Waiting(ctx context.Context, ids ...string) ([]Event, error) {
	if len(ids) > 0 {
		parameter, err := json.Marshal(plainAll(ids))
		if err != nil {
			return nil, err
		}
		return m.keptEvents(ctx, keptQuery+`id IN `+m.dialect.among()+` ORDER BY id`, string(parameter))
	}
	pinned, err := m.Pinned(ctx)
	if err != nil {
		return nil, err
	}
	due, err := m.keptEvents(ctx, keptQuery+`(outcome = 'deferred' AND due_at <= {now} OR outcome = 'quarantined' AND due_at <= {now})`+ownInstance+`
ORDER BY due_at, id LIMIT `+fmt.Sprint(waitingBatch), pinned)
	if err != nil || len(due) == waitingBatch {
		return due, err
	}
	along, err := m.keptEvents(ctx, alongQuery(waitingBatch-len(due)), pinned)
	return append(due, along...), err
}

func (m *Mirror) keptEvents(ctx context.Context, query string, parameter string) ([]Event, error) {
	var rows []struct {
		ID         string     `db:"id"`
		Type       string     `db:"type"`
		ObjectID   string     `db:"object_id"`
		InstanceID string     `db:"instance_id"`
		OccurredAt *time.Time `db:"occurred_at"`
		ReceivedAt time.Time  `db:"received_at"`
		Outcome    Outcome    `db:"outcome"`
		Payload    []byte     `db:"payload"`
	}
	if err := m.db.SelectContext(ctx, &rows, m.SQL(query), parameter); err != nil {
		return nil, fmt.Errorf("reading kept events: %w", unavailable(err))
	}
	events := make([]Event, len(rows))
	for i, r := range rows {
		events[i] = Event{ID: r.ID, Type: r.Type, ObjectID: r.ObjectID, InstanceID: r.InstanceID, ReceivedAt: r.ReceivedAt, Body: r.Payload, kept: true}
		if r.Outcome == Deferred {
			events[i].ReceivedAt = time.Now() // whoever refuses it does so for the first time
		}
		if r.OccurredAt != nil {
			events[i].OccurredAt = *r.OccurredAt
		}
	}
	return events, nil
}
