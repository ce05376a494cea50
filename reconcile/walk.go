package reconcile

import (
	"context"
	"errors"
	"iter"

	clerksync "github.com/clerksync/clerksync/sync"
)

// page is one page of a walk.
type page struct {
	sightings []clerksync.Sighting
	next      position // where the walk goes on after it
	last      bool     // it was short: the list ends with it
}

// prefetched is how many pages are read ahead of the one that is being applied.
const prefetched = 2

// walk reads the list of users from a position to its end. The next page is asked for while the one before it is being applied.
func (p *pass) walk(ctx context.Context, from position) iter.Seq2[page, error] {
	type answer struct {
		page
		err error
	}
	return func(yield func(page, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		answers := make(chan answer, prefetched)
		go func() {
			defer close(answers)
			for at := from; ; {
				next, err := p.readPage(ctx, at)
				select {
				case answers <- answer{next, err}:
				case <-ctx.Done():
					return
				}
				if err != nil || next.last || next.next == at {
					return
				}
				at = next.next
			}
		}()
		defer func() {
			cancel()
			for range answers { // until the goroutine has ended
			}
		}()
		for a := range answers {
			if !yield(a.page, a.err) || a.err != nil {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(page{}, err)
		}
	}
}

// readPage reads the page at a position, on worse and worse ways while Clerk refuses the parameters.
func (p *pass) readPage(ctx context.Context, at position) (page, error) {
	for {
		sightings, err := p.reader.List(ctx, clerksync.Users, at.query(p.cfg.pageSize))
		if errors.Is(err, clerksync.ErrRefused) && at.Way+1 < noWay {
			at = at.by(at.Way+1, 0)
			continue
		}
		if err != nil {
			return page{}, err
		}
		return page{sightings: sightings, next: at.after(sightings), last: len(sightings) < p.cfg.pageSize}, nil
	}
}
