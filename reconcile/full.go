package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// maxRestarts bounds how often a walk that ended too early is taken up again in one pass.
const maxRestarts = 100

// full runs the full pass: one leg after the other. What stops one of them does not stop the others, unless it must stop all.
func (p *pass) full(ctx context.Context) error {
	if err := p.openProgress(ctx); err != nil {
		return err
	}
	complete, decided := true, true
	var errs []error
	for _, l := range p.legs {
		err := l.full(ctx)
		if errors.Is(err, clerksync.ErrNotEnabled) && l.kind != clerksync.Users { // every instance has users
			l.complete, err = true, l.notEnabled(ctx)
		}
		if err == nil {
			err = ctx.Err()
		}
		errs = append(errs, err)
		if ctx.Err() != nil || errors.Is(err, clerksync.ErrWrongInstance) {
			return errors.Join(errs...)
		}
		complete = complete && l.complete
		if errors.Is(err, ErrIncomplete) {
			p.report.Incomplete = append(p.report.Incomplete, l.kind)
		}
		if err == nil || errors.Is(err, ErrGuard) || errors.Is(err, ErrIncomplete) {
			errs = append(errs, p.settle(ctx, l, err == nil))
		} else {
			decided = false // the next pass goes on with this leg
		}
	}
	p.report.Complete = complete
	p.clearQuarantine(ctx)
	errs = append(errs, p.plan(ctx))
	if !decided {
		return errors.Join(append(errs, p.leaveProgress(ctx))...)
	}
	return errors.Join(append(errs, p.forgetProgress(ctx))...)
}

// notEnabled tells of a kind that the instance does not use. It proves nothing about rows from when it did, which stay as they are.
func (l *leg) notEnabled(ctx context.Context) error {
	rows, err := l.mirror.CountVisible(ctx, l.kind)
	if err != nil {
		return err
	}
	level := slog.LevelDebug
	if rows > 0 {
		level = slog.LevelWarn
	}
	l.cfg.Logger.Log(ctx, level, "not listed: the instance does not use these; rows stay as they are", "kind", l.kind, "rows", rows)
	return nil
}

// full walks the list of the leg's kind and deletes what it proves to be gone.
func (l *leg) full(ctx context.Context) error {
	s, err := l.openScan(ctx)
	if err != nil {
		return err
	}
	if l.complete = s.Done; s.Done {
		return nil
	}
	complete, err := l.scan(ctx, s)
	if err == nil {
		_, err = l.compare(ctx, s.Ledger, nil, math.MaxInt64)
	}
	if err != nil {
		return err
	}
	if !complete {
		return fmt.Errorf("the list showed %d %s, and Clerk counted %d: %w", s.Ledger.Seen, l.kind, s.Counted, ErrIncomplete)
	}
	l.complete = true
	certain := s.Started - l.mirror.ReadMargin().Milliseconds()
	if l.order.DryRun {
		certain = s.Started - l.unsettled().Milliseconds()
	}
	if err := l.lookAside(ctx, s.Ledger); err != nil {
		return err
	}
	candidates, err := l.judge(ctx, s.Ledger, certain)
	if err != nil {
		return err
	}
	return l.sweep(ctx, candidates, s.Ledger.Excess)
}

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

// scan walks the list to its end and reports whether it was complete. A walk that ends before it has shown what Clerk counts is
// taken up again, on a worse way each time that brings nothing.
func (l *leg) scan(ctx context.Context, s *scan) (complete bool, err error) {
	again := byEarlier
	if !l.kind.Cursor() {
		again = byOffset
	}
	worse := again - 1
	for range maxRestarts {
		before := s.Ledger.Seen
		short, err := l.walkOn(ctx, s)
		if err != nil {
			return false, err
		}
		after, err := l.reader.Count(ctx, l.kind)
		if err != nil {
			return false, err
		}
		if short && enough(s.Ledger.Seen, s.Counted, after) {
			return true, nil
		}
		worse++
		if s.Ledger.Seen > before {
			worse = again
		}
		if worse == noWay {
			return false, nil
		}
		s.At = s.At.by(worse, s.Ledger.Seen)
	}
	return false, nil
}

// enough reports whether a walk saw as many objects as Clerk counted before and after it, but for what comes and goes meanwhile.
func enough(seen, before, after int64) bool {
	counted := min(before, after)
	return seen >= counted-max(10, counted/1000)
}

// walkOn walks to the end of the list, and reports whether the last page was short. A list that repeats itself without end is
// left: only a walk by offsets may pass what it has shown already, and only once.
func (l *leg) walkOn(ctx context.Context, s *scan) (short bool, err error) {
	defer func() {
		if ctx.Err() == nil { // also after a page that could not be read
			l.flush(ctx, func() {})
		}
		if late := l.flights.land(); err == nil || ctx.Err() == nil { // who is told to stop is told once
			err = errors.Join(err, late)
		}
	}()
	idle := int64(0)
	for pg, err := range l.walk(ctx, s.At) {
		if err != nil {
			return false, err
		}
		before := s.Ledger.Seen
		if err := l.take(ctx, s, pg); err != nil {
			return false, err
		}
		short = pg.last
		if idle++; s.Ledger.Seen > before {
			idle = 0
		}
		if idle > 10+s.Ledger.Seen/int64(l.cfg.pageSize) {
			break
		}
	}
	return short, nil
}

// take compares a page, and the stretch of time that the walk has passed with it, with the rows, and has what they do not hold applied
// before it says how far the scan is.
func (l *leg) take(ctx context.Context, s *scan, pg page) error {
	s.Ledger.note(pg.sightings)
	rest, err := l.compare(ctx, s.Ledger, pg.sightings, passed(pg.sightings))
	if err != nil {
		return err
	}
	release := func() {
		if pg.whole {
			l.reader.Release(pg.sightings)
		}
	}
	l.news = append(l.news, rest...)
	save := !pg.last && time.Since(l.saved) >= l.cfg.saveInterval // otherwise the end is near
	if save || len(l.news) >= mergeSize {
		l.flush(ctx, release)
	} else {
		own(l.news[len(l.news)-len(rest):])
		release()
	}
	s.At = pg.next
	l.counts.Seen = s.Ledger.Seen
	if save {
		if err := l.flights.land(); err != nil {
			return err
		}
		if err := l.saveScan(ctx, s); err != nil {
			return err
		}
	}
	l.cfg.Progress(Progress{Kind: l.kind, Seen: s.Ledger.Seen, Total: s.Counted, Started: time.UnixMilli(s.Started)})
	return nil
}

// flush has the news applied that were put off, since a transaction about a few users costs about as much as one about many. Where that
// fails, somebody else's transaction may still be reading them: then they are never said to be applied.
func (l *leg) flush(ctx context.Context, applied func()) {
	news := l.news
	l.news = nil
	l.flights.begin(func() error {
		err := l.merge(ctx, news)
		if err == nil {
			applied()
		}
		return err
	})
}

// own gives sightings memory of their own, for when that of their page is given back.
func own(sightings []clerksync.Sighting) {
	for i := range sightings {
		sightings[i].Object = bytes.Clone(sightings[i].Object)
	}
}

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
