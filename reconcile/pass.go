package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// announceTime is how long a webhook may take before a difference counts as unannounced.
const announceTime = 10 * time.Minute

// pass is one pass while it runs.
type pass struct {
	cfg    Config
	order  Pass
	mirror *clerksync.Mirror
	reader *clerksync.Reader
	unpin  error // why Clerk could not tell its instance
	term   int64 // of the lease; 0 in a dry run
	row    int64 // id in the passes table; 0 until it is there
	born   int64 // when the mirror was made, in Unix milliseconds

	report  Report
	pending []string // rows that are too young to decide about; for a late pass, those that were

	excess int64 // candidates beyond those that memory holds

	mu          sync.Mutex // guards what follows: candidates are confirmed side by side
	counts      Counts
	unannounced int64
}

func newPass(cfg Config, order Pass) *pass {
	source := clerksync.Reconcile
	if order.Kind == Delta {
		source = clerksync.Delta
	}
	return &pass{
		cfg: cfg, order: order, mirror: cfg.Mirror, reader: clerksync.NewReader(cfg.Mirror, cfg.Clerk, source),
		report: Report{Kind: order.Kind, DryRun: order.DryRun, StartedAt: time.Now().UTC()},
	}
}

// pin checks whose key it is before anything is written. An answer that does not come is an error of the pass itself, which
// leaves a row as every pass does.
func (p *pass) pin(ctx context.Context) error {
	p.report.InstanceID, p.unpin = p.reader.Instance(ctx)
	if errors.Is(p.unpin, clerksync.ErrWrongInstance) {
		return p.unpin
	}
	return nil
}

// refuse ends a pass that did not begin. It leaves no row.
func (p *pass) refuse(err error) error {
	p.report.Error = err.Error()
	p.complete()
	level := slog.LevelInfo
	if errors.Is(err, ErrBusy) {
		level = slog.LevelDebug // a poll during a long pass says so again and again
	}
	p.cfg.Logger.Log(context.Background(), level, "pass did not begin", "kind", p.report.Kind, "reason", err)
	return err
}

// run runs the pass between the two writes of its row.
func (p *pass) run(ctx context.Context) error {
	err := p.unpin
	if err == nil {
		err = p.saveRow(ctx)
	}
	if err == nil {
		err = p.work(ctx)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = errors.Join(cause, err)
	}
	return p.end(ctx, err)
}

func (p *pass) work(ctx context.Context) error {
	var born struct {
		At int64 `json:"at"`
	}
	if _, err := p.mirror.ReadState(ctx, "born", &born); err != nil {
		return err
	}
	p.born = born.At
	switch p.order.Kind {
	case Full:
		return p.full(ctx)
	case Delta:
		return p.delta(ctx)
	case Late:
		p.report.Complete = true
		return p.sweep(ctx, p.pending)
	}
	return fmt.Errorf("there is no pass of the kind %q", p.order.Kind)
}

// end completes the report, writes it down and tells it.
func (p *pass) end(ctx context.Context, err error) error {
	if err != nil {
		p.report.Error = err.Error()
	}
	p.complete()
	if saveErr := p.saveLastRow(ctx); saveErr != nil {
		p.cfg.Logger.Warn("the row of a pass could not be written", "error", saveErr)
		if err == nil {
			err = saveErr
		}
	}
	level := slog.LevelInfo
	switch {
	case err != nil:
		level = slog.LevelWarn
	case p.order.Kind == Delta && p.report.Drift() == 0:
		level = slog.LevelDebug // nothing happened, and that every few minutes
	}
	c := p.counts
	p.cfg.Logger.Log(ctx, level, "pass ended", "kind", p.report.Kind, "dry_run", p.report.DryRun, "complete", p.report.Complete,
		"seen", c.Seen, "created", c.Created, "updated", c.Updated, "revived", c.Revived, "deleted", c.Deleted, "pending", c.Pending,
		"requests", p.report.Requests, "seconds", p.report.FinishedAt.Sub(p.report.StartedAt).Seconds(), "error", p.report.Error)
	p.cfg.Observe(p.report)
	return err
}

func (p *pass) complete() {
	p.report.FinishedAt = time.Now().UTC()
	p.report.Requests, p.report.Retries = p.reader.Requests()
	p.report.Resources = map[clerksync.Kind]Counts{clerksync.Users: p.counts}
	if p.cfg.WebhooksExpected {
		p.report.Unannounced = &p.unannounced
	}
}

// mergeSize is how much one transaction takes of a page, so that webhooks find room in it and need not wait for it.
const mergeSize = pageSize / 2

// merge applies what Clerk showed or, in a dry run, compares it, and counts what came of it.
func (p *pass) merge(ctx context.Context, sightings []clerksync.Sighting) error {
	merge := p.mirror.Apply
	if p.order.DryRun {
		merge = p.mirror.Compare
	}
	for some := range slices.Chunk(sightings, mergeSize) {
		evidence := make([]clerksync.Evidence, len(some))
		for i, s := range some {
			evidence[i] = s.Evidence
		}
		results, err := merge(ctx, evidence...)
		if err != nil {
			return err
		}
		p.mu.Lock()
		for i, r := range results {
			p.count(r.Outcome, some[i])
		}
		p.mu.Unlock()
	}
	return nil
}

// count counts one outcome.
func (p *pass) count(o clerksync.Outcome, s clerksync.Sighting) {
	difference := o == clerksync.Created || o == clerksync.Updated || o == clerksync.Revived || o == clerksync.Deleted
	gone := s.Object == nil
	switch {
	case gone && o == clerksync.Stale: // seen alive within the read margin
		p.counts.Pending++
		return
	case difference && !gone && p.order.DryRun && s.Updated > time.Now().Add(-p.unsettled()).UnixMilli():
		p.counts.Pending++
		return
	}
	p.counts.count(o)
	told := s.Updated < p.born || s.Updated > p.report.StartedAt.Add(-announceTime).UnixMilli()
	if difference && (gone || !told) {
		p.unannounced++
	}
}

// unsettled is how old a difference must be before a webhook about it cannot be on its way, nor a read have missed it.
func (p *pass) unsettled() time.Duration { return p.mirror.ReadMargin() + clerksync.ClockError }
