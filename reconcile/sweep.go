package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	clerksync "github.com/clerksync/clerksync/sync"
)

// lookAside looks for suspects among the objects that the list leaves out unless it is asked for them. What is there is not gone, so the
// guard has no say about it.
func (l *leg) lookAside(ctx context.Context, seen *ledger) error {
	aside, at := l.kind.Aside(), start(l.kind)
	for aside != nil && len(seen.Suspects) > 0 {
		query := at.query(l.cfg.pageSize)
		maps.Copy(query, aside)
		page, err := l.reader.List(ctx, l.kind, query)
		if err != nil {
			return err
		}
		var found []clerksync.Sighting
		for _, s := range page {
			if seen.Suspects[s.ID] {
				delete(seen.Suspects, s.ID)
				found = append(found, s)
			}
		}
		if err := l.merge(ctx, found); err != nil {
			return err
		}
		next := at.after(page)
		if len(page) < l.cfg.pageSize || next.Last == at.Last { // it repeats itself
			return nil
		}
		at = next
	}
	return nil
}

// judged is how many suspects are looked up at once.
const judged = 1000

// judge returns the suspects that were last known to be alive at an instant or earlier. Those that were seen alive later are pending;
// those that are not visible any more have been deleted meanwhile.
func (l *leg) judge(ctx context.Context, seen *ledger, instant int64) (candidates []string, err error) {
	var pending []string
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(seen.Suspects)), judged) {
		alive, err := l.mirror.Alive(ctx, l.kind, ids)
		if err != nil {
			return nil, err
		}
		for id, at := range alive {
			if at <= instant {
				candidates = append(candidates, id)
			} else {
				pending = append(pending, id)
			}
		}
	}
	if len(pending) > 0 {
		l.pending[l.kind] = pending
	}
	l.counts.Pending += int64(len(pending))
	return candidates, nil
}

// late asks for the rows that a full pass left undecided.
func (p *pass) late(ctx context.Context) error {
	p.report.Complete = true
	var errs []error
	for _, l := range p.legs {
		errs = append(errs, l.sweep(ctx, p.pending[l.kind], 0))
	}
	return errors.Join(append(errs, p.plan(ctx))...)
}

// sweep deletes candidates, if the guard lets it; excess is how many there are beyond those given. The guard never believes a list
// that is empty.
func (l *leg) sweep(ctx context.Context, candidates []string, excess int64) error {
	candidates, err := l.withoutOrphans(ctx, candidates)
	if err != nil || len(candidates) == 0 && excess == 0 {
		return err
	}
	l.counts.Candidates += int64(len(candidates)) + excess
	visible, err := l.mirror.CountVisible(ctx, l.kind)
	if err != nil {
		return err
	}
	allowed := l.cfg.allows(visible)
	switch {
	case l.order.Kind == Full && l.counts.Seen == 0:
		l.withhold(candidates, excess)
		return fmt.Errorf("Clerk lists none at all of the %d %s, which is not believed: %w", visible, l.kind, ErrGuard)
	case l.counts.Candidates > allowed:
		l.withhold(candidates, excess)
		return fmt.Errorf("%d of %d %s are missing from Clerk's list, and a pass deletes at most %d: %w",
			l.counts.Candidates, visible, l.kind, allowed, ErrGuard)
	}
	return l.confirm(ctx, candidates)
}
