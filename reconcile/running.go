package reconcile

import (
	"cmp"
	"context"
	"slices"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/lease"
)

// Running reports whether a pass is running, here or in another process; dry runs do not count. Any error means that the database did not
// answer as it should.
func Running(ctx context.Context, m *clerksync.Mirror) (bool, error) {
	held, err := lease.Look(ctx, m, leaseKey)
	return held.Holder != "", err
}

// Walk is how far a full pass is with the list of one kind, as it was noted in the database.
type Walk struct {
	Progress
	Done bool      // the list was read to its end
	At   time.Time // when it was noted
}

// Walks returns how far the full pass is that runs, here or in another process, or that was killed within the last hour: kind by
// kind, those begun first first. It is noted about once a second, and not while too much of it would have to be. None are returned
// where there is no such pass. Any error means that the database did not answer as it should.
func Walks(ctx context.Context, m *clerksync.Mirror) (walks []Walk, err error) {
	var kept progress
	if found, err := m.ReadState(ctx, "progress", &kept); err != nil || !found || !kept.fresh() {
		return nil, err
	}
	for kind, s := range kept.Scans {
		w := Walk{Progress: Progress{Kind: kind, Seen: s.Counts.Seen, Total: max(s.Counted, s.Counts.Seen), Started: time.UnixMilli(s.Started).UTC()},
			Done: s.Done, At: time.UnixMilli(kept.Saved).UTC()}
		walks = append(walks, w)
	}
	slices.SortFunc(walks, func(a, b Walk) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.Kind, b.Kind))
	})
	return walks, nil
}
