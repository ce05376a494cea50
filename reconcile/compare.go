package reconcile

import (
	"context"
	"math"
	"slices"

	clerksync "github.com/clerksync/clerksync/sync"
)

// compare reads the visible rows of the stretch up to an instant. Those that the walk did not show become suspects; what a page shows
// of the others is returned unless they hold just that.
func (l *leg) compare(ctx context.Context, seen *ledger, page []clerksync.Sighting, through int64) (rest []clerksync.Sighting, err error) {
	defer func() { l.tail = l.tail.after(page, seen) }()
	if through < seen.From || through == clerksync.Never {
		return page, nil
	}
	if !l.drifting {
		same, err := l.holds(ctx, seen, page)
		if err != nil {
			return nil, err
		}
		if same {
			seen.close(through)
			return l.differing(page, slices.Repeat([]bool{true}, len(page))), nil
		}
	}
	missed := len(seen.Suspects)
	shown := make(map[string]int, len(page))
	for i := range page {
		shown[page[i].ID] = i
	}
	held := make([]bool, len(page))
	for row, err := range l.mirror.Visible(ctx, l.kind, seen.From, through) {
		if err != nil {
			return nil, err
		}
		if i, ok := shown[row.ID]; ok {
			held[i] = page[i].Held(row)
		}
		seen.row(row, l.cfg.maxSuspects)
	}
	l.drifting = len(seen.Suspects) > missed || !holdsPassed(page, held, through)
	if through < math.MaxInt64 {
		seen.close(through)
	}
	return l.differing(page, held), nil
}

// holdsPassed reports whether the rows hold what a page shows of the stretch up to an instant.
func holdsPassed(page []clerksync.Sighting, held []bool, through int64) bool {
	for i := range page {
		if !held[i] && page[i].Dated() <= through {
			return false
		}
	}
	return true
}

// differing counts the sightings that the rows hold, and returns the others.
func (l *leg) differing(page []clerksync.Sighting, held []bool) (rest []clerksync.Sighting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, s := range page {
		if held[i] {
			l.count(clerksync.Unchanged, s, nil)
		} else {
			rest = append(rest, s)
		}
	}
	return rest
}
