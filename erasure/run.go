package erasure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/crash"
)

// How many objects are asked for side by side, and how many of a kind may stay in doubt before the rest is left to the next run.
// Where Clerk does not answer by id, each answer takes the read margin: they wait for it together.
const (
	askers    = 4
	waiters   = 500
	maxDoubts = 20
)

const (
	verifyBatch = 1000           // objects whose old values are held in memory
	returnTime  = 48 * time.Hour // for how long what belongs to an erased object is looked for once more
	wholeSearch = 200_000        // visible objects up to which a run looks through all of their rows, too, which takes some seconds
)

// RunOnce erases what is due. Under clerksync.Hide that is nothing. Its report is meaningful also beside an error: [ErrRemains],
// clerksync.ErrWrongInstance, or any other where trying again may help. An object that could not be decided about is no error.
func (e *Eraser) RunOnce(ctx context.Context) (Report, error) {
	r := &run{Eraser: e, report: Report{Objects: map[clerksync.Kind]int64{}, Rows: map[clerksync.Kind]int64{}}}
	if err := e.cfg.check(); err != nil {
		return r.report, err
	}
	if e.cfg.Policy == clerksync.Hide {
		return r.report, nil
	}
	if err := r.erase(ctx); err != nil {
		return r.report, fmt.Errorf("erasing what is due: %w", err)
	}
	return r.report, nil
}

// run is one run.
type run struct {
	*Eraser

	mu     sync.Mutex // guards what follows
	report Report
	done   []clerksync.Erased // not yet looked for
	doubts int                // of what is being erased
	doubt  error              // the last one
}

func (r *run) erase(ctx context.Context) (err error) {
	for _, k := range clerksync.Kinds() {
		err = errors.Join(err, r.kind(ctx, k), r.returned(ctx, k))
		if ctx.Err() != nil || errors.Is(err, clerksync.ErrWrongInstance) || errors.Is(err, clerksync.ErrUnavailable) {
			break
		}
	}
	err = errors.Join(err, r.verify(ctx))
	if err == nil && r.cfg.Policy == clerksync.Hard {
		r.report.Tombstones, err = r.cfg.Mirror.PruneTombstones(ctx)
	}
	if r.report.Total() > 0 || r.report.Waiting > 0 || r.report.Spared > 0 || r.report.Tombstones > 0 {
		r.cfg.Logger.Info("erased what is due", "objects", r.report.Total(), "events", r.report.Events, "spared", r.report.Spared,
			"waiting", r.report.Waiting, "tombstones", r.report.Tombstones, "alike", r.report.Alike)
	}
	return err
}

// kind erases what is due of one kind.
func (r *run) kind(ctx context.Context, k clerksync.Kind) error {
	defer r.tell(k)
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(askers)
	if k.Askable() && !k.ByID() {
		group.SetLimit(waiters)
	}
	var listing error
	for id, err := range r.cfg.Mirror.Due(within, k, r.cfg.After) {
		if err != nil {
			listing = err
			break
		}
		if r.enough() {
			break
		}
		group.Go(crash.Contained(func() error { return r.one(within, k, id) }))
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return listing
}

// tell tells an operator of the objects of a kind that wait, and counts from none again.
func (r *run) tell(k clerksync.Kind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doubts > 0 {
		r.cfg.Logger.Warn("some deletions could not be confirmed, or carried out, and wait", "resource", k, "objects", r.doubts, "error", r.doubt)
	}
	r.doubts = 0
}

func (r *run) enough() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doubts >= maxDoubts
}

// wait counts an object that waits for the next run.
func (r *run) wait(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubts, r.doubt = r.doubts+1, why
	r.report.Waiting++
}

// one asks about one object, and erases it if nothing speaks against that. Its error ends the run.
func (r *run) one(ctx context.Context, k clerksync.Kind, id string) error {
	if r.enough() {
		return nil
	}
	lives, err := r.ask(ctx, k, id)
	switch {
	case errors.Is(err, clerksync.ErrWrongInstance), err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		r.wait(err)
		return nil
	case lives:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.report.Spared++
		return nil
	}
	return r.remove(ctx, k, id, 1)
}

// ask asks Clerk for an object, where that is possible, and merges the answer: what Clerk has becomes visible again.
func (r *run) ask(ctx context.Context, k clerksync.Kind, id string) (lives bool, err error) {
	if r.reader == nil || !k.Askable() {
		return false, nil
	}
	read, err := r.reader.Get(ctx, k, id)
	switch {
	case errors.Is(err, clerksync.ErrNotFound): // the mirror never had it, and has nothing of it to lose
		return false, nil
	case err != nil:
		return false, err
	}
	_, err = r.cfg.Mirror.Apply(ctx, read)
	return read.Object != nil, err
}

// remove erases an object that nothing speaks for; counted is 0 for one that was erased before.
func (r *run) remove(ctx context.Context, k clerksync.Kind, id string, counted int64) error {
	done, err := r.cfg.Mirror.Erase(ctx, clerksync.Erasure{Kind: k, ID: id, Policy: r.cfg.Policy, Source: clerksync.Upkeep})
	switch {
	case errors.Is(err, clerksync.ErrVisible): // it has come back meanwhile
		return nil
	case errors.Is(err, clerksync.ErrHook), errors.Is(err, clerksync.ErrConstraint): // which the others need not wait for
		r.cfg.Logger.Warn("an erasure waits", "resource", k, "id", id, "error", err)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.report.Waiting++
		return nil
	case errors.Is(err, clerksync.ErrUnavailable) && ctx.Err() == nil: // somebody may hold a row of it, which the others need not wait for
		r.wait(err)
		return nil
	case err != nil:
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Objects[k] += counted
	r.report.add(done)
	if r.done = append(r.done, done); len(r.done) < verifyBatch {
		return nil
	}
	return r.look(ctx)
}

// returned erases once more those objects to which something came back. Doubts about others do not hinder it: it is looked for during
// two days only, and Clerk need not be asked.
func (r *run) returned(ctx context.Context, k clerksync.Kind) error {
	defer r.tell(k)
	ids, err := r.cfg.Mirror.Returned(ctx, k, returnTime)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if r.enough() {
			break
		}
		if err := r.remove(ctx, k, id, 0); err != nil {
			return err
		}
	}
	return nil
}

// verify looks for what was erased.
func (r *run) verify(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.look(ctx)
}

func (r *run) look(ctx context.Context) error {
	if len(r.done) == 0 {
		return nil
	}
	few, err := r.few(ctx)
	if err != nil {
		return err
	}
	left, err := r.cfg.Mirror.Remnants(ctx, few, r.done...)
	r.done = nil
	if err != nil {
		return err
	}
	for _, l := range left {
		if l.Other {
			r.report.Alike += l.Rows
		}
	}
	return remains(left)
}

// few reports whether there are so few objects that all can be looked through. Where there are more, the rows that were erased will
// do: what others hold is what Clerk tells about them, and no failure of an erasure.
func (r *run) few(ctx context.Context) (bool, error) {
	all := int64(0)
	for _, k := range clerksync.Kinds() {
		n, err := r.cfg.Mirror.CountVisible(ctx, k)
		if err != nil {
			return false, err
		}
		if all += n; all > r.cfg.wholeSearch {
			return false, nil
		}
	}
	return true, nil
}

// remains is the error of remnants that are not other objects' own.
func remains(left []clerksync.Remnant) (err error) {
	for _, l := range left {
		if !l.Other {
			err = errors.Join(err, fmt.Errorf("%w: column %s of the table %s, in %d rows", ErrRemains, l.Column, l.Table, l.Rows))
		}
	}
	return err
}
