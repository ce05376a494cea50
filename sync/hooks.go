package sync

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// Hooks are functions of the team's, by the kind of the objects that they care for. They work in the transaction of a change, so
// what they write is committed with it or not at all:
//
//	clerksync.Hooks{clerksync.Users: {
//		OnCreated: func(ctx context.Context, tx *sqlx.Tx, t clerksync.Transition) error {
//			_, err := tx.ExecContext(ctx, `INSERT INTO workspaces (owner) VALUES ($1)`, t.ObjectID)
//			return err
//		},
//	}}
//
// Only a process that has the hooks calls them, so all that feed one mirror must have them. What need not be written together with
// the change, or talks to others, is better called after the commit: see package feed.
type Hooks map[Kind]KindHooks

// KindHooks are the hooks for one kind of objects. Each is called once for each change of its sort; nil means that nobody is.
//
// A deletion may be hearsay: a webhook told it, and [Change.Confirmed] reports whether more is known. What cannot be undone belongs
// into OnErased.
type KindHooks struct {
	OnCreated    Hook
	OnUpdated    Hook
	OnDeleted    Hook // hidden; what is known of it can still come back
	OnRevived    Hook // it was deleted and exists after all
	OnErased     Hook // emptied of personal data: its own, or with what it belonged to
	OnSuspicious Hook // sessions alone: a remark on a sign-in, after OnCreated; Reasons says why

	// Initial calls OnCreated also for objects that are older than the mirror. False leaves those out, of which a first pass makes
	// one for each object.
	Initial bool
}

// Hook is called in the transaction of a change, after the merge and before the commit, with a savepoint set. It may be called by several
// goroutines at once, for different objects, and runs on a goroutine of its own. It must
//
//   - use tx alone, since another connection of a pool that has no more to give is waited for in vain
//   - close the rows that it reads
//   - neither commit nor roll back
//   - not call [Mirror.Apply] or [Mirror.Erase] of its mirror, which would wait for it and, with the hook's context, fail at once
//   - return when ctx ends
//
// All hooks of a transaction together have 3 seconds, on SQLite 10, and where that is too little for all of them, they are called in
// several transactions. In an erasure, to which thousands may belong, each 20 of them have. One that goes on for another second is left
// behind, and may hold the transaction's connection for as long.
//
// If it returns an error or panics, nothing of the object's change is committed, nor of the event that told it, while all else in the
// transaction is. The event waits in quarantine and is tried again by itself, first after 10 seconds and in the end every hour; what
// a read told is found again by the next pass. The error's text is kept nowhere, since it could quote somebody, so a hook that wants
// its failure to be known logs it.
//
// A transaction may be tried again, and then its hooks are called again: what a hook writes by tx counts once, what else it does
// may have happened more than once, and for nothing.
type Hook func(ctx context.Context, tx *sqlx.Tx, t Transition) error

// Transition is a change, and what it changed.
type Transition struct {
	Change // Seq and WrittenAt are not known yet

	// Before and After are Clerk's JSON of the object as the mirror had it and has it, less what is not stored. Before is nil where
	// the mirror had nothing: the object is new to it, or was erased. After is nil unless the object is visible.
	Before, After []byte

	// Fields are those members of Clerk's object, in alphabetical order, that differ between Before and After and count as a change;
	// nil unless there are both.
	Fields []string
}

// Confirmed reports whether a deletion or erasure is more than hearsay: Clerk denied the object when it was asked for by its id, or
// it was hidden long enough to be erased, or an operator ordered it. Of any other change it is false.
func (c Change) Confirmed() bool {
	return c.Op == ErasedOp || c.Op == Deleted && c.Source != Webhook
}

// of returns the hook for a sort of change, and its name.
func (h KindHooks) of(op Outcome) (Hook, string) {
	switch op {
	case Created:
		return h.OnCreated, "OnCreated"
	case Updated:
		return h.OnUpdated, "OnUpdated"
	case Deleted:
		return h.OnDeleted, "OnDeleted"
	case Revived:
		return h.OnRevived, "OnRevived"
	case ErasedOp:
		return h.OnErased, "OnErased"
	case Suspicious:
		return h.OnSuspicious, "OnSuspicious"
	}
	return nil, ""
}

func (m *Mirror) hooked(k *kind) bool {
	_, hooked := m.cfg.Hooks[k.name]
	return hooked
}

// check makes sure that hooks can ever be called.
func (h Hooks) check(m *Mirror) error {
	for k := range h {
		if !m.Mirrors(k) {
			return fmt.Errorf("there are hooks for %q, which is not mirrored: name it among Config.Kinds", k)
		}
	}
	return nil
}
