package reconcile

import (
	"context"
	"fmt"
	"math"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// maxRestarts bounds how often a walk that ended too early is taken up again in one pass.
const maxRestarts = 100

// full runs the full pass.
func (p *pass) full(ctx context.Context) error {
	s, err := p.openScan(ctx)
	if err != nil {
		return err
	}
	complete, err := p.scan(ctx, s)
	if err == nil {
		err = p.compare(ctx, s.Ledger, math.MaxInt64)
	}
	if err != nil {
		return err
	}
	if err := p.forgetScan(ctx); err != nil {
		return err
	}
	if !complete {
		return fmt.Errorf("the list showed %d users, and Clerk counted %d: %w", s.Ledger.Seen, s.Counted, ErrIncomplete)
	}
	p.report.Complete = true
	certain := s.Started - p.mirror.ReadMargin().Milliseconds()
	if p.order.DryRun {
		certain = s.Started - p.unsettled().Milliseconds()
	}
	candidates, pending := s.Ledger.judge(certain)
	p.pending = pending
	p.counts.Pending += int64(len(pending))
	p.excess = s.Ledger.Excess
	return p.sweep(ctx, candidates)
}

// scan walks the list to its end and reports whether it was complete. A walk that ends before it has shown what Clerk counts is
// taken up again, on a worse way each time that brings nothing.
func (p *pass) scan(ctx context.Context, s *scan) (complete bool, err error) {
	worse := byCursor
	for range maxRestarts {
		before := s.Ledger.Seen
		short, err := p.walkOn(ctx, s)
		if err != nil {
			return false, err
		}
		after, err := p.reader.Count(ctx, clerksync.Users)
		if err != nil {
			return false, err
		}
		if short && enough(s.Ledger.Seen, s.Counted, after) {
			return true, nil
		}
		worse++
		if s.Ledger.Seen > before {
			worse = byEarlier
		}
		if worse == noWay {
			return false, nil
		}
		s.At = s.At.by(worse, s.Ledger.Seen)
	}
	return false, nil
}

// enough reports whether a walk saw as many users as Clerk counted before and after it, but for what comes and goes meanwhile.
func enough(seen, before, after int64) bool {
	counted := min(before, after)
	return seen >= counted-max(10, counted/1000)
}

// walkOn walks to the end of the list, and reports whether the last page was short. A list that repeats itself without end is
// left: only a walk by offsets may pass what it has shown already, and only once.
func (p *pass) walkOn(ctx context.Context, s *scan) (short bool, err error) {
	idle := int64(0)
	for pg, err := range p.walk(ctx, s.At) {
		if err != nil {
			return false, err
		}
		before := s.Ledger.Seen
		if err := p.take(ctx, s, pg); err != nil {
			return false, err
		}
		short = pg.last
		if idle++; s.Ledger.Seen > before {
			idle = 0
		}
		if idle > 10+s.Ledger.Seen/int64(p.cfg.pageSize) {
			break
		}
	}
	return short, nil
}

// take applies a page and compares the stretch of time that the walk has passed with it.
func (p *pass) take(ctx context.Context, s *scan, pg page) error {
	if err := p.merge(ctx, pg.sightings); err != nil {
		return err
	}
	s.Ledger.note(pg.sightings)
	if err := p.compare(ctx, s.Ledger, passed(pg.sightings)); err != nil {
		return err
	}
	s.At = pg.next
	p.counts.Seen = s.Ledger.Seen
	if !pg.last { // otherwise the end is near
		if err := p.saveScan(ctx, s); err != nil {
			return err
		}
	}
	p.cfg.Progress(Progress{Seen: s.Ledger.Seen, Total: s.Counted, Started: time.UnixMilli(s.Started)})
	return nil
}

// compare looks for visible rows that the walk did not show in the stretch up to an instant.
func (p *pass) compare(ctx context.Context, l *ledger, through int64) error {
	if through < l.From || through == clerksync.Never {
		return nil
	}
	for row, err := range p.mirror.Visible(ctx, clerksync.Users, l.From, through) {
		if err != nil {
			return err
		}
		l.row(row)
	}
	if through < math.MaxInt64 {
		l.close(through)
	}
	return nil
}

// sweep deletes candidates, if the guard lets it. The guard never believes a list that is empty.
func (p *pass) sweep(ctx context.Context, candidates []string) error {
	p.counts.Candidates = int64(len(candidates)) + p.excess
	if p.counts.Candidates == 0 {
		return nil
	}
	visible, err := p.mirror.CountVisible(ctx, clerksync.Users)
	if err != nil {
		return err
	}
	empty := p.order.Kind == Full && p.counts.Seen == 0
	if allowed := p.cfg.allows(visible); empty || p.counts.Candidates > allowed {
		if err := p.plan(ctx, candidates); err != nil {
			return err
		}
		return fmt.Errorf("%d of %d users are missing from Clerk's list, and a pass deletes at most %d: %w",
			p.counts.Candidates, visible, allowed, ErrGuard)
	}
	return p.confirm(ctx, candidates)
}
