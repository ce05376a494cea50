package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/scan"
)

// fewest is how many objects make COPY worth its round trips.
const fewest = 50

// insertedColumns are those that a row has when it is made, before those of Clerk's object.
var insertedColumns = []string{
	"id", "source", "synced_at", "_alive_at", "_updated_at", "_seen_at", "_dead_at", "_hash", "_was_visible", "_version", "_changed",
	"unstorable", "data", "_digest",
}

// insertStatement is the COPY that makes rows of one kind.
func (d dialect) insertStatement(k *kind) string {
	return fmt.Sprintf("COPY %s (%s) FROM STDIN", d.table(string(k.name)),
		strings.Join(slices.Concat(insertedColumns, columnNames(k.columns)), ", "))
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
	data := m.buffers.take()
	defer func() { m.buffers.put(data) }()
	for _, f := range folds {
		data = f.live.object.appendData(data[:0])
		if _, err := stmt.ExecContext(ctx, f.inserted(string(data))...); err != nil {
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

// inserted returns the values of a fresh fold's row, in the order of insertStatement.
func (f *fold) inserted(data string) []any {
	o := f.live.object
	at := stamp(time.UnixMilli(f.live.when()))
	var unstorable any
	if len(o.unstorable) > 0 {
		unstorable = joinNames(o.unstorable)
	}
	key := f.state.Key
	values := make([]any, 0, len(insertedColumns)+len(o.kind.columns))
	values = append(values, f.id, string(f.live.Source), at, key.Alive, key.Updated, key.Seen, f.state.Dead, []byte(key.Hash), false, 1, true,
		unstorable, data, o.digest)
	for _, c := range o.kind.columns {
		values = append(values, c.typ.plain(c.read(o)))
	}
	return values
}

// plain turns a column's value from JSON into what COPY takes.
func (t columnType) plain(v []byte) any {
	switch {
	case v == nil || string(v) == "null":
		return nil
	case t == text || t == instant:
		if s, ok := scan.String(v); ok {
			return s
		}
	}
	return string(v)
}
