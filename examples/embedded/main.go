// Command embedded is a web application that takes Clerk's webhooks and runs the passes itself, in place of the daemon. Every user who
// signs up has a project at once, and gets a mail of welcome.
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
	db, err := sqlx.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:3000")
	if err != nil {
		log.Fatal(err)
	}
	err = run(ctx, db, listener, config{
		clerk:   clerksync.APIConfig{SecretKey: os.Getenv("CLERK_SECRET_KEY"), URL: os.Getenv("CLERK_API_URL")},
		secret:  os.Getenv("CLERK_WEBHOOK_SIGNING_SECRET"),
		welcome: func(_ context.Context, address string) error { log.Print("a mail to ", address); return nil },
	})
	if err != nil {
		log.Fatal(err)
	}
}

// config is what the application needs to know.
type config struct {
	clerk   clerksync.APIConfig
	secret  string                                          // of the webhook endpoint
	welcome func(ctx context.Context, address string) error // sends the mail
}

// run serves until the context ends.
func run(ctx context.Context, db *sqlx.DB, listener net.Listener, cfg config) error {
	if err := migrate(ctx, db); err != nil {
		return err
	}
	mirror, err := clerksync.Open(ctx, db, clerksync.Config{Hooks: clerksync.Hooks{clerksync.Users: {OnCreated: giveProject, Initial: true}}})
	if err != nil {
		return err
	}
	api, err := clerksync.NewAPI(cfg.clerk)
	if err != nil {
		return err
	}
	endpoint, err := webhook.New(webhook.Config{Mirror: mirror, Secrets: []string{cfg.secret}})
	if err != nil {
		return err
	}
	mails, err := feed.New(feed.Config{Mirror: mirror, Relays: []feed.Relay{{
		Name: "welcome", Receiver: feed.Hooks{clerksync.Users: {OnCreated: cfg.greet(mirror)}},
	}}})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/api/webhooks/clerk", endpoint) // beside your own routes
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second}
	passes := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api, PollInterval: 5 * time.Minute, WebhooksExpected: true})
	keeper := upkeep.New(upkeep.Config{Mirror: mirror, Clerk: api})

	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return server.Serve(listener) })
	work.Go(func() error { return mails.Run(ctx) })
	work.Go(func() error { return passes.Run(ctx) }) // a full pass every night, and one at once if the mirror is empty
	work.Go(func() error { webhook.KeepRetrying(ctx, mirror, nil); return nil })
	work.Go(func() error { return keeper.Run(ctx) })                                           // erases who has left, a day later, and removes old rows
	work.Go(func() error { <-ctx.Done(); return server.Shutdown(context.WithoutCancel(ctx)) }) // deliveries in flight are answered
	if err := work.Wait(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// migrate makes the mirror's tables, and the application's own.
func migrate(ctx context.Context, db *sqlx.DB) error {
	if err := migrations.Up(ctx, db.DB, migrations.Options{Dialect: migrations.Postgres}); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS projects (owner text COLLATE "C" PRIMARY KEY REFERENCES clerk.users (id), name text NOT NULL)`)
	return err
}

// giveProject runs in the transaction in which the user appears: nobody is ever seen without a project.
func giveProject(ctx context.Context, tx *sqlx.Tx, t clerksync.Transition) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO projects (owner, name) VALUES ($1, 'My first project')`, t.ObjectID)
	return err
}

// greet runs after the commit, again until it succeeds, and never for users who are older than the mirror.
func (c config) greet(mirror *clerksync.Mirror) feed.Hook {
	return func(ctx context.Context, m feed.Message) error {
		user, err := mirror.User(ctx, m.Change.ObjectID)
		switch {
		case errors.Is(err, clerksync.ErrDeleted):
			return nil // gone already
		case err != nil:
			return err
		case user.Email == nil:
			return nil // signed up by phone
		}
		return c.welcome(ctx, *user.Email)
	}
}
