package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/internal/crash"
	"github.com/clerksync/clerksync/reconcile"
	"github.com/clerksync/clerksync/upsert"
	"github.com/clerksync/clerksync/webhook"
)

// demo is the daemon and the emulator in one process, and the story that is played with them.
type demo struct {
	users    int
	seed     uint64
	out      io.Writer
	metrics  *metrics
	instance string // of the database, if it was played in before
	closers  []func()

	mirror     *clerksync.Mirror
	clerk      *clerktest.Server
	reconciler *reconcile.Reconciler
	logins     *upsert.Upserter
	bar        atomic.Pointer[bar]
	requests   atomic.Int64 // to the emulator
	began      time.Time    // before the first change in Clerk
	suspicious atomic.Int64 // sign-ins that the mirror remarked on
	differs    []string     // what went otherwise than it must
}

// startParts starts what serve has, against the emulator: the endpoint behind a real listener, passes and the login helper.
func (d *demo) startParts(ctx context.Context) error {
	api, err := clerksync.NewAPI(clerksync.APIConfig{
		SecretKey: d.clerk.SecretKey(), URL: d.clerk.URL(), RateLimit: -1,
		Observe: func(endpoint string, status int) { d.requests.Add(1); d.metrics.observeRequest(endpoint, status) },
	})
	if err != nil {
		return err
	}
	handler, err := webhook.New(webhook.Config{
		Mirror: d.mirror, Secrets: []string{d.clerk.WebhookSecret()}, Observe: d.metrics.observeDelivery,
	})
	if err != nil {
		return err
	}
	endpoint, err := listen(ctx, d.door("public"), handler)
	if err != nil {
		return err
	}
	d.atEnd(func() { _ = endpoint.stop(time.Second) })
	d.clerk.SetWebhookURL("http://" + endpoint.addr.String() + "/api/webhooks/clerk")

	d.atEnd(d.mirror.Watch(func(c clerksync.Commit) {
		for _, change := range c.Changes {
			if change.Op == clerksync.Suspicious {
				d.suspicious.Add(1)
			}
		}
	}))

	d.reconciler = reconcile.New(reconcile.Config{
		Mirror: d.mirror, Clerk: api, WebhooksExpected: true, Observe: d.metrics.observePass,
		MaxDeletes: math.MaxInt32, MaxDeletePercent: 100, // a demo that was played here before has left other users
		Progress: func(p reconcile.Progress) { d.bar.Load().show(p) },
	})
	d.logins, err = upsert.New(upsert.Config{
		Mirror: d.mirror, Clerk: api, MaxAge: time.Millisecond, // so that every login asks
		MaxDeletes: maxActs, Observe: d.metrics.observeLogin,
	})
	if err != nil {
		return err
	}
	d.atEnd(d.logins.Close)
	return nil
}

// door is how the demo's own listeners are entered.
func (d *demo) door(listener string) door {
	return door{setting: "the demo", address: "127.0.0.1:0", room: adminRoom, left: d.metrics.crowdedOut(listener), log: slog.New(slog.DiscardHandler)}
}

func (d *demo) startPage(ctx context.Context) error {
	status := admin.Recent(d.readStatus, time.Second)
	stop := d.metrics.watch(d.mirror, status)
	samples := &admin.Samples{}
	shown := &opened{mirror: d.mirror, status: status}
	page, err := listen(ctx, d.door("admin"), admin.NewHandler(pageOf(admin.Config{
		Metrics: d.metrics.handler(), Samples: samples, Closing: ctx.Done(),
		Health: func(context.Context) admin.Health { return admin.Health{Ready: true} },
	}, func() (*opened, error) { return shown, nil }, false)))
	if err != nil {
		return err
	}
	ctx, done := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = crash.Contain(func() error { // without samples the page goes on
			every(ctx, admin.SampleTime, func() { samples.Add(d.metrics.totals(1)) })
			return nil
		})
	}()
	d.atEnd(func() { done(); <-ended; stop(); _ = page.stop(time.Second) })
	d.say("status", "http://%s until Ctrl-C", page.addr)
	return nil
}

// readStatus is [readStatus] for a story in which nobody else could lead.
func (d *demo) readStatus(ctx context.Context) (admin.Status, error) {
	s, err := readStatus(ctx, d.mirror)
	s.Leader = &admin.Leader{Replica: "demo", Term: 1}
	return s, err
}

// play tells the story and compares.
func (d *demo) play(ctx context.Context, b *bar) error {
	d.bar.Store(b)
	defer b.close()
	a := newActs(d.clerk, d.users, d.seed)
	for _, scene := range []func(context.Context, *acts) error{d.backfill, d.webhooks, d.signIns, d.delta, d.full, d.resend} {
		if err := scene(ctx, a); err != nil {
			return err
		}
	}
	differences, err := d.compare(ctx)
	b.close()
	if err != nil {
		return err
	}
	return d.conclude(d.out, append(d.differs, differences...))
}

func (d *demo) backfill(ctx context.Context, _ *acts) error {
	report, err := d.reconciler.RunOnce(ctx)
	d.bar.Load().close()
	if err != nil {
		return err
	}
	n := report.Total()
	d.say("backfill", "a pass read %s in %d requests: %d created, %d updated, %d deleted, %d revived (%s)",
		seen(report), report.Requests, n.Created, n.Updated, n.Deleted, n.Revived, took(report))
	return nil
}

// webhooks changes what there is in Clerk and waits until its sender has nothing left to deliver.
func (d *demo) webhooks(ctx context.Context, a *acts) error {
	d.began = time.Now().Truncate(time.Millisecond)
	t := &teams{clerk: d.clerk, dice: a.dice, people: a.cast, count: min(max(d.users/50, 1), maxTeams)}
	for _, play := range []func() error{t.play, t.travel, a.play} {
		if err := play(); err != nil {
			return err
		}
	}
	counts, err := d.clerk.Wait(ctx)
	if err != nil {
		return fmt.Errorf("waiting for deliveries: %w", err)
	}
	d.say("changes", "%d users signed up, %d were deleted, %d renamed, %d given metadata, %d banned; %d signed in",
		len(a.created), len(a.deleted), a.renamed, a.marked, a.banned, a.signedIn)
	d.say("teams", "%d organizations founded, %d renamed, %d dissolved; %d users joined, %d promoted, %d left; %d invitations, %d accepted, %d revoked",
		t.founded, t.renamed, t.dissolved, t.joined, t.promoted, t.left, t.invited, t.accepted, t.revoked)
	d.say("webhook", "%d events: %d delivered in %d posts, doubled and overtaken on the way; %d lost",
		counts.Sent, counts.Delivered, counts.Attempts, counts.Dropped)
	if counts.Failed > 0 {
		d.differs = append(d.differs, fmt.Sprintf("%d events were refused", counts.Failed))
	}
	return nil
}

// signIns lets users sign in whom a lost event may have kept from the mirror, and users who were deleted.
func (d *demo) signIns(ctx context.Context, a *acts) error {
	const some = 25
	before := d.requests.Load()
	served := 0
	for _, id := range head(a.living(), some) {
		if _, err := d.logins.UpsertOnLogin(ctx, id); err != nil {
			d.differs = append(d.differs, fmt.Sprintf("%s could not sign in: %v", id, err))
			continue
		}
		served++
	}
	refused := 0
	for _, id := range head(a.deleted, some) {
		_, err := d.logins.UpsertOnLogin(ctx, id)
		if errors.Is(err, upsert.ErrDeleted) || errors.Is(err, upsert.ErrNotFound) {
			refused++
			continue
		}
		d.differs = append(d.differs, fmt.Sprintf("%s was deleted and could sign in: %v", id, err))
	}
	d.say("login", "%d users served and %d deleted ones refused, in %d requests", served, refused, d.requests.Load()-before)
	return nil
}

func (d *demo) delta(ctx context.Context, _ *acts) error {
	report, err := d.reconciler.Do(ctx, reconcile.Pass{Kind: reconcile.Delta})
	if err != nil {
		return err
	}
	n := report.Resources[clerksync.Users]
	d.say("delta pass", "looked at the %d users changed last, in %d requests: %d created, %d updated", n.Seen, report.Requests, n.Created, n.Updated)
	return nil
}

func (d *demo) full(ctx context.Context, _ *acts) error {
	report, err := d.reconciler.RunOnce(ctx)
	d.bar.Load().close()
	if err != nil {
		return err
	}
	n := report.Total()
	d.say("full pass", "read %s in %d requests: %d created, %d updated, %d deleted after Clerk was asked for each (%s)",
		seen(report), report.Requests, n.Created, n.Updated, n.Deleted, took(report))
	return nil
}

// resend has the lost events sent again, as a button of Clerk's dashboard does: no list shows sessions, so no pass could repair
// those. About everything else the events come too late to change anything.
func (d *demo) resend(ctx context.Context, _ *acts) error {
	n := d.clerk.Resend("missing", d.began)
	if _, err := d.clerk.Wait(ctx); err != nil {
		return fmt.Errorf("waiting for deliveries: %w", err)
	}
	populations, err := d.mirror.Populations(ctx)
	if err != nil {
		return err
	}
	var told []string
	for _, p := range populations {
		if !p.Kind.Listed() {
			told = append(told, fmt.Sprintf("%d %s", p.Visible, spaced(p.Kind)))
		}
	}
	d.say("resent", "the %d lost events, for what no list shows: %s", n, strings.Join(told, ", "))
	d.say("sign-ins", "%d were suspicious: a country, a device or somebody in the user's place", d.suspicious.Load())
	return nil
}

// seen tells what a pass read, resource by resource, without the few domains, roles and permissions.
func seen(r reconcile.Report) string {
	var all []string
	for _, resource := range resources {
		n, listed := int64(0), false
		for _, kind := range resource.kinds {
			if counts, there := r.Resources[kind]; there && strings.HasSuffix(string(kind), resource.name) {
				n, listed = n+counts.Seen, true
			}
		}
		if listed {
			all = append(all, fmt.Sprintf("%d %s", n, resource.name))
		}
	}
	return strings.Join(all, ", ")
}

func took(r reconcile.Report) time.Duration {
	return r.FinishedAt.Sub(r.StartedAt).Round(10 * time.Millisecond)
}

func head(ids []string, n int) []string { return ids[:min(n, len(ids))] }
