package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"
)

// eventRow is a row of the events statement's parameter.
type eventRow struct {
	ID         string  `json:"id"`
	Type       string  `json:"type"`
	ObjectID   *string `json:"object_id,omitzero"`
	InstanceID *string `json:"instance_id,omitzero"`
	OccurredAt *string `json:"occurred_at,omitzero"`
	ReceivedAt string  `json:"received_at"`
	Outcome    Outcome `json:"outcome"`
	Error      *string `json:"error,omitzero"`
	Attempts   int     `json:"attempts"`
	Payload    *string `json:"payload,omitzero"`
	DueAt      *string `json:"due_at,omitzero"`
}

// keepEvents writes the events rows of a commit. An event's outcome is that of its first piece. Evidence of a read has no event,
// unless it is quarantined: then it gets one, so that an operator finds it where all quarantine is. It reports whether there was any.
func (m *Mirror) keepEvents(ctx context.Context, tx *sqlx.Tx, pieces []*piece) (kept bool, err error) {
	byID := map[string]*eventRow{}
	bodies := map[string][]byte{}
	events := map[*Event]bool{}
	for _, p := range pieces {
		if p.quiet() || p.Event == nil && p.result.Outcome != Quarantined {
			continue
		}
		event := p.event()
		if events[event] {
			continue
		}
		events[event] = true
		if row := byID[event.ID]; row != nil {
			row.Attempts++
			continue
		}
		byID[event.ID], bodies[event.ID] = m.newEventRow(event, p), event.Body
	}
	if len(byID) == 0 {
		return false, nil
	}
	rows := make([]*eventRow, 0, len(byID))
	for _, row := range byID {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b *eventRow) int { return strings.Compare(a.ID, b.ID) })
	ignored, err := m.forget(ctx, tx, rows, bodies)
	if err != nil {
		return false, err
	}
	for _, p := range pieces {
		if p.final && !p.quiet() && ignored[p.event().ID] {
			p.settle(Result{Outcome: Ignored, Reason: erasedReason})
		}
	}
	rows = slices.DeleteFunc(rows, func(r *eventRow) bool { return r.Type == readType && ignored[r.ID] })
	parameter, err := json.Marshal(rows)
	if err != nil {
		return false, err
	}
	return true, m.execute(ctx, tx, m.statements.events, parameter)
}

// readType is the type of the rows that stand for reads.
const readType = "read"

// event returns the piece's event, or one that stands for a read that is quarantined.
func (p *piece) event() *Event {
	if p.Event != nil {
		return p.Event
	}
	name := p.ID
	if name == "" { // the object does not even tell its id, so its bytes name it
		sum := sha256.Sum256(p.Object)
		name = hex.EncodeToString(sum[:8])
	}
	return &Event{
		ID: "read:" + string(p.Kind) + ":" + name, Type: readType, ObjectID: p.ID,
		OccurredAt: time.UnixMilli(p.At), Body: p.Object,
	}
}

func (m *Mirror) newEventRow(e *Event, p *piece) *eventRow {
	received := e.ReceivedAt
	if received.IsZero() {
		received = time.Now()
	}
	row := &eventRow{
		ID: e.ID, Type: plain(e.Type), ObjectID: optional(plain(e.ObjectID)), InstanceID: optional(plain(e.InstanceID)),
		ReceivedAt: stamp(received), Outcome: p.result.Outcome, Error: optional(p.result.Reason), Attempts: 1,
	}
	if s, ok := stampMilli(e.OccurredAt.UnixMilli()); ok && !e.OccurredAt.IsZero() {
		row.OccurredAt = &s
	}
	row.Payload = optional(hex.EncodeToString(m.content(e, p)))
	if p.result.Outcome == Deferred {
		row.DueAt = optional(stamp(p.due))
	}
	return row
}

// plain makes a text from outside storable: no database takes a NUL.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func joinNames(names []string) string { return plain(strings.Join(names, ",")) }

// changeRow is a row of the changes statement's parameter.
type changeRow struct {
	Resource   Kind     `json:"resource"`
	ObjectID   string   `json:"object_id"`
	Op         Outcome  `json:"op"`
	Version    int64    `json:"version"`
	Initial    bool     `json:"initial"`
	OccurredAt string   `json:"occurred_at"`
	Source     Source   `json:"source"`
	Reasons    []string `json:"reasons,omitempty"`
}

// feed appends a commit's changes, last of all: the lock before it is held until the commit and no longer than that, and makes
// seq the order of commit, so that a relay that remembers the last seq it saw misses nothing.
func (m *Mirror) feed(ctx context.Context, tx *sqlx.Tx, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	rows := make([]changeRow, len(changes))
	for i, c := range changes {
		rows[i] = changeRow{c.Kind, c.ObjectID, c.Op, c.Version, c.Initial, stamp(c.OccurredAt), c.Source, c.Reasons}
	}
	parameter, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return m.execute(ctx, tx, m.statements.changes, parameter)
}
