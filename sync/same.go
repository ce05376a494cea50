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
			p.same = found && row.visible() && row.digest == digest(p.Object, m.keeping())
			if p.same && row.dead == Never && p.Source != Login {
				p.settle(Result{Outcome: Unchanged})
			}
		}
	}
	return nil
}
