package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/erasure"
	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/internal/crash"
	"github.com/clerksync/clerksync/upkeep"
	"github.com/clerksync/clerksync/webhook"
)

// daemon is serve at work. Both listeners answer from the start, so that a database which comes up later than the daemon is a
// reason in /readyz and no crash; the rest begins when the mirror is open.
type daemon struct {
	settings
	log     *slog.Logger
	metrics *metrics
	bar     *bar
	migrate bool
	orders  chan struct{} // full passes that an operator asked for

	returning sync.Mutex     // held while a return is noted
	returned  chan time.Time // holds when the database came back, until somebody has looked for what was missed

	samples  admin.Samples // of the status page
	presence presence

	open     atomic.Pointer[opened] // nil until the mirror is open
	refused  atomic.Int64           // when a delivery could not be committed, in Unix milliseconds; 0 once one was
	draining atomic.Bool

	hangup      chan os.Signal         // SIGHUP
	token       atomic.Pointer[string] // of the admin listener; nil = none
	certificate certificate
}

// opened is what there is once the mirror is open.
type opened struct {
	mirror  *clerksync.Mirror
	handler *webhook.Handler // nil without a signing secret
	outlet  *outlet
	status  func(context.Context) (admin.Status, error)
	check   func(context.Context) (struct{}, error) // whether the tables are at this version
	reads   *resyncer                               // nil without a key
	eraser  *erasure.Eraser                         // which undoes deletions, too
}

// How long the parts of a stop may take. Together they stay below the 25 seconds after which orchestrators tend to kill.
const (
	drainTime = 15 * time.Second
	stopTime  = 22 * time.Second
)

// run works until the context ends or a part fails for good.
func (d *daemon) run(ctx context.Context) error {
	defer runtime.KeepAlive(tune())
	signal.Notify(d.hangup, syscall.SIGHUP)
	defer signal.Stop(d.hangup)
	certificates, err := d.openTLS(ctx)
	if err != nil {
		return err
	}
	operators, err := listen(ctx, door{setting: "CLERKSYNC_ADMIN_LISTEN", address: d.adminListen, room: roomAmong(openFiles(), adminRoom),
		left: d.metrics.crowdedOut("admin"), log: d.log, net: d.net}, d.adminHandler(ctx.Done()))
	if err != nil {
		return err
	}
	defer func() { _ = operators.stop(time.Second) }() // last, so that it tells of the drain
	public, err := listen(ctx, door{setting: "CLERKSYNC_LISTEN", address: d.listen, room: roomAmong(openFiles(), publicRoom), tls: certificates,
		left: d.metrics.crowdedOut("public"), log: d.log, net: d.net}, http.HandlerFunc(d.servePublic))
	if err != nil {
		return err
	}
	defer func() { _ = public.stop(time.Second) }()
	d.log.Info("listening", "webhooks", public.addr.String()+d.webhookPath, "admin", operators.addr.String())

	mirror, closeMirror, err := d.openPatiently(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer closeMirror()
	done := make(chan error, 1)
	go func() { done <- crash.Contain(func() error { return d.work(ctx, mirror, public) }) }()
	select {
	case err = <-done:
		return err
	case <-ctx.Done():
	}
	d.log.Info("stopping")
	select {
	case err = <-done:
		return err
	case <-time.After(stopTime):
		return errors.New("stopping took too long: something was cut off, and the next start goes on from there")
	}
}

// part is what runs beside others until the context ends. Its error is for good: it stops all.
type part func(context.Context) error

// work runs the parts that need the mirror.
func (d *daemon) work(ctx context.Context, mirror *clerksync.Mirror, public *listener) error {
	o := &opened{mirror: mirror, status: admin.Recent(d.statusOf(mirror), 5*time.Second), check: d.checkOf(mirror)}
	defer d.metrics.watch(mirror, o.status)()
	var err error
	if o.outlet, err = d.openOutlet(mirror, d.log, d.metrics.observeRelay); err != nil {
		return err
	}
	defer o.outlet.close()
	var c clerkEnd
	if d.secretKey.set() {
		if c, err = d.openClerk(ctx, o); err != nil {
			return err
		}
	}
	o.eraser = d.openEraser(mirror, c.api, d.log)
	if err := d.openHandler(o, c.conflict); err != nil {
		return err
	}
	renewals := d.renewals(o, c.reader)
	for _, r := range renewals {
		d.metrics.renewals.WithLabelValues(r.name, "refused") // or the first one would not be seen to rise
	}
	led := append([]part{
		func(ctx context.Context) error { webhook.KeepRetrying(ctx, mirror, d.log); return nil },
		d.openKeeper(mirror, c.api, d.log, func(r upkeep.Report) { d.metrics.lost.Add(float64(r.Lost)) }).Run,
	}, c.led...)
	parts := append([]part{
		o.outlet.feed.Run, // each relay has a lease of its own
		func(ctx context.Context) error { return d.presence.run(ctx, mirror) },
		d.sample,
		func(ctx context.Context) error { return d.renew(ctx, mirror, renewals) },
		func(ctx context.Context) error { return d.lead(ctx, mirror, led) },
	}, c.parts...)
	d.tellMode(ctx, mirror)
	d.open.Store(o)
	return d.serve(ctx, o, parts, public)
}

// serve runs the parts until the context or the public listener ends, or a part fails for good, and lets deliveries end that have begun.
func (d *daemon) serve(ctx context.Context, o *opened, parts []part, public *listener) error {
	group, working := errgroup.WithContext(ctx)
	group.Go(crash.Contained(func() error { return d.together(working, parts) }))
	group.Go(crash.Contained(func() error {
		select {
		case <-working.Done():
		case <-public.ended:
		}
		d.draining.Store(true)
		if o.handler != nil {
			o.handler.Drain()
		}
		return public.stop(drainTime)
	}))
	return group.Wait()
}

func (d *daemon) openHandler(o *opened, conflict func(clerksync.Kind, string)) (err error) {
	if len(d.signingSecrets) == 0 {
		return nil
	}
	o.handler, err = webhook.New(webhook.Config{
		Mirror: o.mirror, Secrets: reveal(d.signingSecrets), Logger: d.log, Observe: d.noteDelivery, OnConflict: conflict,
	})
	return err
}

func (d *daemon) tellMode(ctx context.Context, mirror *clerksync.Mirror) {
	if d.eraseAfter < 0 && d.deletePolicy != clerksync.Hide {
		d.log.Warn("CLERKSYNC_ERASE_AFTER is 0: a deletion is erased at once, and cannot be undone")
	}
	switch {
	case len(d.signingSecrets) == 0 && d.pollInterval == 0:
		d.log.Warn("no CLERK_WEBHOOK_SIGNING_SECRET: the webhook path answers 404, and changes come by full passes alone", "schedule", d.schedule)
	case len(d.signingSecrets) == 0:
		d.log.Warn("no CLERK_WEBHOOK_SIGNING_SECRET: the webhook path answers 404, and changes come by polling", "every", d.pollInterval.String())
	case !d.secretKey.set():
		d.log.Warn("no CLERK_SECRET_KEY: webhooks alone feed the mirror, and what they miss stays missed")
		if pinned, err := mirror.Pinned(ctx); err == nil && pinned == "" {
			d.log.Warn("no Clerk instance is pinned: events of any instance that verify are merged; CLERK_INSTANCE_ID pins one")
		}
	}
}
