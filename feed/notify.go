package feed

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"
)

// NotifyBatch is a good [Relay.Batch] for [NewNotify]: that many notifications cost little more than one.
const NotifyBatch = pageSize

// notification is the payload of a NOTIFY: ids alone, far below the 8000 bytes that PostgreSQL takes.
type notification struct {
	Seq      int64             `json:"seq"`
	Instance string            `json:"instance"`
	Resource clerksync.Kind    `json:"resource"`
	ID       string            `json:"id"`
	Op       clerksync.Outcome `json:"op"`
	Version  int64             `json:"version"`
}

type notifyReceiver struct {
	db *sqlx.DB
}

// NewNotify returns a receiver that notifies every session of the mirror's PostgreSQL database which did LISTEN clerksync, after the
// commit, so that no writer pays for it. The payload is JSON: seq, instance, resource, id, op and version. PostgreSQL keeps nothing for
// those who do not listen.
func NewNotify(m *clerksync.Mirror) (Receiver, error) {
	if !m.Notifies() {
		return nil, errors.New("making a relay of notifications: only PostgreSQL has LISTEN")
	}
	return &notifyReceiver{m.DB()}, nil
}

// Send implements [Receiver].
func (r *notifyReceiver) Send(ctx context.Context, messages ...Message) error {
	payloads := make([]string, len(messages))
	for i, m := range messages {
		c := m.Change
		text, err := json.Marshal(notification{c.Seq, m.Instance, c.Kind, c.ObjectID, c.Op, c.Version})
		if err != nil {
			return fmt.Errorf("notifying: %w", err)
		}
		payloads[i] = string(text)
	}
	parameter, err := json.Marshal(payloads)
	if err != nil {
		return fmt.Errorf("notifying: %w", err)
	}
	_, err = r.db.ExecContext(ctx, `SELECT pg_notify('clerksync', p) FROM jsonb_array_elements_text(cast($1 as jsonb)) AS p`, string(parameter))
	if err != nil {
		return fmt.Errorf("notifying: %w", err)
	}
	return nil
}
