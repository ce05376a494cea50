package reconcile

import (
	"context"
	"slices"

	clerksync "github.com/clerksync/clerksync/sync"
)

// tail is what a walk has seen of the stretch that it has not passed yet, such as the last user of a page, by id.
type tail map[string]clerksync.Tally

// longestTail bounds what is summed up again with the next page: many users are created within a millisecond only by an import.
const longestTail = 100

// after returns the tail after a page.
func (t tail) after(page []clerksync.Sighting, seen *ledger) tail {
	next := tail{}
	for id, one := range t {
		if _, near := seen.Near[id]; near {
			next[id] = one
		}
	}
	for i := len(page) - 1; i >= 0 && len(next) <= longestTail; i-- {
		if _, near := seen.Near[page[i].ID]; near {
			next[page[i].ID] = page[i].Tally()
		}
	}
	return next
}

// holds reports whether the rows of the stretch that a page has come to, its last instant included, are those that the walk has seen
// there, to the byte: then nothing need be looked at one by one. It reports false where it cannot tell.
func (l *leg) holds(ctx context.Context, seen *ledger, page []clerksync.Sighting) (bool, error) {
	if len(page) == 0 || seen.From == clerksync.Never || len(l.tail) > longestTail {
		return false, nil
	}
	last := page[len(page)-1].Dated()
	var all clerksync.Tally
	for i := range page {
		if at := page[i].Dated(); page[i].ID == "" || at < seen.From || at > last {
			return false, nil
		}
		all = all.Plus(page[i].Tally())
	}
	more := 0 // seen there before this page
	for id, one := range l.tail {
		if !slices.ContainsFunc(page, func(s clerksync.Sighting) bool { return s.ID == id }) {
			all = all.Plus(one)
			more++
		}
	}
	if len(seen.Near) != len(page)+more {
		return false, nil
	}
	rows, err := l.mirror.Tally(ctx, l.kind, seen.From, last)
	return err == nil && rows == all, err
}
