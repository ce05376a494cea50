package sync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// ReadMargin returns M of the merge rule: by how much the evidence of a read is dated back.
func (m *Mirror) ReadMargin() time.Duration { return m.cfg.ReadMargin }

// ClockError is σ of the merge rule: how far two honest clocks may differ.
const ClockError = clockError

// Dated returns when the object was created, in Unix milliseconds, as [Mirror.Visible] dates it: Never where Clerk does not tell
// it, or tells what no calendar has.
func (s Sighting) Dated() int64 {
	if !onCalendar(s.Created) {
		return Never
	}
	return s.Created
}

// askingKeys reads what Clerk must be told to be asked for a single object, beside its id.
func (m *Mirror) askingKeys(ctx context.Context, d *kind, id string) (map[string]string, error) {
	keys := make(map[string]string, len(d.keys))
	for _, column := range d.keys {
		var key sql.NullString
		err := m.db.GetContext(ctx, &key, m.SQL(`SELECT `+column+` FROM {`+string(d.name)+`} WHERE id = $1`), id)
		switch {
		case errors.Is(err, sql.ErrNoRows), err == nil && key.String == "":
			return nil, fmt.Errorf("the mirror does not know its %s, and Clerk must be asked for it within that: a full pass finds it", column)
		case err != nil:
			return nil, fmt.Errorf("reading the keys of a row: %w", unavailable(err))
		}
		keys[column] = key.String
	}
	return keys, nil
}

// Families returns the listed parents of at most [Batch] objects of a kind: by the parents' kind and id, the ids of their children.
func (m *Mirror) Families(ctx context.Context, k Kind, ids []string) (map[Kind]map[string][]string, error) {
	d, known := describe(k)
	if !known || len(ids) > Batch {
		return nil, fmt.Errorf("reading the parents of %d %q: no such kind, or too many", len(ids), k)
	}
	families := map[Kind]map[string][]string{}
	for _, p := range d.parents {
		if len(ids) == 0 || !m.Mirrors(p.kind) {
			continue
		}
		query, args, err := sqlx.In(m.SQL(`SELECT id, `+p.column+` AS parent FROM {`+string(k)+`} WHERE `+p.column+` IS NOT NULL AND id IN (?)`), ids)
		if err != nil {
			return nil, err
		}
		var rows []struct {
			ID     string `db:"id"`
			Parent string `db:"parent"`
		}
		if err := m.db.SelectContext(ctx, &rows, m.db.Rebind(query), args...); err != nil {
			return nil, fmt.Errorf("reading the parents of rows: %w", unavailable(err))
		}
		family := map[string][]string{}
		for _, r := range rows {
			family[r.Parent] = append(family[r.Parent], r.ID)
		}
		families[p.kind] = family
	}
	return families, nil
}

// ListedKinds returns the kinds that the mirror keeps and Clerk lists, parents before children.
func (m *Mirror) ListedKinds() (listed []Kind) {
	for _, k := range kinds {
		if m.Mirrors(k.name) && k.name.Listed() {
			listed = append(listed, k.name)
		}
	}
	return listed
}

// ByID reports whether Clerk answers for one object of the kind by its id. Where it does not, [Reader.Get] takes the read margin.
func (k Kind) ByID() bool {
	d, known := describe(k)
	return known && d.ask != nil && !d.ask("", nil)[0].list
}
