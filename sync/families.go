package sync

import (
	"context"
	"fmt"
)

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
		var rows []struct {
			ID     string `db:"id"`
			Parent string `db:"parent"`
		}
		query := `SELECT id, ` + p.column + ` AS parent FROM {` + string(k) + `} WHERE ` + p.column + ` IS NOT NULL AND id IN ` + m.dialect.among()
		if err := m.selectAmong(ctx, m.db, &rows, query, ids); err != nil {
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
