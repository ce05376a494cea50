package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/crash"
	"github.com/clerksync/clerksync/internal/lease"
)

// announceTime is how long a webhook may take before a difference counts as unannounced.
const announceTime = 10 * time.Minute

// pass is one pass while it runs.
type pass struct {
	cfg    Config
	order  Pass
	mirror *clerksync.Mirror
	reader *clerksync.Reader
	unpin  error        // why Clerk could not tell its instance
	lease  *lease.Lease // nil in a dry run
	term   int64        // of the lease; 0 in a dry run
	row    int64        // id in the passes table; 0 until it is there

	legs     []*leg    // what it does about each kind
	progress *progress // of a full pass
	report   Report
	pending  map[clerksync.Kind][]string // rows that are too young to decide about; for a late pass, those that were
	refused  []string                    // deletions that the guard refused
	partial  bool                        // there are more of them than memory holds

	mu          sync.Mutex // guards what follows, and the legs' counts: candidates are confirmed side by side
	unannounced int64
}

func newPass(cfg Config, order Pass) *pass {
	source, kinds := clerksync.Reconcile, cfg.Mirror.ListedKinds()
	if order.Kind == Delta {
		source, kinds = clerksync.Delta, []clerksync.Kind{clerksync.Users}
	}
	newReader := clerksync.NewReader
	if order.DryRun {
		newReader = clerksync.NewDryReader
	}
	p := &pass{
		cfg: cfg, order: order, mirror: cfg.Mirror, reader: newReader(cfg.Mirror, cfg.Clerk, source),
		report:  Report{Kind: order.Kind, DryRun: order.DryRun, StartedAt: time.Now().UTC()},
		pending: map[clerksync.Kind][]string{},
	}
	for _, k := range kinds {
		p.legs = append(p.legs, &leg{pass: p, kind: k, gone: map[string]bool{}, poison: map[string]bool{}})
	}
	return p
}

// pin checks whose key it is before anything is written, and pins the mirror unless the pass writes nothing. An answer that does not
// come is an error of the pass itself, which leaves a row as every pass does.
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
		err = crash.Contain(func() error { return p.work(ctx) })
	}
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = errors.Join(cause, err)
	}
	return p.end(ctx, err)
}

func (p *pass) work(ctx context.Context) error {
	_, filled, err := lastFull(ctx, p.mirror)
	if err != nil {
		return err
	}
	p.report.Fills = !filled
	switch p.order.Kind {
	case Full:
		return p.full(ctx)
	case Delta:
		return p.legs[0].delta(ctx)
	case Approved:
		return p.approved(ctx)
	case Late:
		return p.late(ctx)
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
	c := p.report.Total()
	level := slog.LevelInfo
	switch {
	case err != nil, c.Quarantined > 0: // what cannot be stored is no drift, and nothing else would tell
		level = slog.LevelWarn
	case p.order.Kind == Delta && p.report.Drift() == 0:
		level = slog.LevelDebug // nothing happened, and that every few minutes
	}
	p.cfg.Logger.Log(ctx, level, "pass ended", "kind", p.report.Kind, "dry_run", p.report.DryRun, "complete", p.report.Complete,
		"seen", c.Seen, "created", c.Created, "updated", c.Updated, "revived", c.Revived, "deleted", c.Deleted,
		"quarantined", c.Quarantined, "pending", c.Pending,
		"requests", p.report.Requests, "seconds", p.report.FinishedAt.Sub(p.report.StartedAt).Seconds(), "error", p.report.Error)
	p.cfg.Observe(p.report)
	return err
}

func (p *pass) complete() {
	p.report.FinishedAt = time.Now().UTC()
	p.report.Requests, p.report.Retries = p.reader.Requests()
	p.report.Resources = make(map[clerksync.Kind]Counts, len(p.legs))
	for _, l := range p.legs {
		p.report.Resources[l.kind] = l.counts
	}
	if p.cfg.WebhooksExpected {
		p.report.Unannounced = &p.unannounced
	}
}

// unsettled is how old a difference must be before a webhook about it cannot be on its way, nor a read have missed it.
func (p *pass) unsettled() time.Duration { return p.mirror.ReadMargin() + clerksync.ClockError }
