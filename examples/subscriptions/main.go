// Command subscriptions cancels a user's subscription, and tells the members of his organizations, when his account is erased. It does not
// when a webhook says that the account was deleted: that may be a mistake, or forged.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/migrations"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upkeep"
	"github.com/clerksync/clerksync/webhook"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// outside is what the application does to others. Both may be asked for the same thing twice.
type outside struct {
	cancel func(ctx context.Context, user string) error         // the user's subscription
	notify func(ctx context.Context, member, gone string) error // a member of the organization that somebody has left
}

// app is a mirror and what hangs on it.
type app struct {
	mirror *clerksync.Mirror
	api    *clerksync.API
	relays *feed.Feed
}

func open(ctx context.Context, db *sqlx.DB, clerk clerksync.APIConfig, out outside) (*app, error) {
	const farewells = `CREATE TABLE IF NOT EXISTS farewells (gone text, member text, PRIMARY KEY (gone, member))`
	if _, err := db.ExecContext(ctx, farewells); err != nil {
		return nil, err
	}
	mirror, err := clerksync.Open(ctx, db, clerksync.Config{
		Kinds: []clerksync.Kind{clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships},
		Hooks: clerksync.Hooks{clerksync.Users: {OnErased: plan}},
	})
	if err != nil {
		return nil, err
	}
	api, err := clerksync.NewAPI(clerk)
	if err != nil {
		return nil, err
	}
	relays, err := feed.New(feed.Config{Mirror: mirror, Relays: []feed.Relay{{
		Name: "subscriptions", Receiver: feed.Hooks{clerksync.Users: {OnErased: out.carryOut(db)}},
	}}})
	return &app{mirror, api, relays}, err
}

// plan notes in the transaction of the erasure whom to tell: the members of organizations that he was in to the last, or to the last
// minute, since they may have ended with him.
func plan(ctx context.Context, tx *sqlx.Tx, t clerksync.Transition) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO farewells (gone, member)
SELECT own.user_id, other.user_id FROM clerk.users AS gone
JOIN clerk.organization_memberships AS own ON own.user_id = gone.id AND coalesce(own.deleted_at > gone.deleted_at - interval '1 minute', true)
JOIN clerk.organization_memberships AS other ON other.organization_id = own.organization_id AND other.user_id <> own.user_id
WHERE gone.id = $1 AND other.deleted_at IS NULL ON CONFLICT DO NOTHING`, t.ObjectID)
	return err
}

// carryOut does after the commit what cannot be undone. After a crash or an error it is called again, and goes on where it was.
func (o outside) carryOut(db *sqlx.DB) feed.Hook {
	return func(ctx context.Context, m feed.Message) error {
		gone := m.Change.ObjectID
		if err := o.cancel(ctx, gone); err != nil {
			return err
		}
		var members []string
		if err := db.SelectContext(ctx, &members, `SELECT member FROM farewells WHERE gone = $1 ORDER BY member`, gone); err != nil {
			return err
		}
		for _, member := range members {
			if err := o.notify(ctx, member, gone); err != nil {
				return err
			}
			if _, err := db.ExecContext(ctx, `DELETE FROM farewells WHERE gone = $1 AND member = $2`, gone, member); err != nil {
				return err
			}
		}
		return nil
	}
}

func run(ctx context.Context) error {
	db, err := sqlx.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close()
	if err := migrations.Up(ctx, db.DB, migrations.Options{Dialect: migrations.Postgres}); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:3000")
	if err != nil {
		return err
	}
	a, err := open(ctx, db, clerksync.APIConfig{SecretKey: os.Getenv("CLERK_SECRET_KEY"), URL: os.Getenv("CLERK_API_URL")}, outside{
		cancel: func(_ context.Context, user string) error {
			log.Print("cancelling the subscription of ", user)
			return nil
		},
		notify: func(_ context.Context, member, gone string) error {
			log.Print("telling ", member, " that ", gone, " has left")
			return nil
		},
	})
	if err != nil {
		return err
	}
	return a.serve(ctx, listener, os.Getenv("CLERK_WEBHOOK_SIGNING_SECRET"))
}

// serve takes webhooks and does all the rest until the context ends, or a part of it does.
func (a *app) serve(ctx context.Context, listener net.Listener, secret string) error {
	hook, err := webhook.New(webhook.Config{Mirror: a.mirror, Secrets: []string{secret}})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/api/webhooks/clerk", hook)
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second}
	passes := reconcile.New(reconcile.Config{Mirror: a.mirror, Clerk: a.api, PollInterval: 5 * time.Minute, WebhooksExpected: true})
	keeper := upkeep.New(upkeep.Config{Mirror: a.mirror, Clerk: a.api})

	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return server.Serve(listener) })
	work.Go(func() error { return a.relays.Run(ctx) })
	work.Go(func() error { return passes.Run(ctx) })
	work.Go(func() error { return keeper.Run(ctx) })                                           // erases who has been deleted for a day, and whom Clerk denies
	work.Go(func() error { webhook.KeepRetrying(ctx, a.mirror, nil); return nil })             // what a hook refused
	work.Go(func() error { <-ctx.Done(); return server.Shutdown(context.WithoutCancel(ctx)) }) // deliveries in flight are answered
	if err := work.Wait(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
