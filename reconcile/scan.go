package reconcile

import (
	"context"
	"fmt"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// The bounds of what is kept of a scan after each page: for how long, and with how many ids.
const (
	keepScan    = time.Hour
	maxKeptScan = 10_000
)

// scan is how far a full pass is with the list: the value of the key "progress" of the state table, from which a pass goes on
// that was killed.
type scan struct {
	Started     int64    `json:"started"` // before the first request, in Unix milliseconds
	Counted     int64    `json:"counted"` // how many users Clerk had then
	At          position `json:"at"`
	Ledger      *ledger  `json:"ledger"`
	Counts      Counts   `json:"counts"`
	Unannounced int64    `json:"unannounced"`
	Term        int64    `json:"term"`  // of the lease of the pass that wrote it
	Saved       int64    `json:"saved"` // when it was written, in Unix milliseconds
}

// openScan goes on with the scan of a pass that did not end, or begins one.
func (p *pass) openScan(ctx context.Context) (*scan, error) {
	s := &scan{}
	if !p.order.DryRun {
		found, err := p.mirror.ReadState(ctx, "progress", s)
		if err != nil {
			return nil, err
		}
		if found && s.fresh() {
			p.resume(s)
			return s, nil
		}
	}
	s = &scan{Started: p.report.StartedAt.UnixMilli(), Ledger: newLedger(), At: position{Created: clerksync.Never}}
	var err error
	s.Counted, err = p.reader.Count(ctx, clerksync.Users)
	return s, err
}

// resume takes over what the pass that kept the scan had done.
func (p *pass) resume(s *scan) {
	p.counts, p.unannounced = s.Counts, s.Unannounced
	p.report.StartedAt = time.UnixMilli(s.Started).UTC()
	p.cfg.Logger.Info("going on with a pass that did not end", "seen", s.Ledger.Seen, "total", s.Counted)
}

// fresh reports whether a pass may go on from a scan that was kept.
func (s *scan) fresh() bool {
	return s.Ledger != nil && time.Since(time.UnixMilli(s.Saved)) < keepScan
}

// saveScan notes how far the scan is. One with too many ids to note goes back to an earlier page if it is killed.
func (p *pass) saveScan(ctx context.Context, s *scan) error {
	if p.order.DryRun || len(s.Ledger.Suspects)+len(s.Ledger.Near) > maxKeptScan {
		return nil
	}
	s.Counts, s.Unannounced, s.Term, s.Saved = p.counts, p.unannounced, p.term, time.Now().UnixMilli()
	return p.mirror.WriteState(ctx, "progress", s)
}

func (p *pass) forgetScan(ctx context.Context) error {
	if p.order.DryRun {
		return nil
	}
	_, err := p.mirror.DB().ExecContext(ctx, p.mirror.SQL(`DELETE FROM {state} WHERE key = 'progress'`))
	if err != nil {
		return fmt.Errorf("forgetting the progress of a pass: %w", err)
	}
	return nil
}
