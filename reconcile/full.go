package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
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
