package main

import (
	"context"
	"errors"
	"fmt"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/reconcile"
)

// clerkEnd is what a daemon has that reads from Clerk. The zero value is that of one without a key.
type clerkEnd struct {
	api      *clerksync.API
	reader   *clerksync.Reader
	conflict func(clerksync.Kind, string) // asks Clerk about an object
	parts    []part                       // of every replica
	led      []part                       // of the one that leads
}

// openClerk opens the end towards Clerk, whose key must be the mirror's.
func (d *daemon) openClerk(ctx context.Context, o *opened) (c clerkEnd, err error) {
	if c.api, err = d.openAPI(d.metrics.observeRequest); err != nil {
		return clerkEnd{}, err
	}
	c.reader = clerksync.NewReader(o.mirror, c.api, clerksync.Login)
	o.reads = &resyncer{o.mirror, clerksync.NewReader(o.mirror, c.api, clerksync.Resync)}
	if err := d.checkInstance(ctx, c.reader); err != nil {
		return clerkEnd{}, err
	}
	v := newVerifier(d.settings, o.mirror, c.api, d.log)
	c.conflict = v.ask
	r := d.openReconciler(o.mirror, c.api)
	c.parts = []part{
		v.run,
		func(ctx context.Context) error { return d.takeOrders(ctx, r) },
		func(ctx context.Context) error { return d.watchOutages(ctx, o.mirror) },
	}
	c.led = []part{r.Run, func(ctx context.Context) error { return d.recovery(ctx, r, o.mirror) }}
	return c, nil
}

// checkInstance refuses another instance's key before the first delivery is taken. A Clerk that does not answer now is asked again
// by everything that reads from it.
func (d *daemon) checkInstance(ctx context.Context, reader *clerksync.Reader) error {
	id, err := reader.Instance(ctx)
	switch {
	case errors.Is(err, clerksync.ErrWrongInstance):
		return err
	case err != nil:
		d.log.Warn("Clerk does not tell its instance now", "error", err)
	default:
		d.log.Info("mirroring", "instance", id)
	}
	return nil
}

func (d *daemon) openReconciler(mirror *clerksync.Mirror, api *clerksync.API) *reconcile.Reconciler {
	return reconcile.New(reconcile.Config{
		Mirror: mirror, Clerk: api, MaxDeletes: d.maxDeletes, MaxDeletePercent: d.maxPercent,
		Schedule: d.schedule, PollInterval: d.pollInterval, WebhooksExpected: len(d.signingSecrets) > 0,
		Logger: d.log, Progress: d.bar.show, Observe: func(report reconcile.Report) {
			d.bar.close()
			d.noteSilence(mirror, report)
			d.metrics.observePass(report)
		},
	})
}

// orderPass is POST /api/reconcile.
func (d *daemon) orderPass(ctx context.Context) error {
	o := d.open.Load()
	if o == nil || d.draining.Load() {
		return errors.New("not ready")
	}
	switch running, err := reconcile.Running(ctx, o.mirror); {
	case err != nil:
		return fmt.Errorf("looking whether a pass is running: %w", err)
	case running:
		return admin.ErrBusy
	}
	select {
	case d.orders <- struct{}{}:
		return nil
	default:
		return admin.ErrBusy
	}
}

// takeOrders runs the passes that an operator asks this replica for.
func (d *daemon) takeOrders(ctx context.Context, r *reconcile.Reconciler) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.orders:
		}
		if _, err := r.RunOnce(ctx); errors.Is(err, clerksync.ErrWrongInstance) {
			return err
		} else if errors.Is(err, reconcile.ErrBusy) {
			d.log.Warn("the pass that was asked for did not begin", "error", err)
		}
	}
}
