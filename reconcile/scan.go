package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"
)

// The bounds of what is kept of a full pass: how often it is written, for how long it counts, a list that was read whole in it, and with
// how many ids. Every page would cost a commit, and what a second of walking learns is soon learned again. Where one list fails each
// time, the others must not count as read for ever.
const (
	saveInterval = time.Second
	keepProgress = time.Hour
	keepDone     = 10 * time.Minute
	maxKeptScan  = 10_000
)

// progress is how far a full pass is: the value of the key of that name of the state table, from which a pass goes on that was
// killed. Scans that ended without having proved anything are not in it: the next pass begins them anew.
type progress struct {
	Started     int64                    `json:"started"` // in Unix milliseconds, as all times here
	Unannounced int64                    `json:"unannounced"`
	Scans       map[clerksync.Kind]*scan `json:"scans"`
	Term        int64                    `json:"term"`  // of the lease of the pass that wrote it
	Saved       int64                    `json:"saved"` // when it was written
}

// scan is how far a full pass is with the list of one kind.
type scan struct {
	Started int64    `json:"started"` // before the first request
	Counted int64    `json:"counted"` // how many objects Clerk had then
	At      position `json:"at"`
	Ledger  *ledger  `json:"ledger,omitempty"`
	Counts  Counts   `json:"counts"`
	Done    bool     `json:"done"`           // nothing is left to do but to report it
	Told    int64    `json:"told,omitempty"` // when a pass that ended told of it, if it is done; 0 where that pass was killed
}

// goesOn reports whether a pass may go on from a scan that was kept.
func (s *scan) goesOn(keepDone time.Duration) bool {
	if s.Done {
		return s.Told == 0 || within(s.Told, keepDone)
	}
	return s.Ledger != nil && s.Ledger.Suspects != nil
}

// clone returns a scan that stays as it is while the walk goes on: progress may be written again for the sake of another kind, and what
// the walk has seen since it was noted need not have been applied.
func (s *scan) clone() *scan {
	c := *s
	if s.Ledger != nil {
		ledger := *s.Ledger
		ledger.Near, ledger.Suspects = maps.Clone(ledger.Near), maps.Clone(ledger.Suspects)
		c.Ledger = &ledger
	}
	return &c
}

// openProgress goes on with the full pass that did not end, or begins one.
func (p *pass) openProgress(ctx context.Context) error {
	kept := &progress{}
	found, err := p.mirror.ReadState(ctx, "progress", kept)
	if err != nil {
		return err
	}
	if !found || p.order.DryRun || !kept.fresh() {
		p.progress = &progress{Started: p.report.StartedAt.UnixMilli(), Scans: map[clerksync.Kind]*scan{}}
		return nil
	}
	p.progress = kept
	p.unannounced = kept.Unannounced
	p.report.StartedAt = time.UnixMilli(kept.Started).UTC()
	p.cfg.Logger.Info("going on with a pass that did not end", "started", p.report.StartedAt)
	return nil
}

// fresh reports whether a pass may go on from a progress that was kept.
func (p *progress) fresh() bool {
	return p.Scans != nil && within(p.Saved, keepProgress)
}

// within reports whether an instant, in Unix milliseconds, is no longer ago than that. One that is still to come was noted by a clock that
// was ahead, so nobody knows how long ago it was.
func within(at int64, ago time.Duration) bool {
	since := time.Since(time.UnixMilli(at))
	return since < ago && since > -clerksync.ClockError
}

// openScan goes on with the scan that the progress tells of, or begins one.
func (l *leg) openScan(ctx context.Context) (*scan, error) {
	if s := l.progress.Scans[l.kind]; s != nil && s.goesOn(l.cfg.keepDone) {
		l.counts, l.started, l.told = s.Counts, s.Started, s.Told
		return s.clone(), nil
	}
	s := &scan{Started: time.Now().UnixMilli(), Ledger: newLedger(), At: start(l.kind)}
	l.started, l.begun = s.Started, true
	var err error
	if s.Counted, err = l.reader.Count(ctx, l.kind); err != nil {
		return nil, err
	}
	return s, nil
}

// saveScan notes how far the scan is. One with too many ids to note goes back to an earlier page if it is killed.
func (l *leg) saveScan(ctx context.Context, s *scan) error {
	if len(s.Ledger.Suspects)+len(s.Ledger.Near) > maxKeptScan {
		return nil
	}
	l.saved = time.Now()
	s.Counts = l.counts
	l.progress.Scans[l.kind] = s.clone()
	return l.saveProgress(ctx)
}

// settle notes that a leg has ended. If it proved nothing, another pass begins it anew.
func (p *pass) settle(ctx context.Context, l *leg, done bool) error {
	delete(p.progress.Scans, l.kind)
	if done {
		p.progress.Scans[l.kind] = &scan{Started: l.started, Counts: l.counts, Done: true, Told: l.told}
	}
	return p.saveProgress(ctx)
}

func (p *pass) saveProgress(ctx context.Context) error {
	p.progress.Unannounced, p.progress.Term, p.progress.Saved = p.unannounced, p.term, time.Now().UnixMilli()
	return p.writeProgress(ctx, p.progress)
}

// writeProgress writes a progress, unless the pass has lost its lease: another one may have made progress since. A dry run has none.
func (p *pass) writeProgress(ctx context.Context, made *progress) error {
	if p.order.DryRun {
		return nil
	}
	err := p.lease.Write(ctx, func(tx *sqlx.Tx) error { return p.mirror.WriteStateIn(ctx, tx, "progress", made) })
	if err != nil {
		return fmt.Errorf("writing the progress of a pass: %w", err)
	}
	return nil
}

// leaveProgress leaves to the next pass the scans from which it may go on, and nothing of what this pass has told.
func (p *pass) leaveProgress(ctx context.Context) error {
	left := &progress{Scans: map[clerksync.Kind]*scan{}, Term: p.term, Saved: p.progress.Saved}
	for kind, s := range p.progress.Scans {
		if !s.goesOn(p.cfg.keepDone) {
			continue
		}
		s.Counts, s.Told = Counts{Seen: s.Counts.Seen}, cmp.Or(s.Told, time.Now().UnixMilli())
		left.Scans[kind] = s
		if left.Started == 0 || s.Started < left.Started {
			left.Started = s.Started
		}
	}
	if len(left.Scans) == 0 {
		return p.forgetProgress(ctx)
	}
	return p.writeProgress(ctx, left)
}

func (p *pass) forgetProgress(ctx context.Context) error {
	return p.writeProgress(ctx, &progress{}) // the daemon's role removes no rows of this table
}
