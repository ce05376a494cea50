package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/lease"
)

var (
	// ErrGuard means that a pass found more objects of a kind to delete than the guard allows. It deleted none of that kind.
	ErrGuard = errors.New("the deletion guard tripped: nothing of that kind was deleted")

	// ErrIncomplete means that a list ended before it had shown as many objects as Clerk counts. What it did show was applied;
	// nothing of its kind was deleted.
	ErrIncomplete = errors.New("the listing was incomplete: nothing of that kind was deleted")

	// ErrBusy means that another pass is running, here or in another process.
	ErrBusy = errors.New("another pass is running")

	// ErrFullPassDue means that a delta pass has nothing to start from, because no full pass has been completed yet.
	ErrFullPassDue = errors.New("a delta pass starts where a full pass ended: run a full pass first")
)

// Config configures a [Reconciler]. Mirror and Clerk are required.
type Config struct {
	Mirror *clerksync.Mirror
	Clerk  *clerksync.API

	// MaxDeletes and MaxDeletePercent are the deletion guard, for each kind of objects: a pass deletes nothing of a kind if it would
	// delete more than the lesser of MaxDeletes and MaxDeletePercent percent of its visible objects, of which it allows 10 in any
	// case. Zero means 500 and 5. Negative values mean none, and none beyond those 10.
	MaxDeletes       int
	MaxDeletePercent int

	// Schedule is when [Reconciler.Run] starts full passes: a cron expression in UTC, "@nightly" for once between 3 and 4 at a
	// minute drawn from the instance's id, or "off". Empty means "@nightly".
	Schedule string

	// PollInterval is how often [Reconciler.Run] starts delta passes. Zero means never.
	PollInterval time.Duration

	// WebhooksExpected reports differences that a webhook should have told as unannounced.
	WebhooksExpected bool

	// Logger gets what operators want to know: ids and counts, never names or addresses. Nil means none.
	Logger *slog.Logger

	// Progress, if not nil, is called after every page of a full pass, by the goroutine that runs the pass.
	Progress func(Progress)

	// Observe, if not nil, is called with the report of every pass that ran, also of those that failed.
	Observe func(Report)

	pageSize     int           // objects a page of a full pass
	saveInterval time.Duration // between two writes of how far it is
	keepDone     time.Duration // for how long a list counts as read
	maxSuspects  int           // that a ledger keeps
}

// Progress is how far a full pass is with one kind of objects. It walks one kind after the other, users first.
type Progress struct {
	Kind    clerksync.Kind
	Seen    int64     // objects that the list has shown
	Total   int64     // objects that Clerk counted when the walk began
	Started time.Time // when that was; before this process, if the pass goes on from one that was killed
}

// check makes sure of what no pass can do without.
func (c Config) check() error {
	switch {
	case c.Mirror == nil:
		return errors.New("reconciling: Config.Mirror is missing: open it with clerksync.Open")
	case c.Clerk == nil:
		return errors.New("reconciling: Config.Clerk is missing: make it with clerksync.NewAPI")
	}
	return nil
}

// leaseKey is of the lease that keeps passes apart.
const leaseKey = "lease"

// Reconciler runs passes. Its methods may be called by any number of goroutines at once; only one pass runs at a time.
type Reconciler struct {
	cfg   Config
	turn  chan struct{} // holds one element while a pass of this process runs
	brief atomic.Bool   // that pass is soon over
}

// New returns a reconciler. It makes no request. What is missing of the configuration is the error of the first pass.
func New(cfg Config) *Reconciler {
	cfg.pageSize = cmp.Or(cfg.pageSize, pageSize)
	cfg.saveInterval = cmp.Or(cfg.saveInterval, saveInterval)
	cfg.keepDone = cmp.Or(cfg.keepDone, keepDone)
	cfg.maxSuspects = cmp.Or(cfg.maxSuspects, maxSuspects)
	cfg.Schedule = cmp.Or(cfg.Schedule, "@nightly")
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Progress == nil {
		cfg.Progress = func(Progress) {}
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Report) {}
	}
	return &Reconciler{cfg: cfg, turn: make(chan struct{}, 1)}
}

// Kind tells passes apart.
type Kind string

// The kinds of passes. An approved pass makes the deletions of one plan. A late pass asks for those rows alone that a full pass found
// missing but too young to decide about; only [Reconciler.Run] runs it, a few minutes after the full pass.
const (
	Full     Kind = "full"
	Delta    Kind = "delta"
	Approved Kind = "approved"
	Late     Kind = "late"
)

// Pass is what a pass is asked to do. Its zero value is a full pass.
type Pass struct {
	Kind Kind // Full or Delta; "" means Full

	// Approve is the name of a deletion plan that the guard refused (Report.Plan). The pass then deletes what that plan names and
	// nothing else, after asking Clerk for each object again. A plan is good for one approval within an hour, until another full
	// pass has looked; else the error is [ErrPlan]. Kind is left empty. Empty approves nothing.
	Approve string

	// DryRun compares and writes nothing but the pass's own row: not even which instance the mirror is of. It reports what a pass would
	// do, except that differences of the last minutes, which a webhook may be about to tell, are pending. It runs beside other passes.
	DryRun bool
}

// RunOnce runs a full pass. See [Reconciler.Do].
func (r *Reconciler) RunOnce(ctx context.Context) (Report, error) { return r.Do(ctx, Pass{}) }

// Do runs one pass. Its report is meaningful also beside an error, which is one of [ErrGuard], [ErrIncomplete], [ErrBusy],
// [ErrFullPassDue], [ErrPlan] or clerksync.ErrWrongInstance, or any other where trying again may help. What stops one kind of objects does not
// stop the others, so the error of a full pass may be several of these at once.
//
// A pass of another process makes Do fail with ErrBusy after five seconds at most; that is how long it takes to be sure that the
// process is alive. One that died is waited out: at most 15 seconds.
func (r *Reconciler) Do(ctx context.Context, order Pass) (Report, error) {
	order.Kind = cmp.Or(order.Kind, Full)
	if order.Approve != "" {
		order.Kind = Approved
	}
	if err := r.cfg.check(); err != nil {
		return Report{Kind: order.Kind, DryRun: order.DryRun}, err
	}
	p := newPass(r.cfg, order)
	err := r.do(ctx, p)
	return p.report, err
}

func (r *Reconciler) do(ctx context.Context, p *pass) error {
	if err := p.pin(ctx); err != nil {
		return p.refuse(err)
	}
	if p.order.DryRun {
		return p.run(ctx)
	}
	if err := r.takeTurn(ctx, p.order.Kind); err != nil {
		return p.refuse(err)
	}
	defer func() { <-r.turn }()
	l, err := lease.Take(ctx, p.mirror, leaseKey)
	if err != nil {
		return p.refuse(busy(err))
	}
	p.lease, p.term = l, l.Term()
	return busy(l.Hold(ctx, func(ctx context.Context) error {
		defer r.brief.Store(true) // who finds the lease free again must find the turn, or wait the moment for it
		return p.run(ctx)
	}))
}

// busy adds [ErrBusy] where the lease has told that another pass runs. Evidence that a pass still applies after it lost its lease is
// as good as ever, so nothing is worse for it than wasted requests.
func busy(err error) error {
	if errors.Is(err, lease.ErrHeld) || errors.Is(err, lease.ErrLost) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// takeTurn waits for a brief pass of this process, but for no long one; a delta pass waits for none, since the next one is near.
func (r *Reconciler) takeTurn(ctx context.Context, k Kind) error {
	select {
	case r.turn <- struct{}{}:
	default:
		if k == Delta || !r.brief.Load() {
			return ErrBusy
		}
		select {
		case r.turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.brief.Store(k == Delta || k == Late)
	return nil
}
