package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
)

// eventRow is a row for the events statement. What is empty is null.
type eventRow struct {
	id, kind, objectID, instanceID string
	occurredAt, receivedAt, dueAt  string
	outcome                        Outcome
	reason                         string
	attempts                       int64
	body, payload                  []byte // as it came, and what is kept of it
	about                          string // the object whose merge tells the outcome, where that is not known yet
	kept                           bool   // it has waited before
}

func (r *row) event(e *eventRow) {
	r.string(e.id)
	r.string(e.kind)
	r.optional(e.objectID)
	r.optional(e.instanceID)
	r.optional(e.occurredAt)
	r.string(e.receivedAt)
	r.optional(string(e.outcome))
	r.optional(e.reason)
	r.int(e.attempts)
	if len(e.payload) == 0 {
		r.cell(nil)
	} else {
		r.octets(e.payload)
	}
	r.optional(e.dueAt)
}

func (r *row) offeredEvent(e *eventRow) {
	r.event(e)
	r.string(e.about)
}

// eventRows returns the events rows of a commit, in the order of ids, without the content of those that name an erased object, and without
// those that would wait on although somebody has given them up.
func (m *Mirror) eventRows(ctx context.Context, tx *sqlx.Tx, pieces []*piece) ([]*eventRow, error) {
	rows := m.gatherEvents(pieces)
	ignored, err := m.forget(ctx, tx, rows)
	if err != nil {
		return nil, err
	}
	for _, p := range pieces {
		if p.final && !p.passing && !p.quiet() && ignored[p.event().ID] {
			p.settle(Result{Outcome: Ignored, Reason: erasedReason})
		}
	}
	dropped, err := m.dropped(ctx, tx, rows)
	if err != nil {
		return nil, err
	}
	for _, p := range pieces {
		if p.Event != nil && dropped[p.Event.ID] && p.result.Outcome.Waits() {
			p.settle(Result{Outcome: Ignored})
		}
	}
	return slices.DeleteFunc(rows, func(r *eventRow) bool { return dropped[r.id] || r.kind == readType && ignored[r.id] }), nil
}

// dropped tells which of the events that would wait on do so no more: while they were tried again, an operator has given them up, or what
// they speak of was erased. It locks the others.
func (m *Mirror) dropped(ctx context.Context, tx *sqlx.Tx, rows []*eventRow) (map[string]bool, error) {
	var ids []string
	for _, r := range rows {
		if r.kept && r.outcome.Waits() {
			ids = append(ids, r.id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	query := `SELECT id FROM {events} WHERE outcome IN ('quarantined', 'deferred') AND id IN ` + m.dialect.among() + ` ORDER BY id` + m.dialect.forUpdate()
	var waiting []string
	if err := m.selectAmong(ctx, tx, &waiting, query, ids); err != nil {
		return nil, err
	}
	dropped := map[string]bool{}
	for _, id := range ids {
		dropped[id] = !slices.Contains(waiting, id)
	}
	return dropped, nil
}

// gatherEvents returns the events rows of pieces, in the order of ids, each with the outcome of the piece that tells it. Evidence of a
// read has no event, unless it is quarantined: then it gets one, so that an operator finds it where all quarantine is.
func (m *Mirror) gatherEvents(pieces []*piece) (rows []*eventRow) {
	byID := map[string]*eventRow{}
	telling := tellers(pieces)
	for _, p := range pieces {
		if p.quiet() || p.Event != nil && telling[p.Event] != p || p.Event == nil && p.result.Outcome != Quarantined {
			continue
		}
		event := p.event()
		if row := byID[event.ID]; row != nil {
			row.attempts++
			row.kept = row.kept && event.kept
			continue
		}
		row := m.newEventRow(event, p)
		byID[event.ID] = row
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b *eventRow) int { return strings.Compare(a.id, b.id) })
	return rows
}

// tellers are the pieces that tell the outcome of their events: the first one that waits, or else it would be forgotten beside those that
// do not, and where none waits, the first one.
func tellers(pieces []*piece) map[*Event]*piece {
	telling := map[*Event]*piece{}
	for _, p := range pieces {
		if p.Event == nil || p.quiet() {
			continue
		}
		if other := telling[p.Event]; other == nil || p.result.Outcome.Waits() && !other.result.Outcome.Waits() {
			telling[p.Event] = p
		}
	}
	return telling
}

// readType is the type of the rows that stand for reads.
const readType = "read"

// event returns the piece's event, or one that stands for a read that is quarantined.
func (p *piece) event() *Event {
	if p.Event != nil {
		return p.Event
	}
	id, name := p.ID, p.ID
	if !validID(id) { // the object tells no id, or none that an index takes, so its bytes name it
		sum := sha256.Sum256(p.Object)
		id, name = "", hex.EncodeToString(sum[:8])
	}
	return &Event{
		ID: "read:" + string(p.Kind) + ":" + name, Type: readType, ObjectID: id,
		OccurredAt: time.UnixMilli(p.At), Body: p.Object,
	}
}

func (m *Mirror) newEventRow(e *Event, p *piece) *eventRow {
	received := e.ReceivedAt
	if received.IsZero() {
		received = time.Now()
	}
	row := &eventRow{
		kept: e.kept, id: e.ID, kind: plain(e.Type), objectID: plain(e.ObjectID), instanceID: plain(e.InstanceID),
		receivedAt: stamp(received), outcome: p.result.Outcome, reason: p.result.Reason, attempts: 1, body: e.Body, payload: m.content(e, p),
	}
	if s, ok := stampMilli(e.OccurredAt.UnixMilli()); ok && !e.OccurredAt.IsZero() {
		row.occurredAt = s
	}
	if !p.due.IsZero() && row.payload != nil { // without it there is nothing to try
		row.dueAt = stamp(p.due)
	}
	return row
}

// plain makes a text from outside storable: no database takes a NUL, nor PostgreSQL to look for one. What it makes is no id.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func plainAll(texts []string) []string {
	all := make([]string, len(texts))
	for i, s := range texts {
		all[i] = plain(s)
	}
	return all
}

func joinNames(names []string) string { return plain(strings.Join(names, ",")) }

func (r *row) change(c Change) {
	r.string(string(c.Kind))
	r.string(c.ObjectID)
	r.string(string(c.Op))
	r.int(c.Version)
	r.bool(c.Initial)
	r.string(stamp(c.OccurredAt))
	r.string(string(c.Source))
	if len(c.Reasons) == 0 {
		r.cell(nil)
		return
	}
	r.write(appendTexts(r.text, c.Reasons))
}

// writeLog writes a commit's events and appends its changes to the feed, last of all: the lock before the changes is held until the commit
// and no longer than that, and makes seq the order of commit, so that a relay that remembers the last seq it saw misses nothing. One of
// its statements hardens the transaction.
func (m *Mirror) writeLog(ctx context.Context, tx *sqlx.Tx, events []*eventRow, changes []Change) error {
	if m.dialect.postgres && len(events) > 0 && len(changes) > 0 {
		return m.writeLogAtOnce(ctx, tx, events, changes)
	}
	if len(events) > 0 {
		if err := writeRows(ctx, m, tx, m.statements.events, eventColumns, events, (*row).event, finish); err != nil {
			return err
		}
	} else if err := m.harden(ctx, tx); err != nil {
		return err
	}
	return m.feed(ctx, tx, changes)
}

// writeLogAtOnce does it in one round trip.
func (m *Mirror) writeLogAtOnce(ctx context.Context, tx *sqlx.Tx, events []*eventRow, changes []Change) error {
	first, second := m.sheets.take(), m.sheets.take()
	defer func() { m.sheets.put(first); m.sheets.put(second) }()
	answer, err := m.query(ctx, tx, m.statements.log,
		slices.Concat(fill(first, eventColumns, events, (*row).event), fill(second, changeColumns, changes, (*row).change))...)
	if err != nil {
		return err
	}
	return finish(answer)
}

// feed appends changes.
func (m *Mirror) feed(ctx context.Context, tx *sqlx.Tx, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	return writeRows(ctx, m, tx, m.statements.changes, changeColumns, changes, (*row).change, finish)
}
