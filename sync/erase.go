package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
)

// Policy says what an erasure leaves of an object that Clerk has deleted. Every policy hides the object at once, and leaves its id
// and what the merge rule needs, so that late evidence cannot bring it back.
type Policy string

// The policies.
const (
	Hide      Policy = "hide"      // all of it: nothing is ever erased
	Anonymize Policy = "anonymize" // the id, the ids of its parents, and when it was created
	Hard      Policy = "hard"      // the id alone, and 100 days after it not even that
)

// Erasure is an order to erase one object.
type Erasure struct {
	Kind   Kind
	ID     string
	Policy Policy // Anonymize or Hard; anything else counts as Anonymize
	Source Source // who orders it, as the feed tells it
	Force  bool   // erase also what is visible; it is hidden first, until later evidence shows it again
}

// Erased tells what an erasure removed. What the values were stays inside, for [Mirror.Remnants].
type Erased struct {
	Kind   Kind
	ID     string
	Known  bool           // the mirror has a row of it
	Rows   map[Kind]int64 // how many rows were emptied: its own and those of what belongs to it
	Events int64          // how many kept events lost their content

	ids    map[Kind][]string // of its own row and those of what belongs to it, also if they were empty before
	values []string          // what was personal
}

// Plus returns what two erasures of the same object did together.
func (e Erased) Plus(next Erased) Erased {
	next.Known = e.Known || next.Known
	next.Events += e.Events
	for k, n := range e.Rows {
		next.Rows[k] += n
	}
	next.values = append(e.values, next.values...)
	return next
}

// Erase empties a hidden object of all that is personal, in one transaction: its row, the rows of what belongs to it, of which the
// ids are left, and the content of kept events that name it. What was erased before is left as it is, so erasing twice, or in
// several processes at once, does no harm. An object without a row loses its events alone.
//
// Of what belongs to an erased object, evidence that comes later is kept by its ids alone; a later live read or event of the object
// itself brings everything back.
//
// The error is [ErrVisible] if the object is not hidden, [ErrHook] if a hook failed and [ErrConstraint] if a constraint or a trigger of
// the team's did, so that nothing is erased, and [ErrUnavailable] if the database cannot answer.
func (m *Mirror) Erase(ctx context.Context, order Erasure) (Erased, error) {
	k, known := describe(order.Kind)
	if !known {
		return Erased{}, fmt.Errorf("erasing an object of %q: no such kind", order.Kind)
	}
	if m.isHook(ctx) {
		return Erased{}, fmt.Errorf("erasing %s: %w", order.ID, errFromHook)
	}
	order.ID = plain(order.ID)
	for agreed := false; ; {
		begun := time.Now()
		e := &eraser{mirror: m, order: order, kind: k}
		written := false
		err := m.inTransaction(ctx, func(tx *sqlx.Tx) error {
			err := e.erase(ctx, tx)
			written = err == nil
			return err
		})
		if written { // with an error only where that is the answer to COMMIT
			m.tell(Commit{Changes: e.changes, Duration: time.Since(begun), Unknown: err != nil})
		}
		switch {
		case err == nil:
			return e.done, nil
		case errors.Is(err, ErrVisible), errors.Is(err, ErrHook):
			return Erased{}, fmt.Errorf("erasing %s: %w", order.ID, err)
		case violated(err) && !agreed:
			if agreed, _ = m.renumber(ctx, func(k *kind) []string { return e.done.ids[k.name] }); !agreed {
				return Erased{}, fmt.Errorf("erasing %s: %w", order.ID, constraint(err))
			}
		case diagnose(err) == poison:
			return Erased{}, fmt.Errorf("erasing %s: %w", order.ID, constraint(err))
		case diagnose(err) != clash || sqlState(err) == lockTimeout || ctx.Err() != nil:
			return Erased{}, fmt.Errorf("erasing %s: %w", order.ID, unavailable(err))
		}
	}
}

// togetherInErasure is how many calls of hooks share the time that those of a commit have: thousands of rows may belong to an object, all of
// which must be erased together, and hardly anybody waits for rows of what is hidden.
const togetherInErasure = 20

// eraser is one erasure on its way. It locks in the order of a commit: kinds, then events, then the feed.
type eraser struct {
	mirror  *Mirror
	order   Erasure
	kind    *kind
	done    Erased
	changes []Change
	before  map[Kind]map[string][]byte // what rows held, for hooks

	ids       []string // of the object and of what belongs to it
	addresses []string // the object's that are proven, unless they are somebody else's by now
}

func (e *eraser) erase(ctx context.Context, tx *sqlx.Tx) error {
	e.done = Erased{Kind: e.order.Kind, ID: e.order.ID, Rows: map[Kind]int64{}, ids: map[Kind][]string{}}
	e.before = map[Kind]map[string][]byte{}
	e.ids = []string{e.order.ID}
	own, err := e.look(ctx, tx, e.kind, "id = $1", e.order.ID)
	if err != nil {
		return err
	}
	e.done.Known = len(own) > 0
	var addresses []string
	for _, row := range own {
		if row.visible && !e.order.Force {
			return ErrVisible
		}
		for _, address := range row.addresses(e.kind, true) {
			addresses = append(addresses, address, strings.ToLower(address)) // as Clerk and most programs write it
		}
		slices.Sort(addresses)
		addresses = slices.Compact(addresses)
	}
	if err := e.empty(ctx, tx, e.kind, own); err != nil {
		return err
	}
	if e.addresses, err = e.abandoned(ctx, tx, addresses); err != nil {
		return err
	}
	for _, child := range kinds {
		rows, err := e.children(ctx, tx, child)
		if err != nil {
			return err
		}
		for _, row := range rows {
			e.ids = append(e.ids, row.id)
		}
		if err := e.empty(ctx, tx, child, rows); err != nil {
			return err
		}
	}
	if err := e.emptyEvents(ctx, tx); err != nil {
		return err
	}
	if err := e.callHooks(ctx, tx); err != nil {
		return err
	}
	if err := e.mirror.feed(ctx, tx, e.changes); err != nil {
		return err
	}
	return e.mirror.auditCommit(ctx, tx, nil, e.changes)
}

// callHooks calls the hooks of an erasure, and then has its last statements take as long as before: thousands of changes may be told at once.
func (e *eraser) callHooks(ctx context.Context, tx *sqlx.Tx) error {
	calls := e.mirror.erasureCalls(e.changes, e.before)
	if len(calls) == 0 {
		return nil
	}
	limit, err := e.mirror.queryLimit(ctx, tx)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(calls, togetherInErasure) {
		if err := e.mirror.callHooks(ctx, tx, some); err != nil {
			return err
		}
	}
	return e.mirror.limitQueries(ctx, tx, limit)
}
