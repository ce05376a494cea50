package sync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Population counts the objects of one kind.
type Population struct {
	Kind    Kind
	Visible int64
	Hidden  int64 // tombstones of deleted objects
	Told    int64 // objects whose deletion webhooks told of within the last hour, held or not
	Allowed int64 // how many of them the deletion guard allows
}

// Populations counts the objects of every kind that is mirrored. It reads whole indexes, so the larger the mirror is, the longer it
// takes: seconds for tens of millions of objects. The error is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Populations(ctx context.Context) ([]Population, error) {
	var all []Population
	for _, k := range kinds {
		if !m.Mirrors(k.name) {
			continue
		}
		var n struct {
			Total  int64 `db:"total"`
			Hidden int64 `db:"hidden"`
		}
		table := `{` + string(k.name) + `}`
		err := m.db.GetContext(ctx, &n, m.SQL(`SELECT (SELECT count(*) FROM `+table+`) AS total,
(SELECT count(*) FROM `+table+` WHERE deleted_at IS NOT NULL) AS hidden`))
		if err != nil {
			return nil, fmt.Errorf("counting %s: %w", k.name, unavailable(err))
		}
		p := Population{Kind: k.name, Visible: max(n.Total-n.Hidden, 0), Hidden: n.Hidden}
		if p.Told, err = m.told(ctx, k.name); err != nil {
			return nil, err
		}
		p.Allowed = m.cfg.Limits.Allows(p.Visible + p.Told)
		all = append(all, p)
	}
	return all, nil
}

// Find reports whether the mirror knows an object, and whether it is visible or a tombstone.
func (m *Mirror) Find(ctx context.Context, k Kind, id string) (known, visible bool, err error) {
	if _, described := describe(k); !described {
		return false, false, fmt.Errorf("looking for an object of %q: no such kind", k)
	}
	err = m.db.GetContext(ctx, &visible, m.SQL(`SELECT deleted_at IS NULL FROM {`+string(k)+`} WHERE id = $1`), plain(id))
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("looking for an object of %s: %w", k, unavailable(err))
	}
	return true, visible, nil
}

// Intake tells how the reception of events fares.
type Intake struct {
	Quarantined int64    // events and reads that wait for an operator, held deletions among them
	Held        int64    // deletions that wait for approval
	Deferred    int64    // events that wait for their time
	Last        *Logged  // the event received last; nil if there was none
	Foreign     *Foreign // ignored events of other instances; nil if there were none
}

// Intake reads how the reception of events fares. The error is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Intake(ctx context.Context) (Intake, error) {
	var in Intake
	err := m.db.QueryRowxContext(ctx, m.SQL(`SELECT (SELECT count(*) FROM {events} WHERE outcome = 'quarantined'),
(SELECT count(*) FROM {events} WHERE outcome = 'quarantined' AND error = $1),
(SELECT count(*) FROM {events} WHERE outcome = 'deferred')`), heldReason).Scan(&in.Quarantined, &in.Held, &in.Deferred)
	if err != nil {
		return Intake{}, fmt.Errorf("counting events: %w", unavailable(err))
	}
	last, err := m.log(ctx, ` WHERE type <> 'read'`, 1) // a read in quarantine is no event
	if err != nil {
		return Intake{}, err
	}
	if len(last) > 0 {
		in.Last = &last[0]
	}
	var f Foreign
	found, err := m.ReadState(ctx, "foreign", &f)
	if found {
		in.Foreign = &f
	}
	return in, err
}
