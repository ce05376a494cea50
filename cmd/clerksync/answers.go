package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/migrations"
)

// orderPass is POST /api/reconcile.
func (d *daemon) orderPass() error {
	if d.open.Load() == nil || d.draining.Load() {
		return errors.New("not ready")
	}
	select {
	case d.orders <- struct{}{}:
		return nil
	default:
		return admin.ErrBusy
	}
}

// servePublic answers the public listener: the webhook path and nothing else.
func (d *daemon) servePublic(w http.ResponseWriter, r *http.Request) {
	o := d.open.Load()
	switch {
	case r.URL.Path != d.webhookPath || len(d.signingSecrets) == 0:
		http.NotFound(w, r)
	case o == nil:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	default:
		o.handler.ServeHTTP(w, r)
	}
}

func (d *daemon) adminHandler() http.Handler {
	cfg := admin.Config{Token: d.adminToken.reveal(), Health: d.health, Metrics: d.metrics.handler(),
		Status: func(ctx context.Context) (admin.Status, error) {
			if o := d.open.Load(); o != nil {
				return o.status(ctx)
			}
			return admin.Status{}, errNotOpen
		}}
	if d.secretKey.set() {
		cfg.Reconcile = d.orderPass
	}
	return admin.NewHandler(cfg)
}

var errNotOpen = errors.New("the database is not open yet")

// health tells whether deliveries can be taken.
func (d *daemon) health(ctx context.Context) admin.Health {
	h := admin.Health{}
	o := d.open.Load()
	switch {
	case d.draining.Load():
		h.Reasons = append(h.Reasons, "shutting down")
	case o == nil:
		h.Reasons = append(h.Reasons, errNotOpen.Error())
	default:
		h.Reasons = append(h.Reasons, d.checkTables(ctx, o.mirror)...)
	}
	h.Ready = len(h.Reasons) == 0
	if o == nil {
		return h
	}
	if skew, excessive := o.mirror.Skew(); excessive {
		h.Warnings = append(h.Warnings, fmt.Sprintf("Clerk's clock is %s ahead of ours: reads prove nothing, and no deletion is "+
			"found by them, until this machine's clock is set", skew.Round(time.Second)))
	}
	return h
}

func (d *daemon) checkTables(ctx context.Context, mirror *clerksync.Mirror) (reasons []string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	switch err := migrations.Check(ctx, mirror.DB().DB, d.tables()); {
	case err == nil:
		return nil
	case errors.Is(err, migrations.ErrPending), errors.Is(err, migrations.ErrNewer):
		return []string{err.Error()}
	default:
		return []string{"the database does not answer"} // anybody may ask, so no details
	}
}
