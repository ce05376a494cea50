package reconcile

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/crash"
)

// leg is what a pass does about one kind of objects.
type leg struct {
	*pass
	kind     clerksync.Kind
	counts   Counts
	started  int64                // when its scan was, in Unix milliseconds
	told     int64                // when an earlier pass told of it, if that one had read all of it
	complete bool                 // a full pass: the list was read whole
	begun    bool                 // and by this very pass, from its beginning on
	poison   map[string]bool      // what it showed and could not be stored; guarded as the counts are
	saved    time.Time            // when the progress was last written for it
	gone     map[string]bool      // what Clerk said it does not have; guarded as the counts are
	tail     tail                 // of the last page
	drifting bool                 // the rows did not hold what the last page showed: they are looked at one by one at once
	news     []clerksync.Sighting // what the rows do not hold, before it is applied
	flights  flights              // news on their way into the mirror
}

// mergeSize is how much one transaction takes of a page, so that webhooks find room in it and need not wait for it. The other half is
// decoded meanwhile.
const mergeSize = pageSize / 2

// merge applies what Clerk showed or, in a dry run, compares it, and counts what came of it.
func (l *leg) merge(ctx context.Context, sightings []clerksync.Sighting) error {
	merge := l.mirror.Apply
	if l.order.DryRun {
		merge = l.mirror.Compare
	}
	group, ctx := errgroup.WithContext(ctx)
	for some := range slices.Chunk(sightings, mergeSize) {
		group.Go(crash.Contained(func() error {
			before, err := l.dates(ctx, some)
			if err != nil {
				return err
			}
			evidence := make([]clerksync.Evidence, len(some))
			for i, s := range some {
				evidence[i] = s.Evidence
			}
			results, err := merge(ctx, evidence...)
			if err != nil {
				return err
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			for i, r := range results {
				l.count(r.Outcome, some[i], before)
			}
			return nil
		}))
	}
	return group.Wait()
}

// count counts one outcome. What differs under the updated_at that the row had before changed without an event: an invitation that expired,
// say, or a membership whose role was given other permissions.
func (l *leg) count(o clerksync.Outcome, s clerksync.Sighting, before map[string]int64) {
	difference := o == clerksync.Created || o == clerksync.Updated || o == clerksync.Revived || o == clerksync.Deleted
	gone := s.Object == nil
	switch {
	case gone && o == clerksync.Stale: // seen alive within the read margin
		l.counts.Pending++
		return
	case difference && !gone && l.order.DryRun && s.Updated > time.Now().Add(-l.unsettled()).UnixMilli():
		l.counts.Pending++
		return
	}
	l.counts.count(o)
	if o == clerksync.Quarantined {
		l.poison[s.ID] = true
	}
	at, had := before[s.ID]
	if difference && (gone || l.overdue(s) && !(had && at == s.Updated)) {
		l.unannounced++
	}
}

// overdue reports whether an event that told what Clerk showed should have arrived since the mirror keeps its kind.
func (l *leg) overdue(s clerksync.Sighting) bool {
	return s.Updated >= l.mirror.Since(s.Kind).UnixMilli() && s.Updated <= l.report.StartedAt.Add(-announceTime).UnixMilli()
}

// dates returns Clerk's updated_at of the rows of those sightings of which an event is overdue.
func (l *leg) dates(ctx context.Context, sightings []clerksync.Sighting) (map[string]int64, error) {
	var ids []string
	for _, s := range sightings {
		if s.Object != nil && l.cfg.WebhooksExpected && l.overdue(s) {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return l.mirror.Updated(ctx, l.kind, ids)
}
