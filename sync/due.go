package sync

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Due yields the objects of a kind that have been hidden for an age and are not erased, those hidden longest first. The age counts
// from the deletion and, since word of that may have come late, also from when the mirror hid the object. Due holds a bounded number
// of rows and no transaction. An error ends it; it is [ErrUnavailable] where the database cannot answer.
func (m *Mirror) Due(ctx context.Context, k Kind, age time.Duration) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if _, known := describe(k); !known {
			yield("", fmt.Errorf("looking for deleted objects of %q: no such kind", k))
			return
		}
		before := stamp(time.Now().Add(-age))
		query := m.SQL(`SELECT id, deleted_at AS at FROM {` + string(k) + `} AS r
WHERE deleted_at <= $1 AND erased_at IS NULL AND (deleted_at, id) > ($2, $3)
AND NOT EXISTS (SELECT 1 FROM {audit} AS a WHERE a.object_id = r.id AND a.resource = $4 AND a.action = 'deleted' AND a.at > $1)
ORDER BY deleted_at, id LIMIT ` + fmt.Sprint(visiblePage))
		for last := (oldRow{At: time.UnixMilli(0)}); ; {
			var rows []oldRow
			if err := m.db.SelectContext(ctx, &rows, query, before, stamp(last.At), last.ID, string(k)); err != nil {
				yield("", fmt.Errorf("looking for what is due to be erased: %w", unavailable(err)))
				return
			}
			for _, r := range rows {
				if !yield(r.ID, nil) {
					return
				}
			}
			if len(rows) < visiblePage {
				return
			}
			last = rows[len(rows)-1]
		}
	}
}

// Returned lists objects of a kind that were erased within an age and to which something belongs that is not: it arrived in the very
// moment of the erasure. Erasing them again puts that right. There are 1000 in the result at most.
func (m *Mirror) Returned(ctx context.Context, k Kind, age time.Duration) (ids []string, err error) {
	var parts []string
	for _, child := range kinds {
		for _, p := range child.parents {
			if p.kind == k {
				parts = append(parts, `SELECT p.id FROM {`+string(k)+`} AS p JOIN {`+string(child.name)+`} AS c ON c.`+p.column+` = p.id
WHERE p.erased_at >= $1 AND p.deleted_at IS NOT NULL AND c.erased_at IS NULL`)
			}
		}
	}
	if len(parts) == 0 {
		return nil, nil
	}
	err = m.db.SelectContext(ctx, &ids, m.SQL(strings.Join(parts, " UNION ")+` LIMIT 1000`), stamp(time.Now().Add(-age)))
	if err != nil {
		return nil, fmt.Errorf("looking for what came back to erased objects: %w", unavailable(err))
	}
	return ids, nil
}
