package sync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jmoiron/sqlx"
)

// ReadMargin returns M of the merge rule: by how much the evidence of a read is dated back.
func (m *Mirror) ReadMargin() time.Duration { return m.cfg.ReadMargin }

// ClockError is σ of the merge rule: how far two honest clocks may differ.
const ClockError = clockError

// Row is a visible object of the mirror, without its payload.
type Row struct {
	ID    string
	Alive int64 // the latest instant at which it provably existed, in Unix milliseconds
}

// Dated returns when the object was created, in Unix milliseconds, as [Mirror.Visible] dates it: Never where Clerk does not tell
// it, or tells what no calendar has.
func (s Sighting) Dated() int64 {
	if _, ok := stampMilli(s.Created); !ok {
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

// listedRows selects the visible rows of a kind that Clerk's list would show. Those of a hidden parent went with it: Clerk does
// not have them, and no read by id could say more.
func listedRows(k Kind) string {
	d, _ := describe(k)
	rows := "FROM {" + string(k) + "} AS t WHERE deleted_at IS NULL"
	if d.list.rows != "" {
		rows += " AND " + d.list.rows
	}
	for _, p := range d.parents {
		rows += " AND NOT EXISTS (SELECT 1 FROM {" + string(p.kind) + "} AS p WHERE p.id = t." + p.column + " AND p.deleted_at IS NOT NULL)"
	}
	return rows
}

// visiblePage is how many rows Visible holds in memory.
const visiblePage = 1000

// Visible yields the visible objects of a kind that Clerk's list would show, which are not those of a hidden parent, and that were
// created in a window: from one instant through another, both included, in Unix milliseconds. Objects without a date count as
// created at [Never]. It holds a bounded number of rows and no transaction, so it may be stopped at any time. An error ends it; it
// is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Visible(ctx context.Context, k Kind, from, through int64) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if _, known := describe(k); !known {
			yield(Row{}, fmt.Errorf("reading rows of %q: no such kind", k))
			return
		}
		if from == Never && !m.pageThrough(yield, func(after visibleRow) ([]visibleRow, error) { return m.undated(ctx, k, after) }) {
			return
		}
		first, ok := stampMilli(max(from, 0))
		if !ok || through < 0 {
			return
		}
		last, ok := stampMilli(through)
		if !ok {
			last = "9999-12-31T23:59:59.999Z"
		}
		m.pageThrough(yield, func(after visibleRow) ([]visibleRow, error) {
			if after.ID != "" {
				first = stamp(after.CreatedAt)
			}
			return m.dated(ctx, k, first, after.ID, last)
		})
	}
}

type visibleRow struct {
	ID        string    `db:"id"`
	CreatedAt time.Time `db:"created_at"`
	Alive     int64     `db:"_alive_at"`
}

// pageThrough yields the rows of one page after the other, each read after the last row of the one before it. It reports whether
// it came to the end.
func (m *Mirror) pageThrough(yield func(Row, error) bool, read func(after visibleRow) ([]visibleRow, error)) bool {
	var last visibleRow
	for {
		rows, err := read(last)
		if err != nil {
			yield(Row{}, fmt.Errorf("reading visible rows: %w", unavailable(err)))
			return false
		}
		for _, r := range rows {
			if !yield(Row{ID: r.ID, Alive: r.Alive}, nil) {
				return false
			}
		}
		if len(rows) < visiblePage {
			return true
		}
		last = rows[len(rows)-1]
	}
}

func (m *Mirror) dated(ctx context.Context, k Kind, from, afterID, through string) (rows []visibleRow, err error) {
	err = sqlx.SelectContext(ctx, m.db, &rows, m.SQL(`SELECT id, created_at, _alive_at `+listedRows(k)+`
AND (created_at, id) > ($1, $2) AND created_at <= $3
ORDER BY created_at, id LIMIT $4`), from, afterID, through, visiblePage)
	return rows, err
}

func (m *Mirror) undated(ctx context.Context, k Kind, after visibleRow) (rows []visibleRow, err error) {
	err = sqlx.SelectContext(ctx, m.db, &rows, m.SQL(`SELECT id, _alive_at `+listedRows(k)+`
AND created_at IS NULL AND id > $1
ORDER BY id LIMIT $2`), after.ID, visiblePage)
	return rows, err
}

// CountVisible returns how many objects [Mirror.Visible] yields in all.
func (m *Mirror) CountVisible(ctx context.Context, k Kind) (n int64, err error) {
	if _, known := describe(k); !known {
		return 0, fmt.Errorf("counting rows of %q: no such kind", k)
	}
	err = m.db.GetContext(ctx, &n, m.SQL(`SELECT count(*) `+listedRows(k)))
	if err != nil {
		return 0, fmt.Errorf("counting visible rows: %w", unavailable(err))
	}
	return n, nil
}

// Compare tells what [Mirror.Apply] would do with evidence of reads, one result per piece, and writes nothing. Each piece is
// compared with the mirror by itself.
func (m *Mirror) Compare(ctx context.Context, evidence ...Evidence) ([]Result, error) {
	r, err := m.prepare(ctx, evidence)
	if err != nil {
		return nil, fmt.Errorf("comparing evidence: %w", err)
	}
	for _, k := range kinds {
		var ids []string
		for _, p := range r.pieces {
			if !p.final && p.kind == k {
				ids = append(ids, p.ID)
			}
		}
		rows, err := m.standings(ctx, nil, k, ids)
		if err != nil {
			return nil, fmt.Errorf("comparing evidence: %w", unavailable(err))
		}
		for _, p := range r.pieces {
			if !p.final && p.kind == k {
				row, found := rows[p.ID]
				p.foresee(row, found)
			}
		}
	}
	results := make([]Result, len(r.pieces))
	for i, p := range r.pieces {
		results[i] = p.result
	}
	return results, nil
}

// foresee sets the result that a piece would have if it were merged alone into a row.
func (p *piece) foresee(row standing, found bool) {
	before := State{Key: row.key, Dead: row.dead}
	if !found {
		before = Unknown
	}
	f := foldPieces([]*piece{p})[0]
	after := before.Gone(f.state.Dead)
	if p.object != nil {
		after = after.Live(p.key, nil)
	}
	s := standing{key: after.Key, dead: after.Dead, wasVisible: before.Visible(), version: 2}
	s.moved = after.Key != before.Key || after.Dead != before.Dead
	if !found {
		s.version = 1
	}
	s.changed = s.wasVisible != s.visible() || s.visible() && sameRule(before.Key.Hash, after.Key.Hash) && before.Key.Hash != after.Key.Hash
	f.judge(s)
}

// sameRule reports whether two hashes were made by the same projection, so that they can be compared.
func sameRule(a, b string) bool { return a != "" && b != "" && a[0] == b[0] }
