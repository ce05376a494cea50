package sync

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// Row is a visible object of the mirror, without its payload.
type Row struct {
	ID     string
	digest int64 // of the payload; 0 if the object was deleted once
}

// Held reports whether the row holds what the sighting shows, to the byte, of an object that was never deleted. Applying it would
// write nothing.
func (s *Sighting) Held(r Row) bool {
	k, known := describe(s.Kind)
	return known && r.digest != 0 && s.read != nil && r.digest == k.digest(s.Object, s.read.keep)
}

// listedRows selects the visible rows of the kind that Clerk's list would show. Those of a hidden parent went with it: Clerk does
// not have them, and no read by id could say more.
func (k *kind) listedRows() string {
	rows := "FROM {" + string(k.name) + "} AS t WHERE deleted_at IS NULL"
	if k.list.rows != "" {
		rows += " AND " + k.list.rows
	}
	return rows + " AND NOT " + k.orphaned()
}

// orphaned is a condition in SQL: a parent of the row t is hidden, and t went with it.
func (k *kind) orphaned() string {
	condition := "(1 = 0"
	for _, p := range k.parents {
		condition += " OR EXISTS (SELECT 1 FROM {" + string(p.kind) + "} AS p WHERE p.id = t." + p.column + " AND p.deleted_at IS NOT NULL)"
	}
	return condition + ")"
}

// visiblePage is how many rows Visible holds in memory.
const visiblePage = 1000

// listings are the statements of Visible for one kind. Each reads the rows after one row, and tells them as two texts with a line a
// row, ids and digests: that costs both sides a fraction of what rows would. A digest of 0 stands for that of an object that was
// deleted once.
type listings struct{ dated, undated string }

func (d dialect) listings(k *kind) listings {
	lines := fmt.Sprintf(`SELECT count(*) AS count, max(created_at) AS created_at, coalesce(%[1]s(id, '
'), '') AS ids, coalesce(%[1]s(cast(%[2]s AS text), '
'), '') AS digests FROM (SELECT id, created_at, _digest, _dead_at %[3]s`, d.concatenate(), shownDigest, k.listedRows())
	return listings{
		dated: d.sql(fmt.Sprintf(`%s AND (created_at, id) > ($1, $2) AND created_at <= $3
ORDER BY created_at, id LIMIT %d) AS page`, lines, visiblePage)),
		undated: d.sql(fmt.Sprintf(`%s AND created_at IS NULL AND id > $1
ORDER BY id LIMIT %d) AS page`, lines, visiblePage)),
	}
}

// Visible yields the visible objects of a kind that Clerk's list would show, which are not those of a hidden parent, and that were
// created in a window: from one instant through another, both included, in Unix milliseconds. Objects without a date count as
// created at [Never]. It holds a bounded number of rows and no transaction, so it may be stopped at any time. An error ends it; it
// is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Visible(ctx context.Context, k Kind, from, through int64) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		own, mirrored := m.statements.of[k]
		if !mirrored {
			yield(Row{}, fmt.Errorf("reading rows of %q: the mirror has no such kind", k))
			return
		}
		if from == Never && !yieldLines(yield, func(after place) (listing, error) {
			return m.list(ctx, own.undated, after.id)
		}) {
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
		yieldLines(yield, func(after place) (listing, error) {
			if after.id != "" {
				first = string(after.createdAt)
			}
			return m.list(ctx, own.dated, first, after.id, last)
		})
	}
}

// listing is one page of rows.
type listing struct {
	Count     int     `db:"count"`
	CreatedAt stamped `db:"created_at"` // of the last one
	IDs       string  `db:"ids"`
	Digests   string  `db:"digests"`
}

// place is where a page ends.
type place struct {
	createdAt stamped
	id        string
}

// stamped is an instant as a statement takes it, whatever the driver makes of it: SQLite has texts.
type stamped string

// Scan implements sql.Scanner.
func (s *stamped) Scan(v any) error {
	switch v := v.(type) {
	case time.Time:
		*s = stamped(stamp(v))
	case string:
		*s = stamped(v)
	case nil:
		*s = ""
	default:
		return fmt.Errorf("an instant cannot be read from %T", v)
	}
	return nil
}

func (m *Mirror) list(ctx context.Context, query string, args ...any) (l listing, err error) {
	err = m.get(ctx, &l, query, args...)
	return l, err
}

// get reads the one row of one of the statements.
func (m *Mirror) get(ctx context.Context, into any, query string, args ...any) error {
	if stmt := m.statements.prepared[query]; stmt != nil {
		return stmt.GetContext(ctx, into, args...)
	}
	return m.db.GetContext(ctx, into, query, args...)
}

// shownDigest is the digest of a row's payload, or 0 where the object was deleted once.
const shownDigest = `CASE WHEN _dead_at < -9223372036854775807 THEN _digest ELSE 0 END`

// yieldLines yields the rows of one page after the other, each read after the last row of the one before it. It reports whether it
// came to the end.
func yieldLines(yield func(Row, error) bool, read func(after place) (listing, error)) bool {
	var last place
	for {
		page, err := read(last)
		if err != nil {
			yield(Row{}, fmt.Errorf("reading visible rows: %w", unavailable(err)))
			return false
		}
		last.createdAt = page.CreatedAt
		ids, digests, id, sum := page.IDs, page.Digests, "", ""
		for range page.Count {
			id, ids, _ = strings.Cut(ids, "\n")
			sum, digests, _ = strings.Cut(digests, "\n")
			digest, err := strconv.ParseInt(sum, 10, 64)
			if last.id = id; !yield(Row{ID: id, digest: digest}, err) || err != nil {
				return false
			}
		}
		if page.Count < visiblePage {
			return true
		}
	}
}

// Alive returns when visible objects were last known to be alive, by id, in Unix milliseconds. Those that are not visible, or no
// longer, are missing. The error is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Alive(ctx context.Context, k Kind, ids []string) (map[string]int64, error) {
	return m.datesOf(ctx, k, ids, func(key mergeKey) int64 { return key.Alive })
}

// Updated returns Clerk's updated_at of what the mirror has of visible objects, by id, in Unix milliseconds. Those that are not visible are
// missing. The error is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Updated(ctx context.Context, k Kind, ids []string) (map[string]int64, error) {
	return m.datesOf(ctx, k, plainAll(ids), func(key mergeKey) int64 { return key.Updated })
}

// datesOf returns an instant of the keys of visible objects, by id.
func (m *Mirror) datesOf(ctx context.Context, k Kind, ids []string, date func(mergeKey) int64) (map[string]int64, error) {
	d, known := describe(k)
	if !known {
		return nil, fmt.Errorf("reading rows of %q: no such kind", k)
	}
	rows, err := m.standings(ctx, nil, d, ids)
	if err != nil {
		return nil, fmt.Errorf("reading the dates of objects: %w", unavailable(err))
	}
	dates := make(map[string]int64, len(rows))
	for id, row := range rows {
		if row.visible() {
			dates[id] = date(row.key)
		}
	}
	return dates, nil
}

// CountVisible returns how many objects [Mirror.Visible] yields in all.
func (m *Mirror) CountVisible(ctx context.Context, k Kind) (n int64, err error) {
	d, known := describe(k)
	if !known {
		return 0, fmt.Errorf("counting rows of %q: no such kind", k)
	}
	count := `SELECT count(*) ` + d.listedRows()
	if d.list.rows == "" && len(d.parents) == 0 { // then two indexes tell, and the rows with their payloads need not be read
		table := `{` + string(k) + `}`
		count = `SELECT (SELECT count(*) FROM ` + table + `) - (SELECT count(*) FROM ` + table + ` WHERE deleted_at IS NOT NULL)`
	}
	err = m.db.GetContext(ctx, &n, m.SQL(count))
	if err != nil {
		return 0, fmt.Errorf("counting visible rows: %w", unavailable(err))
	}
	return n, nil
}
