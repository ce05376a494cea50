// Command subscriptions cancels a user's subscription, and tells the members of his organizations, when his account is erased. It does not
// when a webhook says that the account was deleted: that may be a mistake, or forged.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"

	"github.com/clerksync/clerksync/erasure"
	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/migrations"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
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

// plan notes in the transaction of the erasure whom to tell.
func plan(ctx context.Context, tx *sqlx.Tx, t clerksync.Transition) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO farewells (gone, member)
SELECT own.user_id, other.user_id FROM clerk.organization_memberships AS own
JOIN clerk.organization_memberships AS other ON other.organization_id = own.organization_id AND other.user_id <> own.user_id
WHERE own.user_id = $1 AND other.deleted_at IS NULL ON CONFLICT DO NOTHING`, t.ObjectID)
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
	hook, err := webhook.New(webhook.Config{Mirror: a.mirror, Secrets: []string{os.Getenv("CLERK_WEBHOOK_SIGNING_SECRET")}})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/api/webhooks/clerk", hook)
	server := &http.Server{Addr: "127.0.0.1:3000", Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second}
	go func() { log.Print(server.ListenAndServe()) }()
	go webhook.KeepRetrying(ctx, a.mirror, nil) // what a hook refused
	go func() { _ = a.relays.Run(ctx) }()
	go a.erase(ctx)
	err = reconcile.New(reconcile.Config{Mirror: a.mirror, Clerk: a.api, PollInterval: 5 * time.Minute, WebhooksExpected: true}).Run(ctx)
	return errors.Join(err, server.Shutdown(context.Background()))
}

// erase erases every hour who has been deleted for a day, and whom Clerk denies.
func (a *app) erase(ctx context.Context) {
	eraser := erasure.New(erasure.Config{Mirror: a.mirror, Clerk: a.api})
	for ctx.Err() == nil {
		if _, err := eraser.RunOnce(ctx); err != nil {
			log.Print(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Hour):
		}
	}
}
