package reconcile

import (
	"context"
	"maps"
	"slices"

	clerksync "github.com/clerksync/clerksync/sync"
)

// What belongs to an object that is gone, goes with it: the mirror does not show it, and nothing is written about it. A pass walks
// parents first, so their children are no suspects when it comes to them. That leaves two cases: a parent that was deleted after
// the walk of its kind, and a dry run, which hides nobody.

// withoutOrphans returns the candidates whose parents this pass has not found to be gone.
func (l *leg) withoutOrphans(ctx context.Context, candidates []string) (rest []string, err error) {
	if !slices.ContainsFunc(l.legs, func(parents *leg) bool { return len(parents.gone) > 0 }) {
		return candidates, nil
	}
	for batch := range slices.Chunk(candidates, clerksync.Batch) {
		families, err := l.mirror.Families(ctx, l.kind, batch)
		if err != nil {
			return nil, err
		}
		orphans := map[string]bool{}
		for _, parents := range l.legs {
			for id, children := range families[parents.kind] {
				for _, child := range children {
					orphans[child] = orphans[child] || parents.gone[id]
				}
			}
		}
		for _, id := range batch {
			if !orphans[id] {
				rest = append(rest, id)
			}
		}
	}
	return rest, nil
}

// withParents returns those of a batch of candidates whose parents Clerk lists: about the others it would not answer. Their parents
// become candidates instead.
func (c *confirmation) withParents(ctx context.Context, batch []string) ([]string, error) {
	families, err := c.mirror.Families(ctx, c.kind, batch)
	if err != nil {
		return nil, err
	}
	orphans := map[string]bool{}
	for _, parents := range c.legs {
		family := families[parents.kind]
		if len(family) == 0 {
			continue
		}
		listed, err := c.reader.Present(ctx, parents.kind, slices.Collect(maps.Keys(family)))
		if err != nil {
			return nil, err
		}
		for _, s := range listed {
			delete(family, s.ID)
		}
		for _, children := range family {
			for _, child := range children {
				orphans[child] = true
			}
		}
		if err := parents.sweepMore(ctx, slices.Collect(maps.Keys(family))); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(batch, func(id string) bool { return orphans[id] }), nil
}

// sweepMore deletes what was found to be missing after the leg's own walk, unless that is known, the walk could not be ended, the guard
// has refused already, or only what a plan names may be deleted.
func (l *leg) sweepMore(ctx context.Context, missing []string) error {
	missing = slices.DeleteFunc(missing, func(id string) bool { return l.gone[id] })
	if l.order.Kind == Full && !l.complete || slices.Contains(l.report.Refused, l.kind) || l.order.Kind == Approved {
		return nil
	}
	return l.sweep(ctx, missing, 0)
}
