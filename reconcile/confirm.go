package reconcile

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/crash"
)

// How many candidates are asked for side by side, and how many may stay in doubt before the rest is left to the next pass. Where
// Clerk does not answer by id, each answer takes the read margin: they wait for it together.
const (
	confirmers = 4
	waiters    = 500
	maxDoubts  = 4
)

// confirmation asks Clerk about candidates, one by one.
type confirmation struct {
	*leg
	answers []clerksync.Sighting // what Clerk told and is not applied yet; guarded by the pass's mu, as is the rest
	settled int                  // candidates about which it told
	doubts  int                  // those about which it was asked, and could not tell
	doubt   error                // why, the first time: of one of those, if there is any
}

// confirm deletes those candidates that Clerk, asked for each one, answers with a 404. Those that it has after all are applied.
// One about which it cannot tell stays pending and does not keep the others.
func (l *leg) confirm(ctx context.Context, candidates []string) error {
	slices.Sort(candidates)
	c := &confirmation{leg: l}
	defer func() { l.counts.Pending += int64(len(candidates) - c.settled) }()
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(confirmers)
	if !l.kind.ByID() {
		group.SetLimit(waiters)
	}
	for batch := range slices.Chunk(candidates, clerksync.Batch) {
		if c.enough() {
			break
		}
		missing, err := c.missing(asking, batch)
		if err == nil && !l.kind.ByID() {
			missing, err = c.withParents(asking, missing)
		}
		if err != nil {
			group.Go(crash.Contained(func() error { return err }))
			break
		}
		for _, id := range missing {
			group.Go(crash.Contained(func() error { return c.ask(asking, id) }))
		}
	}
	err := group.Wait()
	if err = errors.Join(err, c.apply(ctx, 1)); err != nil { // what Clerk has told holds, whatever ended the asking
		return err
	}
	return c.doubt
}

// missing applies those of a batch that Clerk lists, and returns the others: one request instead of a hundred, where the walk
// missed users that are there.
func (c *confirmation) missing(ctx context.Context, batch []string) (missing []string, err error) {
	listed, err := c.reader.Present(ctx, c.kind, batch)
	if err != nil {
		return nil, err
	}
	if err := c.merge(ctx, listed); err != nil {
		return nil, err
	}
	has := make(map[string]bool, len(listed))
	for _, s := range listed {
		has[s.ID] = true
	}
	for _, id := range batch {
		if !has[id] {
			missing = append(missing, id)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled += len(batch) - len(missing)
	return missing, nil
}

// enough reports whether Clerk has left too much in doubt to ask on.
func (c *confirmation) enough() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doubts >= maxDoubts
}

// ask reads one candidate and has the answer applied, sooner or later. Its error ends the pass.
func (c *confirmation) ask(ctx context.Context, id string) error {
	if c.enough() {
		return nil
	}
	e, err := c.reader.Get(ctx, c.kind, id)
	if err != nil {
		if _, skewed := c.mirror.Skew(); skewed {
			return nil // no 404 proves anything now, which the skew metric tells; this pass has done what it can
		}
		c.noteDoubt(err)
		return ctx.Err()
	}
	c.mu.Lock()
	c.answers = append(c.answers, clerksync.Sighting{ID: id, Updated: clerksync.Never, Evidence: e})
	c.mu.Unlock()
	return c.apply(ctx, clerksync.Batch)
}

// noteDoubt notes why Clerk did not tell of a candidate.
func (c *confirmation) noteDoubt(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := !errors.Is(err, clerksync.ErrNotFound)
	if asked { // or those about which it can never be asked would keep all others for ever
		c.doubts++
	}
	if c.doubt == nil || asked && errors.Is(c.doubt, clerksync.ErrNotFound) {
		c.doubt = err
	}
}

// apply applies the answers, if there are at least so many: a transaction about one costs about as much as one about a hundred.
func (c *confirmation) apply(ctx context.Context, least int) error {
	c.mu.Lock()
	if len(c.answers) < least {
		c.mu.Unlock()
		return nil
	}
	answers := c.answers
	c.answers = nil
	c.mu.Unlock()
	if err := c.merge(ctx, answers); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled += len(answers)
	for _, answer := range answers {
		if answer.Object == nil {
			c.gone[answer.ID] = true
		}
	}
	return nil
}
