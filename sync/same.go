package sync

import (
	"context"
	"slices"

	"github.com/go-json-experiment/json"
)

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
		if err := m.noteNamed(ctx, k, reads, rows); err != nil {
			return unavailable(err)
		}
	}
	return nil
}

// noteNamed notes of reads which row they would take the name of a person from: webhooks alone tell who accepted an invitation, and by that
// the mirror finds it when the person is erased.
func (m *Mirror) noteNamed(ctx context.Context, k *kind, reads []*piece, rows map[string]standing) error {
	var ids []string
	for _, p := range reads {
		if row, found := rows[p.ID]; k.invited != "" && found && !p.final && row.visible() && row.dead == Never {
			ids = append(ids, p.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	parameter, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	var named []string
	query := m.SQL(`SELECT id FROM {` + string(k.name) + `} WHERE ` + k.invited + ` IS NOT NULL AND id IN ` + m.dialect.among())
	if err := m.db.SelectContext(ctx, &named, query, string(parameter)); err != nil {
		return err
	}
	for _, p := range reads {
		if row := rows[p.ID]; slices.Contains(named, p.ID) {
			p.named = &row
		}
	}
	return nil
}

// tellsLess reports whether a read tells of an object just what the row holds, but for the person. Not writing it cannot be told from never
// having read it.
func (p *piece) tellsLess() bool {
	return p.named != nil && !p.final && p.object != nil && p.Source != Login && p.object.column(p.kind.invited) == "" &&
		p.object.updated == p.named.key.Updated && p.object.hash == p.named.key.Hash
}
