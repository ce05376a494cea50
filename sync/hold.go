package sync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// heldReason is the error of events that are held. It tells them apart from others in quarantine.
const heldReason = "held for approval: webhooks told of more deletions within an hour than the guard allows"

// Held reports whether the event is a deletion that waits for approval: it came when webhooks had told of more deletions within an
// hour than the guard allows, and [Config].HoldDeletes was set.
func (l Logged) Held() bool { return l.Outcome == Quarantined && l.Error == heldReason }

// hold keeps those deletions of visible objects for approval that are more than the guard allows. They wait in quarantine with all
// that they say, and merging is as good later as now: what is known of the object since then outweighs them or does not. What went with
// its parent is not shown any more, so its deletion is let through.
func (m *Mirror) hold(ctx context.Context, pieces []*piece, now time.Time) error {
	if m.holder == nil {
		return nil
	}
	for _, p := range pieces {
		if p.final || p.Object != nil || p.read != nil || p.Event == nil || p.Event.Approved || !validID(p.ID) {
			continue
		}
		m.interpretGone(p, now)
		hides := false
		err := m.db.GetContext(ctx, &hides, m.SQL(`SELECT _alive_at > _dead_at AND _alive_at <= $2 FROM {`+string(p.kind.name)+`} AS t
WHERE id = $1 AND NOT `+p.kind.orphaned()), p.ID, p.dead)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return unavailable(err)
		}
		if !hides || m.holder.Admit(ctx, p.kind.name, p.ID) {
			continue
		}
		var before int // how often it was held when it came before
		err = m.db.GetContext(ctx, &before, m.SQL(`SELECT count(*) FROM {events} WHERE id = $1 AND error = $2`), p.Event.ID, heldReason)
		if err != nil {
			return unavailable(err)
		}
		p.held = before == 0
		p.settle(Result{Outcome: Quarantined, Reason: heldReason})
	}
	return nil
}

// decisions are the entries of the audit log for the deletions that a commit holds, and for those that an operator approved.
func decisions(pieces []*piece) (entries []AuditEntry) {
	for _, p := range pieces {
		entry := AuditEntry{Source: Webhook}
		switch {
		case p.held:
			entry.Action = AuditHeld
		case p.Event != nil && p.Event.Approved && p.Object == nil && !p.final:
			entry.Action, entry.Source = AuditApproved, Operator
		default:
			continue
		}
		entry.Kind, entry.ObjectID, entry.EventID = p.kind.name, p.ID, p.Event.ID
		if p.At > 0 {
			entry.OccurredAt = time.UnixMilli(p.At)
		}
		entries = append(entries, entry)
	}
	return entries
}

// recordDrop records that an operator gives up a held deletion, if that is what the event is.
func (m *Mirror) recordDrop(ctx context.Context, tx *sqlx.Tx, id string) error {
	var objects []string
	err := tx.SelectContext(ctx, &objects, m.SQL(`SELECT coalesce(object_id, '') FROM {events}
WHERE id = $1 AND outcome = 'ignored' AND error = $2`), id, heldReason)
	if err != nil || len(objects) == 0 {
		return err
	}
	return m.record(ctx, tx, []AuditEntry{{Action: AuditDropped, Source: Operator, EventID: id, ObjectID: objects[0]}})
}

// overtaken is a condition in SQL on events: a deletion that is held, of what has gone with its parent meanwhile. The two come in any order.
func overtaken() string {
	condition := "(outcome = 'quarantined' AND error = '" + heldReason + "' AND (1 = 0"
	for _, k := range kinds {
		if len(k.parents) > 0 {
			condition += " OR " + k.wentAlong()
		}
	}
	return condition + "))"
}

// wentAlong is a condition in SQL on rows that name an object_id of the kind: it has gone with its parent.
func (k *kind) wentAlong() string {
	return "EXISTS (SELECT 1 FROM {" + string(k.name) + "} AS t WHERE t.id = object_id AND " + k.orphaned() + ")"
}

// told counts the objects of a kind whose deletion webhooks have told within the guard's term, held or not, less those that went with
// their parents: an organization of a thousand members is one deletion.
func (m *Mirror) told(ctx context.Context, k Kind) (n int64, err error) {
	err = m.db.GetContext(ctx, &n, m.SQL(`SELECT count(DISTINCT object_id) FROM {audit}
WHERE action IN ('deleted', 'held') AND source = 'webhook' AND resource = $1 AND at > $2 AND NOT `+k.description().wentAlong()),
		string(k), stamp(time.Now().Add(-guardTerm)))
	if err != nil {
		return 0, fmt.Errorf("counting deletions: %w", unavailable(err))
	}
	return n, nil
}
