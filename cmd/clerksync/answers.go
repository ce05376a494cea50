package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/migrations"
	"github.com/clerksync/clerksync/webhook"
)

// servePublic answers the public listener: the webhook path and nothing else.
func (d *daemon) servePublic(w http.ResponseWriter, r *http.Request) {
	o := d.open.Load()
	switch {
	case !d.allows(r.RemoteAddr):
		d.metrics.observeDelivery(webhook.Delivery{Code: http.StatusForbidden, Reason: "address"})
		http.Error(w, "this address is not allowed", http.StatusForbidden)
	case r.URL.Path != d.webhookPath || len(d.signingSecrets) == 0:
		http.NotFound(w, r)
	case o == nil:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	default:
		o.handler.ServeHTTP(w, r)
	}
}

// allows reports whether requests over a connection from this address are taken. Headers in which a proxy may tell whose request it
// passes on are not looked at: whoever connects could write them.
func (d *daemon) allows(remote string) bool {
	if len(d.allow) == 0 {
		return true
	}
	peer, err := netip.ParseAddrPort(remote)
	addr := peer.Addr().Unmap()
	return err == nil && slices.ContainsFunc(d.allow, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// serveChanges is GET /api/changes.
func (d *daemon) serveChanges(w http.ResponseWriter, r *http.Request) {
	o := d.open.Load()
	if o == nil {
		http.Error(w, errNotOpen.Error(), http.StatusServiceUnavailable)
		return
	}
	o.outlet.pull.ServeHTTP(w, r)
}

func (d *daemon) adminHandler(closing <-chan struct{}) http.Handler {
	if d.adminToken.set() {
		token := d.adminToken.reveal()
		d.token.Store(&token)
	}
	cfg := admin.Config{Token: d.token.Load, Health: d.health, Metrics: d.metrics.handler(), Changes: http.HandlerFunc(d.serveChanges),
		Refused: d.metrics.refused.Inc, Samples: &d.samples, Closing: closing}
	if d.secretKey.set() {
		cfg.Reconcile = d.orderPass
	}
	return admin.NewHandler(pageOf(cfg, d.ready, d.secretKey.set()))
}

// ready returns what there is once the mirror is open.
func (d *daemon) ready() (*opened, error) {
	if o := d.open.Load(); o != nil {
		return o, nil
	}
	return nil, errNotOpen
}

var errNotOpen = errors.New("the database is not open yet")

// refusedTime is for how long a delivery that could not be committed keeps the daemon from being ready, unless one is committed sooner.
// Then it is ready again, or nobody would send it the one that shows whether it is.
const refusedTime = 10 * time.Second

// noteDelivery tells the metrics and, since a database may answer questions and take no writes, /readyz.
func (d *daemon) noteDelivery(seen webhook.Delivery) {
	d.metrics.observeDelivery(seen)
	switch {
	case seen.Code == http.StatusNoContent:
		if d.refused.Swap(0) != 0 { // a database that took no writes answered pings all the time
			d.noteReturn(time.Now())
		}
	case seen.Reason == "unavailable":
		d.refused.Store(time.Now().UnixMilli())
	}
}

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
		h.Reasons, h.Warnings = checkTables(ctx, o)
		if len(h.Reasons) == 0 && time.Since(time.UnixMilli(d.refused.Load())) < refusedTime {
			h.Reasons = append(h.Reasons, "the database takes no writes")
		}
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

// checkOf returns a function that asks the database for its version. Whoever asks meanwhile waits for the same answer: anybody may, and
// a database that is frozen keeps each connection for as long as the driver's patience lasts.
func (d *daemon) checkOf(mirror *clerksync.Mirror) func(context.Context) (struct{}, error) {
	return admin.Recent(func(ctx context.Context) (struct{}, error) {
		return struct{}{}, migrations.Check(ctx, mirror.DB().DB, d.tables())
	}, 0)
}

// checkTables tells what is wrong with the tables. Those that a later release has migrated are no reason to turn deliveries away, or an
// update would take out all replicas at once: what opened them goes on, and where they lack something deliveries tell.
func checkTables(ctx context.Context, o *opened) (reasons, warnings []string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	switch _, err := o.check(ctx); {
	case err == nil:
		return nil, nil
	case errors.Is(err, migrations.ErrNewer):
		return nil, []string{"a later release has migrated the tables: this one goes on, and does not start again on them"}
	case errors.Is(err, migrations.ErrPending):
		return []string{err.Error()}, nil
	default:
		return []string{"the database does not answer"}, nil // anybody may ask, so no details
	}
}
