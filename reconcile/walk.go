package reconcile

import (
	"bytes"
	"context"
	"errors"
	"iter"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/crash"
)

// page is one page of a walk.
type page struct {
	sightings []clerksync.Sighting
	next      position // where the walk goes on after it
	last      bool     // it was short: the list ends with it
	whole     bool     // the sightings are all of a page of Clerk's that nobody else needs
}

// prefetched is how many pages are read ahead of the one that is being applied.
const prefetched = 1

// walk reads the list from a position to its end. The next page is asked for while the one before it is being applied.
func (l *leg) walk(ctx context.Context, from position) iter.Seq2[page, error] {
	type answer struct {
		page
		err error
	}
	return func(yield func(page, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		answers := make(chan answer, prefetched)
		tell := func(p page, err error) error {
			select {
			case answers <- answer{p, err}:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		go func() {
			defer close(answers)
			if err := crash.Contain(func() error { return l.readPages(ctx, from, tell) }); err != nil {
				_ = tell(page{}, err)
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

// readPages reads page after page from a position on, and tells of each, until the list ends or telling fails.
func (l *leg) readPages(ctx context.Context, at position, tell func(page, error) error) error {
	var before []clerksync.Sighting
	for {
		next, err := l.readPage(ctx, at)
		if err != nil {
			return err
		}
		if read := next.sightings; at.Way != byCursor { // the pages overlap
			next.sightings = without(read, before)
			before = read
		} else {
			next.whole, before = true, nil
		}
		if err := tell(next, nil); err != nil || next.last || next.next == at {
			return err
		}
		at = next.next
	}
}

// without returns the rows of a page that the page before it did not tell alike.
func without(page, before []clerksync.Sighting) (rest []clerksync.Sighting) {
	told := make(map[string][]byte, len(before))
	for _, s := range before {
		told[s.ID] = s.Object
	}
	for _, s := range page {
		if object, again := told[s.ID]; !again || !bytes.Equal(object, s.Object) {
			rest = append(rest, s)
		}
	}
	return rest
}

// readPage reads the page at a position, on worse and worse ways while Clerk refuses the parameters. Where an offset has come to
// lie behind rows that were not read, it goes back.
func (l *leg) readPage(ctx context.Context, at position) (page, error) {
	size := l.cfg.pageSize
	for {
		sightings, err := l.reader.List(ctx, l.kind, at.query(size))
		if errors.Is(err, clerksync.ErrRefused) && at.Way+1 < noWay {
			at = at.by(at.Way+1, 0)
			continue
		}
		if err != nil {
			return page{}, err
		}
		if !at.joins(sightings) {
			at = at.back(size)
			continue
		}
		return page{sightings: sightings, next: at.after(sightings), last: len(sightings) < size}, nil
	}
}
