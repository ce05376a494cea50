package erasure

import (
	"context"
	"errors"
	"fmt"
	"strings"

	clerksync "github.com/clerksync/clerksync/sync"
)

// Order is an operator's order about one object.
type Order struct {
	Kind clerksync.Kind
	ID   string

	// Force erases the object also if Clerk or the mirror has it. Then the next pass or event shows it again.
	Force bool
}

// Outcome is what an erasure by order did.
type Outcome struct {
	clerksync.Erased
	Left []clerksync.Remnant // where the same values are left
}

// tries is how often an order is carried out while what belongs to the object comes back in that very moment.
const tries = 3

// Erase erases one object now, whatever the hold-back, and looks for what it erased in the whole schema. Clerk is asked first: the
// error is [ErrLives] where it has the object, unless the order is to be forced. It is clerksync.ErrWrongInstance for another
// instance's key even then, [ErrRecent] for an object that Clerk had moments ago, clerksync.ErrVisible for one that nobody said was
// deleted where Clerk cannot be asked, [ErrUnknown] where there is nothing to erase, and [ErrRemains], beside a meaningful outcome,
// where something is left.
func (e *Eraser) Erase(ctx context.Context, o Order) (Outcome, error) {
	if err := e.cfg.check(); err != nil {
		return Outcome{}, err
	}
	gone, err := e.permit(ctx, o)
	if err != nil {
		return Outcome{}, err
	}
	var out Outcome
	left := !e.cfg.Mirror.Mirrors(o.Kind) // of a kind that was kept once: no evidence hides it, so Clerk's word must do
	for range tries {
		done, err := e.cfg.Mirror.Erase(ctx, clerksync.Erasure{
			Kind: o.Kind, ID: o.ID, Policy: e.cfg.Policy, Source: clerksync.Operator, Force: o.Force || left && gone != nil,
		})
		if errors.Is(err, clerksync.ErrVisible) && e.reader != nil && o.Kind.Askable() {
			return Outcome{}, fmt.Errorf("Clerk does not have it any more: %w", ErrRecent)
		}
		if err != nil {
			return Outcome{}, err
		}
		if !done.Known && done.Events == 0 && len(done.Rows) == 0 {
			return Outcome{}, ErrUnknown
		}
		out.add(done)
		if !done.Known && gone != nil { // what comes late about it must not fill again what was emptied
			if _, err := e.cfg.Mirror.Apply(ctx, *gone); err != nil {
				return out, err
			}
			gone = nil
			continue
		}
		if out.Left, err = e.cfg.Mirror.Remnants(ctx, true, out.Erased); err != nil {
			return out, err
		}
		if remains(out.Left) == nil {
			break
		}
	}
	return out, remains(out.Left)
}

// add adds what a further try did.
func (o *Outcome) add(done clerksync.Erased) {
	if o.ID == "" {
		o.Erased = done
		return
	}
	o.Erased = o.Plus(done)
}

// permit asks Clerk whether it still has the object, and returns the evidence that it has not, if it was asked for that.
func (e *Eraser) permit(ctx context.Context, o Order) (gone *clerksync.Evidence, err error) {
	if e.reader == nil {
		return nil, nil
	}
	if _, err := e.reader.Instance(ctx); errors.Is(err, clerksync.ErrWrongInstance) || err != nil && !o.Force {
		return nil, err
	}
	if o.Force || !o.Kind.Askable() {
		return nil, nil
	}
	read, err := e.reader.Get(ctx, o.Kind, o.ID)
	if errors.Is(err, clerksync.ErrNotFound) { // the mirror never had it, so that it cannot even ask
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	known, _, err := e.cfg.Mirror.Find(ctx, o.Kind, o.ID)
	if err == nil && known {
		_, err = e.cfg.Mirror.Apply(ctx, read)
	}
	if err == nil && read.Object != nil {
		err = ErrLives
	}
	return &read, err
}

// Restore undoes the deletion of an object that Clerk has after all, by reading it again. It reports false for one that is not deleted.
// The error is [ErrUnknown] for an object that the mirror does not know, [ErrGone] where Clerk does not have it, and [ErrRecent] where
// it was deleted so recently that what Clerk answers may be older.
func (e *Eraser) Restore(ctx context.Context, o Order) (restored bool, err error) {
	if err := e.cfg.check(); err != nil {
		return false, err
	}
	known, visible, err := e.cfg.Mirror.Find(ctx, o.Kind, o.ID)
	switch {
	case err != nil:
		return false, err
	case !known:
		return false, ErrUnknown
	case visible:
		return false, nil
	case !e.cfg.Mirror.Mirrors(o.Kind):
		return false, fmt.Errorf("the mirror does not keep %s any more, so that none becomes visible", strings.ReplaceAll(string(o.Kind), "_", " "))
	}
	if e.reader == nil {
		return false, errors.New("Clerk cannot be asked without a key")
	}
	read, err := e.reader.Get(ctx, o.Kind, o.ID)
	if err != nil {
		return false, err
	}
	if _, err := e.cfg.Mirror.Apply(ctx, read); err != nil {
		return false, err
	}
	if read.Object == nil {
		return false, ErrGone
	}
	if _, visible, err = e.cfg.Mirror.Find(ctx, o.Kind, o.ID); err != nil {
		return false, err
	}
	if !visible {
		return false, fmt.Errorf("it was deleted: %w", ErrRecent)
	}
	err = e.cfg.Mirror.Record(ctx, nil, clerksync.AuditEntry{
		Action: clerksync.AuditRestored, Kind: o.Kind, ObjectID: o.ID, Source: clerksync.Operator,
	})
	return true, err
}
