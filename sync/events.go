package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
)

// eventRow is a row of the events statement's parameter. What is empty is null.
type eventRow struct {
	id, kind, objectID, instanceID string
	occurredAt, receivedAt, dueAt  string
	outcome                        Outcome
	reason                         string
	attempts                       int64
	payload                        []byte
}

func appendEvent(dst []byte, r *eventRow) []byte {
	dst = appendText(append(dst, `{"id":`...), r.id)
	dst = appendString(dst, "type", r.kind)
	dst = appendOptional(dst, "object_id", r.objectID)
	dst = appendOptional(dst, "instance_id", r.instanceID)
	dst = appendOptional(dst, "occurred_at", r.occurredAt)
	dst = appendString(dst, "received_at", r.receivedAt)
	dst = appendString(dst, "outcome", string(r.outcome))
	dst = appendOptional(dst, "error", r.reason)
	dst = appendInt(dst, "attempts", r.attempts)
	if len(r.payload) > 0 {
		dst = append(hex.AppendEncode(append(dst, `,"payload":"`...), r.payload), '"')
	}
	return append(appendOptional(dst, "due_at", r.dueAt), '}')
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
			row.attempts++
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
	slices.SortFunc(rows, func(a, b *eventRow) int { return strings.Compare(a.id, b.id) })
	ignored, err := m.forget(ctx, tx, rows, bodies)
	if err != nil {
		return false, err
	}
	for _, p := range pieces {
		if p.final && !p.quiet() && ignored[p.event().ID] {
			p.settle(Result{Outcome: Ignored, Reason: erasedReason})
		}
	}
	rows = slices.DeleteFunc(rows, func(r *eventRow) bool { return r.kind == readType && ignored[r.id] })
	return true, writeRows(ctx, m, tx, m.statements.events, eventColumns, rows, appendEvent, finish)
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
		id: e.ID, kind: plain(e.Type), objectID: plain(e.ObjectID), instanceID: plain(e.InstanceID),
		receivedAt: stamp(received), outcome: p.result.Outcome, reason: p.result.Reason, attempts: 1, payload: m.content(e, p),
	}
	if s, ok := stampMilli(e.OccurredAt.UnixMilli()); ok && !e.OccurredAt.IsZero() {
		row.occurredAt = s
	}
	if !p.due.IsZero() {
		row.dueAt = stamp(p.due)
	}
	return row
}

// plain makes a text from outside storable: no database takes a NUL.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func joinNames(names []string) string { return plain(strings.Join(names, ",")) }

// appendChange appends a change as a row of the changes statement's parameter.
func appendChange(dst []byte, c Change) []byte {
	dst = appendText(append(dst, `{"resource":`...), string(c.Kind))
	dst = appendString(dst, "object_id", c.ObjectID)
	dst = appendString(dst, "op", string(c.Op))
	dst = appendInt(dst, "version", c.Version)
	dst = strconv.AppendBool(appendMember(dst, "initial", nil), c.Initial)
	dst = appendString(dst, "occurred_at", stamp(c.OccurredAt))
	dst = appendString(dst, "source", string(c.Source))
	if len(c.Reasons) > 0 {
		dst = appendTexts(appendMember(dst, "reasons", nil), c.Reasons)
	}
	return append(dst, '}')
}

// feed appends a commit's changes, last of all: the lock before it is held until the commit and no longer than that, and makes
// seq the order of commit, so that a relay that remembers the last seq it saw misses nothing.
func (m *Mirror) feed(ctx context.Context, tx *sqlx.Tx, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	return writeRows(ctx, m, tx, m.statements.changes, changeColumns, changes, appendChange, finish)
}
