package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/robfig/cron/v3"
	"golang.org/x/sync/errgroup"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/crash"
)

// Run runs passes until the context ends: full ones by the schedule, delta ones by the poll interval. A first full pass runs at
// once if no complete one is recorded, and one that was killed goes on. A pass that fails is told by the logger and the observer,
// and the next one tries again.
//
// It returns nil when the context has ended and the pass that ran has stopped. Its error is a mistake in the configuration, or
// clerksync.ErrWrongInstance, which no waiting cures: Clerk is asked at once whose the key is, however far the next pass is away.
func (r *Reconciler) Run(ctx context.Context) error {
	if err := r.cfg.check(); err != nil {
		return err
	}
	schedule, err := parseSchedule(r.cfg.Schedule, func() string {
		id, _ := r.cfg.Mirror.Pinned(ctx) // before there is a pin any minute will do
		return id
	})
	if err != nil {
		return fmt.Errorf("reading the schedule: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	d := &daemon{Reconciler: r, group: group}
	if schedule != nil || r.cfg.PollInterval > 0 {
		group.Go(crash.Contained(func() error { return d.askWhose(ctx) }))
	}
	if schedule != nil {
		group.Go(crash.Contained(func() error { return d.runScheduled(ctx, schedule) }))
	}
	if r.cfg.PollInterval > 0 {
		group.Go(crash.Contained(func() error { return d.poll(ctx) }))
	}
	return group.Wait()
}

// daemon is a reconciler that runs by itself. An error of a goroutine of its group ends it.
type daemon struct {
	*Reconciler
	group *errgroup.Group
}

// askWhose asks for the instance of the key. While Clerk does not tell, passes fail by themselves.
func (d *daemon) askWhose(ctx context.Context) error {
	_, err := clerksync.NewReader(d.cfg.Mirror, d.cfg.Clerk, clerksync.Reconcile).Instance(ctx)
	if errors.Is(err, clerksync.ErrWrongInstance) {
		d.cfg.Logger.Warn("no pass can run", "error", err)
		return err
	}
	return nil
}

// runScheduled runs the full passes: the first one, and then those of the schedule.
func (d *daemon) runScheduled(ctx context.Context, schedule cron.Schedule) error {
	if err := d.runFirst(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	wrong := make(chan error, 1)
	log := cronLogger{d.cfg.Logger}
	c := cron.New(cron.WithLocation(time.UTC), cron.WithLogger(log),
		cron.WithChain(cron.SkipIfStillRunning(log), cron.Recover(log))) // in this order, or a panic ends the schedule for ever
	c.Schedule(schedule, cron.FuncJob(func() {
		if err := d.fullPass(ctx); errors.Is(err, clerksync.ErrWrongInstance) {
			select {
			case wrong <- err:
			default:
			}
		}
	}))
	c.Start()
	defer func() { <-c.Stop().Done() }()
	select {
	case err := <-wrong:
		return err
	case <-ctx.Done():
		return nil
	}
}

// runFirst runs a full pass if one is due at once, again until it has ended well: with nothing to start from, the mirror would
// be empty until the schedule comes.
func (d *daemon) runFirst(ctx context.Context) error {
	pause := &backoff.ExponentialBackOff{InitialInterval: time.Second, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: 10 * time.Minute}
	for ctx.Err() == nil {
		due, err := d.due(ctx)
		if err == nil && !due {
			return nil
		}
		if err == nil {
			err = d.fullPass(ctx)
		}
		if err == nil || errors.Is(err, ErrGuard) {
			return nil
		}
		if errors.Is(err, clerksync.ErrWrongInstance) {
			return err
		}
		wait(ctx, pause.NextBackOff())
	}
	return nil
}

// due reports whether a full pass should run without waiting for the schedule.
func (d *daemon) due(ctx context.Context) (bool, error) {
	_, found, err := lastFull(ctx, d.cfg.Mirror)
	if err != nil || !found {
		return err == nil, err
	}
	var p progress
	found, err = d.cfg.Mirror.ReadState(ctx, "progress", &p)
	return found && p.fresh(), err
}

// fullPass runs a full pass, and plans a late one if it left something undecided.
func (d *daemon) fullPass(ctx context.Context) error {
	p := newPass(d.cfg, Pass{Kind: Full})
	err := d.do(ctx, p)
	if len(p.pending) > 0 && ctx.Err() == nil {
		d.group.Go(crash.Contained(func() error {
			wait(ctx, p.unsettled())
			if ctx.Err() != nil {
				return nil
			}
			late := newPass(d.cfg, Pass{Kind: Late})
			late.pending = p.pending
			_ = d.do(ctx, late) // it is in the row; the next full pass decides again
			return nil
		}))
	}
	return err
}

// poll runs the delta passes.
func (d *daemon) poll(ctx context.Context) error {
	ticker := time.NewTicker(d.cfg.PollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if _, err := d.Do(ctx, Pass{Kind: Delta}); errors.Is(err, clerksync.ErrWrongInstance) {
			return err
		}
	}
}

// wait waits until the time is over or the context is.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// cronLogger hands what the scheduler tells to a slog.Logger.
type cronLogger struct{ *slog.Logger }

// Info implements cron.Logger. Its messages are about wake-ups, of interest to nobody but a debugger.
func (l cronLogger) Info(msg string, pairs ...any) { l.Debug("schedule: "+msg, pairs...) }

// Error implements cron.Logger. What it is told is what a pass panicked with, which may hold somebody's data unless the runtime made
// it.
func (l cronLogger) Error(err error, msg string, pairs ...any) {
	told := fmt.Sprintf("%T", err)
	if made := runtime.Error(nil); errors.As(err, &made) {
		told = made.Error()
	}
	l.Logger.Error("schedule: "+msg, append(pairs, "error", told)...)
}
