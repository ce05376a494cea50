package sync

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// shortcutStatement does in one statement, which is a transaction and one round trip, what most batches ask for: it merges live evidence
// into rows that are visible or come into being, writes the events that told it, and appends the changes to the feed. Rows of which there
// is more to say (hidden ones, and those that do not move) it leaves as they are, with their events: what it returns is what it did. Its
// parameters are those of mergeStatement and logStatement; an event that names the object it is about takes its outcome, unless it has
// one, from what became of that. It locks what the other statements lock, in the same order. Where that cannot be, it does nothing: see
// untriggered.
func (d dialect) shortcutStatement(k *kind) string {
	const (
		op     = "CASE WHEN o._was_visible THEN 'updated' ELSE 'created' END"
		judged = "coalesce(e.outcome, CASE WHEN o._changed THEN " + op + " ELSE 'refreshed' END)"
	)
	merge := d.mergeWhere(k, d.untriggered(string(k.name), "events"), "[newer] AND [was visible] AND [visible] AND r.erased_at IS NULL")
	before := len(k.mergedColumns())
	told, exprs := d.given(before, offeredColumns)
	exprs = replaced(exprs[:len(eventColumns)], "e.outcome", judged)
	events := d.insertEvents(told+" JOIN merged AS o ON o.id = e.about", exprs)
	feed, exprs := d.given(before+len(offeredColumns), changeColumns)
	exprs = replaced(exprs, "e.op", op, "e.version", "o._version", "e.initial", "e.initial AND NOT o._was_visible")
	changes := d.insertChanges("locked CROSS JOIN "+feed+" JOIN merged AS o ON o.id = e.object_id AND o._changed", exprs)
	return "WITH " + hardenedSQL + ", merged AS (" + merge + "),\nkept AS (" + events + " RETURNING r.id),\n" +
		d.locked("CROSS JOIN (SELECT count(*) FROM merged) AS m CROSS JOIN (SELECT count(*) FROM kept) AS n") + ", told AS (" + changes + ` ORDER BY o.id COLLATE "C" RETURNING 1)` +
		"\nSELECT merged.* FROM merged CROSS JOIN hardened"
}

// offeredColumns are those of events whose outcome is that of the object which the last one names.
var offeredColumns = append(slices.Clone(eventColumns), column{"about", text, nil})

// replaced returns expressions of which some, each followed by another one, stand for that.
func replaced(exprs []string, pairs ...string) []string {
	exprs = slices.Clone(exprs)
	for i := 0; i < len(pairs); i += 2 {
		exprs[slices.Index(exprs, pairs[i])] = pairs[i+1]
	}
	return exprs
}

// untriggered is a condition: no trigger of the team's runs after rows of the tables were written, be it that of a foreign key to another
// table or of a constraint that is checked late. Those of a statement run when all of it is done, so here they would hold the feed's lock
// while they wait for rows of the team's. They may be added at any time, so each statement asks.
func (d dialect) untriggered(tables ...string) string {
	literals := make([]string, len(tables))
	for i, table := range tables {
		literals[i] = "'" + strings.ReplaceAll(d.table(table), "'", "''") + "'::regclass::oid"
	}
	return `NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger
WHERE tgrelid IN (` + strings.Join(literals, ", ") + `) AND tgenabled <> 'D' AND tgtype & 2::smallint = 0::smallint AND NOT tginitdeferred
AND (NOT tgisinternal OR tgfoid IN ('pg_catalog."RI_FKey_check_ins"'::regproc::oid, 'pg_catalog."RI_FKey_check_upd"'::regproc::oid, 'pg_catalog.unique_key_recheck'::regproc::oid)))`
}

// large is how many pieces make a batch large. While a smaller one is on its way, those who wait for it become more, which saves more than
// waiting costs. Beside a large one, the next one begins.
const large = 32

// farTrip is how long the round trip takes to a database that is far, with a network between. A busy machine, as one is while everything
// starts, makes one to a near database as long now and then, so patience is spent on finding a short one.
const (
	farTrip      = 250 * time.Microsecond
	fewestTrips  = 3
	tripPatience = 50 * time.Millisecond
)

// measure finds out whether the database is far. A large batch of a near one spends little time on round trips, and takes them all: so the
// next one can begin when it has merged, before it is done. In a far one, it takes the shortcut.
func (m *Mirror) measure(ctx context.Context) (err error) {
	if !m.dialect.postgres {
		return nil
	}
	m.far, err = isFar(func() (time.Duration, error) {
		begun := time.Now()
		_, err := m.db.ExecContext(ctx, `SELECT`)
		return time.Since(begun), err
	})
	if err != nil {
		return fmt.Errorf("measuring the way to the database: %w", unavailable(err))
	}
	return nil
}

// isFar reports whether no round trip is short. The first short one is enough.
func isFar(trip func() (time.Duration, error)) (bool, error) {
	var spent time.Duration
	for trips := 0; trips < fewestTrips || spent < tripPatience; trips++ {
		took, err := trip()
		if err != nil || took < farTrip {
			return false, err
		}
		spent += took
	}
	return true, nil
}

// takeShortcut commits what shortcutStatement can of a batch, marks it as done, and returns what each of its transactions did.
func (m *Mirror) takeShortcut(ctx context.Context, batch []*request) (commits []Commit, err error) {
	pieces := 0
	for _, r := range batch {
		if pieces += len(r.pieces); r.pinned == "" {
			return nil, nil
		}
	}
	if !m.dialect.postgres || pieces >= large && !m.far {
		return nil, nil
	}
	for _, k := range kinds {
		folds := m.shortcutFolds(k, batch)
		if len(folds) == 0 {
			continue
		}
		if pieces >= large {
			batch[0].handOn()
		}
		begun := time.Now()
		changes, merged, err := m.mergeAtOnce(ctx, k, folds)
		if err != nil {
			if diagnose(err) == outage {
				commits = append(commits, unanswered(k, folds))
			}
			return commits, err
		}
		commits = append(commits, Commit{Changes: changes, Pieces: merged, Duration: time.Since(begun)})
	}
	return commits, nil
}

// unanswered is a commit of which nothing is known but what it is about.
func unanswered(k *kind, folds []*fold) Commit {
	c := Commit{Unknown: true}
	for _, f := range folds {
		c.Changes = append(c.Changes, Change{Kind: k.name, ObjectID: f.id, Op: Updated})
	}
	return c
}

// shortcutFolds are those of a batch that shortcutStatement may take: live evidence of which nothing is read, hooked or audited in its
// transaction, nor kept of its events' content.
func (m *Mirror) shortcutFolds(k *kind, batch []*request) []*fold {
	if m.hooked(k) || len(k.parents) > 0 || m.cfg.EventPayloads == PayloadsAll {
		return nil
	}
	var pieces []*piece
	for _, r := range batch {
		for _, p := range r.pieces {
			if !p.final && p.kind == k && !r.tellsMore(p) {
				pieces = append(pieces, p)
			}
		}
	}
	return slices.DeleteFunc(foldPieces(pieces), func(f *fold) bool { return f.killer != nil || f.fresh() })
}

// tellsMore reports whether the event that told a piece told others, too: its row must wait for them all.
func (r *request) tellsMore(p *piece) bool {
	return p.Event != nil && slices.ContainsFunc(r.pieces, func(other *piece) bool { return other != p && other.Event == p.Event })
}

// mergeAtOnce runs shortcutStatement, and tells the pieces of what it did what became of them.
func (m *Mirror) mergeAtOnce(ctx context.Context, k *kind, folds []*fold) (changes []Change, pieces int, err error) {
	offered, events := m.offer(folds)
	first, second, third := m.sheets.take(), m.sheets.take(), m.sheets.take()
	defer func() { m.sheets.put(first); m.sheets.put(second); m.sheets.put(third) }()
	answer, err := m.query(ctx, nil, m.statements.of[k.name].shortcut, slices.Concat(
		fill(first, k.mergedColumns(), folds, (*row).fold),
		fill(second, offeredColumns, events, (*row).offeredEvent),
		fill(third, changeColumns, offered, (*row).change),
	)...)
	if err != nil {
		return nil, 0, err
	}
	moved := make(map[string]standing, len(folds))
	if err := scanMoved(answer, moved); err != nil {
		return nil, 0, err
	}
	for _, f := range folds {
		s, ok := moved[f.id]
		if !ok {
			continue
		}
		f.judge(s)
		for _, p := range f.pieces {
			p.final, p.done = true, true
		}
		if pieces += len(f.pieces); s.told() {
			changes = append(changes, m.change(f, s))
		}
	}
	return changes, pieces, nil
}

// offer returns the changes and events to write where each object's row ends as its fold does, which is all that shortcutStatement
// writes: what else there is to know of them, it knows itself.
func (m *Mirror) offer(folds []*fold) (changes []Change, events []*eventRow) {
	told := make(map[string]*fold, len(folds))
	var pieces []*piece
	for _, f := range folds {
		ends := standing{moved: true, key: f.state.Key, dead: f.state.Dead, version: 1, changed: true}
		f.judge(ends)
		changes = append(changes, m.change(f, ends))
		for _, p := range f.pieces {
			if p.Event != nil {
				told[p.Event.ID] = f
			}
		}
		pieces = append(pieces, f.pieces...)
	}
	events = m.gatherEvents(pieces)
	for _, e := range events {
		f := told[e.id]
		e.about = f.id
		if f.live.Event != nil && f.live.Event.ID == e.id {
			e.outcome = ""
		}
	}
	return changes, events
}
