package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"
)

// fewest is how many objects make COPY worth its round trips.
const fewest = 50

// insertStatement is the COPY that makes rows of one kind.
func (d dialect) insertStatement(k *kind) string {
	return fmt.Sprintf("COPY %s (%s, _was_visible, _version, _changed) FROM STDIN", d.table(string(k.name)),
		strings.Join(columnNames(k.mergedColumns()), ", "))
}

// insert does what merge does, for a batch of reads of which no object had a row when they were prepared: the first pass of a
// mirror. COPY takes half of what the merge statement costs the server, which reads every payload once and not twice. It returns
// nil where the batch is another one. Where a row has come into being meanwhile, the error tells of a double id; see distrust.
func (m *Mirror) insert(ctx context.Context, tx *sqlx.Tx, k *kind, folds []*fold) (moved map[string]standing, err error) {
	if m.db.DriverName() != "postgres" || len(folds) < fewest || slices.ContainsFunc(folds, func(f *fold) bool { return !f.fresh() }) {
		return nil, nil
	}
	stmt, err := tx.PrepareContext(ctx, m.dialect.insertStatement(k))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	moved = make(map[string]standing, len(folds))
	s := m.sheets.take()
	defer m.sheets.put(s)
	columns := k.mergedColumns()
	values := make([]any, len(columns), len(columns)+3)
	for _, f := range folds {
		for i, cell := range cellsOf(s, columns, f, (*row).fold) {
			values[i] = columns[i].typ.bound(cell)
		}
		if _, err := stmt.ExecContext(ctx, append(values, false, 1, true)...); err != nil {
			return nil, err
		}
		moved[f.id] = standing{moved: true, version: 1, changed: true, key: f.state.Key, dead: f.state.Dead}
	}
	_, err = stmt.ExecContext(ctx) // without a row it ends the COPY
	return moved, err
}

// fresh reports whether a fold makes a row of an object that is alive.
func (f *fold) fresh() bool {
	return !f.bare && f.live != nil && f.state.Visible() && f.state.Dead == Never && !slices.ContainsFunc(f.pieces, func(p *piece) bool { return !p.fresh })
}

// distrust makes the next try of a batch merge what this one inserted, and reports whether there is such a thing: a row may have
// come into being since the batch was prepared, or COPY may be forbidden.
func distrust(batch []*request, err error) (again bool) {
	if sqlState(err) == "" {
		return false
	}
	for _, r := range batch {
		for _, p := range r.pieces {
			again = again || p.fresh
			p.fresh = false
		}
	}
	return again
}
