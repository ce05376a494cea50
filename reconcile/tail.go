package reconcile

import (
	"context"
	"slices"

	clerksync "github.com/clerksync/clerksync/sync"
)

// tail is what a walk has seen of the stretch that it has not passed yet, such as the last user of a page, by id.
type tail map[string]clerksync.Row

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
			next[page[i].ID] = page[i].Row()
		}
	}
	return next
}

// differing returns the parts of the stretch that a page has come to, its last instant included, whose rows are others than those that
// the walk has seen there: the rest need not be looked at one by one. Where it cannot tell, these are all parts.
func (l *leg) differing(ctx context.Context, seen *ledger, page []clerksync.Sighting) (clerksync.Parts, error) {
	if len(page) == 0 || seen.From == clerksync.Never || len(l.tail) > longestTail {
		return clerksync.AllParts, nil
	}
	last := page[len(page)-1].Dated()
	shown := make([]clerksync.Row, 0, len(page)+len(l.tail))
	for i := range page {
		if at := page[i].Dated(); page[i].ID == "" || at < seen.From || at > last {
			return clerksync.AllParts, nil
		}
		shown = append(shown, page[i].Row())
	}
	for id, row := range l.tail {
		if !slices.ContainsFunc(page, func(s clerksync.Sighting) bool { return s.ID == id }) {
			shown = append(shown, row) // before this page
		}
	}
	if len(seen.Near) != len(shown) {
		return clerksync.AllParts, nil
	}
	return l.mirror.Differing(ctx, l.kind, seen.From, last, shown)
}
