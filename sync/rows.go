package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"
)

// statements are those that are written once, when the mirror is opened. Rows are given to them as [writeRows] does; those that read
// rows by id take JSON arrays.
type statements struct {
	of              map[Kind]kindStatements // those kinds that are kept
	events, changes string
	log             string // both in one round trip, where that is one
	past            string // see remark
	erased          string
	prepared        map[string]*sqlx.Stmt // empty where a pooler forbids them
	takesBytes      bool                  // whether the prepared ones take bytes for text
}

// kindStatements are those about the objects of one kind.
type kindStatements struct {
	merge, standing string
	shortcut        string // "" where there is none
	listings
	tally string
}

// prepareStatements writes all statements, and prepares them before any transaction holds a connection that preparing would need.
func (m *Mirror) prepareStatements(ctx context.Context) error {
	s := statements{
		of: map[Kind]kindStatements{}, prepared: map[string]*sqlx.Stmt{},
		events: m.dialect.eventsStatement(), changes: m.dialect.changesStatement(), past: m.dialect.pastStatement(),
		erased: m.dialect.erasedStatement(),
	}
	all := []string{s.events, s.changes, s.erased}
	if m.Mirrors(Sessions) {
		all = append(all, s.past)
	}
	if m.dialect.postgres {
		s.log = m.dialect.logStatement()
		all = append(all, s.log)
	}
	for _, k := range kinds {
		if !m.Mirrors(k.name) {
			continue
		}
		own := kindStatements{
			merge: m.dialect.mergeStatement(k), standing: m.dialect.standingStatement(k),
			listings: m.dialect.listings(k), tally: m.dialect.tallyStatement(k),
		}
		all = append(all, own.merge, own.standing, own.dated, own.undated, own.tally)
		if m.dialect.postgres && len(k.parents) == 0 {
			own.shortcut = m.dialect.shortcutStatement(k)
			all = append(all, own.shortcut)
		}
		s.of[k.name] = own
	}
	if err := m.checkNulls(ctx); err != nil {
		return err
	}
	if !m.cfg.Unprepared {
		for _, query := range all {
			stmt, err := m.db.PreparexContext(ctx, query)
			if err != nil {
				return fmt.Errorf("preparing statements: %w", unavailable(err))
			}
			s.prepared[query] = stmt
		}
	}
	if m.dialect.postgres && !m.cfg.Unprepared {
		err := m.db.GetContext(ctx, &s.takesBytes, `SELECT cast($1 AS bigint[]) = '{1}'`, []byte("{1}")) // pgx takes them for three numbers
		s.takesBytes = s.takesBytes && err == nil
	}
	m.statements = s
	return nil
}

// checkNulls refuses a database that takes the nulls in an array for texts.
func (m *Mirror) checkNulls(ctx context.Context) error {
	if !m.dialect.postgres {
		return nil
	}
	var taken bool
	switch err := m.db.GetContext(ctx, &taken, `SELECT cast(current_setting('array_nulls') AS boolean)`); {
	case err != nil:
		return fmt.Errorf("asking for array_nulls: %w", unavailable(err))
	case !taken:
		return errNoNulls
	}
	return nil
}

var errNoNulls = errors.New("the database's setting array_nulls is off, so nulls would be stored as texts: set it to on for its user, by ALTER ROLE")

// query runs one of the statements, in a transaction or, with tx nil, outside of any. The parameters may be used again afterwards.
func (m *Mirror) query(ctx context.Context, tx *sqlx.Tx, query string, parameters ...[]byte) (*sqlx.Rows, error) {
	stmt := m.statements.prepared[query]
	arguments := make([]any, len(parameters))
	for i, p := range parameters {
		arguments[i] = p // a driver that takes it as text need not copy it
		if stmt == nil || !m.statements.takesBytes {
			arguments[i] = string(p)
		}
	}
	switch {
	case stmt != nil && tx != nil:
		return tx.StmtxContext(ctx, stmt).QueryxContext(ctx, arguments...)
	case stmt != nil:
		return stmt.QueryxContext(ctx, arguments...)
	case tx != nil:
		return tx.QueryxContext(ctx, query, arguments...)
	default:
		return m.db.QueryxContext(ctx, query, arguments...)
	}
}

// selectAmong reads the rows of a query that names texts, such as ids, by [dialect.among].
func (m *Mirror) selectAmong(ctx context.Context, q sqlx.QueryerContext, rows any, query string, texts []string) error {
	parameter, err := json.Marshal(texts)
	if err != nil {
		return err
	}
	return sqlx.SelectContext(ctx, q, rows, m.SQL(query), string(parameter))
}

// affect runs a statement, and returns how many rows it wrote or removed.
func (m *Mirror) affect(ctx context.Context, e sqlx.ExecerContext, statement string, args ...any) (int64, error) {
	result, err := e.ExecContext(ctx, m.SQL(statement), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// finish reads what is left of rows and returns the error that ended them: that of a statement without rows comes no earlier.
func finish(rows *sqlx.Rows) error {
	for rows.Next() {
	}
	if err := rows.Close(); err != nil {
		return err
	}
	return rows.Err()
}

// mergeKind merges the pieces of one kind and returns the visible changes in the order of ids, and the hooks to be called for them.
func (m *Mirror) mergeKind(ctx context.Context, tx *sqlx.Tx, k *kind, pieces []*piece) ([]Change, []hookCall, error) {
	var own []*piece
	for _, p := range pieces {
		if !p.final && p.kind == k {
			own = append(own, p)
		}
	}
	if len(own) == 0 {
		return nil, nil, nil
	}
	folds := foldPieces(own)
	if err := m.strip(ctx, tx, folds); err != nil {
		return nil, nil, err
	}
	before, err := m.previous(ctx, tx, k, folds)
	if err != nil {
		return nil, nil, err
	}
	moved, err := m.insert(ctx, tx, k, folds)
	if moved == nil && err == nil {
		moved, err = m.merge(ctx, tx, k, folds)
	}
	if err != nil {
		return nil, nil, err
	}
	var still []string
	for _, f := range folds {
		if _, ok := moved[f.id]; !ok {
			still = append(still, f.id)
		}
	}
	stood, err := m.standings(ctx, tx, k, still)
	if err != nil {
		return nil, nil, err
	}
	var changes []Change
	for _, f := range folds {
		s, ok := moved[f.id]
		if !ok {
			s = stood[f.id]
		}
		f.judge(s)
		if s.told() {
			changes = append(changes, m.change(f, s))
		}
	}
	if k == sessions {
		if changes, err = m.remark(ctx, tx, folds, changes); err != nil {
			return nil, nil, err
		}
	}
	calls, err := m.calls(k, folds, changes, before)
	return changes, calls, err
}

// merge runs the merge statement, and returns where the rows that moved stand now.
func (m *Mirror) merge(ctx context.Context, tx *sqlx.Tx, k *kind, folds []*fold) (map[string]standing, error) {
	moved := make(map[string]standing, len(folds))
	err := writeRows(ctx, m, tx, m.statements.of[k.name].merge, k.mergedColumns(), folds, (*row).fold, func(rows *sqlx.Rows) error {
		return scanMoved(rows, moved)
	})
	return moved, err
}

// scanMoved reads what the merge statement returns.
func scanMoved(rows *sqlx.Rows, moved map[string]standing) error {
	defer rows.Close()
	for rows.Next() {
		var id string
		var hash []byte
		s := standing{moved: true}
		err := rows.Scan(&id, &s.wasVisible, &s.version, &s.changed,
			&s.key.Alive, &s.key.Updated, &s.key.Seen, &s.dead, &hash)
		if err != nil {
			return err
		}
		s.key.Hash = string(hash)
		moved[id] = s
	}
	return finish(rows)
}

// standings reads the merge columns of rows by id, in a transaction or, with tx nil, outside of any.
func (m *Mirror) standings(ctx context.Context, tx *sqlx.Tx, k *kind, ids []string) (map[string]standing, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	parameter, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	rows, err := m.query(ctx, tx, m.statements.of[k.name].standing, parameter)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	stood := make(map[string]standing, len(ids))
	for rows.Next() {
		var id string
		var hash []byte
		var s standing
		err := rows.Scan(&id, &s.key.Alive, &s.key.Updated, &s.key.Seen, &s.dead, &hash, &s.digest)
		if err != nil {
			return nil, err
		}
		s.key.Hash = string(hash)
		stood[id] = s
	}
	return stood, finish(rows)
}

// fold adds the cells of a fold, as [kind.mergedColumns] names them. One that arrives hidden brings no payload.
func (r *row) fold(f *fold) {
	last := f.live
	if last == nil || f.killer != nil && !f.state.Visible() {
		last = f.killer
	}
	at := stamp(time.UnixMilli(last.when()))
	hash, erasedAt, deletedAt := f.state.Key.Hash, "", ""
	if f.bare { // the hash of a person's data would tell whether a guess at them is right
		hash, erasedAt = erasedHash, at
	}
	if f.killer != nil {
		deletedAt = at
	}
	r.string(f.id)
	r.string(string(last.Source))
	r.string(at)
	r.int(f.state.Key.Alive)
	r.int(f.state.Key.Updated)
	r.int(f.state.Key.Seen)
	r.int(f.state.Dead)
	r.octets([]byte(hash))
	r.optional(erasedAt)
	switch {
	case f.bare:
		r.parents(f.live.object)
	case f.live != nil && f.state.Visible():
		r.piece(f.live)
	default:
		r.nulls(len(last.kind.columns))
		r.without()
	}
	r.optional(deletedAt)
}

// parents adds the cells that an object has when what it belongs to is erased.
func (r *row) parents(o *object) {
	for _, c := range o.kind.columns {
		if o.kind.stays(c) {
			r.cell(c.read(o))
		} else {
			r.cell(nil)
		}
	}
	r.without()
}

// without adds the cells of payloadColumns where there is no payload.
func (r *row) without() {
	r.nulls(len(payloadColumns) - 1)
	r.int(0) // _digest
}

func (r *row) piece(p *piece) {
	if p.cells == nil {
		r.object(p.object)
		return
	}
	r.cells = append(r.cells, p.cells...)
}

func (r *row) object(o *object) {
	for _, c := range o.kind.columns {
		r.cell(c.read(o))
	}
	r.optional(joinNames(o.unstorable))
	r.write(o.appendData(r.text))
	r.int(o.digest)
}

// change is the feed's row about a fold that changed its object visibly.
func (m *Mirror) change(f *fold, s standing) Change {
	by := f.live
	if !s.visible() || by == nil {
		by = f.killer
	}
	c := Change{Kind: by.kind.name, ObjectID: f.id, Op: s.transition(), Version: s.version, Source: by.Source, OccurredAt: time.UnixMilli(by.when()).UTC()}
	if by.Event != nil {
		c.EventID = by.Event.ID
	}
	c.Initial = c.Op == Created && by.object.created < m.Since(by.kind.name).UnixMilli()
	return c
}
