package sync

import (
	"context"
	"fmt"
)

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
	before := mergeState{Key: row.key, Dead: row.dead}
	if !found {
		before = unknown
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
