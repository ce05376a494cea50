package sync

import "context"

// skipSame settles reads of visible, never deleted objects whose very bytes the rows hold already. Not writing them cannot be
// told from never having read them, and is what lets a pass without drift write nothing. A login's read is always written, since
// it also tells when the user was last looked at.
func (m *Mirror) skipSame(ctx context.Context, pieces []*piece) error {
	for _, k := range kinds {
		var ids []string
		var reads []*piece
		for _, p := range pieces {
			if !p.final && p.kind == k && p.read != nil && p.Object != nil && p.ID != "" {
				ids, reads = append(ids, p.ID), append(reads, p)
			}
		}
		if len(ids) == 0 {
			continue
		}
		rows, err := m.standings(ctx, nil, k, ids)
		if err != nil {
			return unavailable(err)
		}
		for _, p := range reads {
			row, found := rows[p.ID]
			p.fresh = !found
			p.same = found && row.visible() && row.digest == k.digest(p.Object, m.keeping())
			if p.same && row.dead == Never && p.Source != Login {
				p.settle(Result{Outcome: Unchanged})
			}
		}
		if err := m.noteNamed(ctx, k, reads); err != nil {
			return unavailable(err)
		}
	}
	return nil
}

// noteNamed notes of reads whom the rows name: webhooks alone tell who accepted an invitation, and by that the mirror finds it when the
// person is erased.
func (m *Mirror) noteNamed(ctx context.Context, k *kind, reads []*piece) error {
	var ids []string
	for _, p := range reads {
		if k.invited != "" && !p.fresh && !p.final {
			ids = append(ids, p.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var rows []struct {
		ID     string `db:"id"`
		Person string `db:"person"`
	}
	query := `SELECT id, ` + k.invited + ` AS person FROM {` + string(k.name) + `} WHERE ` + k.invited + ` IS NOT NULL AND id IN ` + m.dialect.among()
	if err := m.selectAmong(ctx, m.db, &rows, query, ids); err != nil {
		return err
	}
	named := make(map[string]string, len(rows))
	for _, r := range rows {
		named[r.ID] = r.Person
	}
	for _, p := range reads {
		p.named = named[p.ID]
	}
	return nil
}
