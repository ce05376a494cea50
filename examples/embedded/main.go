// Command embedded is a web application that takes Clerk's webhooks and runs the passes itself, in place of the daemon.
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

func run(ctx context.Context) error {
	db, err := sqlx.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close()
	if err := migrations.Up(ctx, db.DB, migrations.Options{Dialect: migrations.Postgres}); err != nil {
		return err
	}
	mirror, err := clerksync.Open(ctx, db, clerksync.Config{})
	if err != nil {
		return err
	}
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: os.Getenv("CLERK_SECRET_KEY"), URL: os.Getenv("CLERK_API_URL")})
	if err != nil {
		return err
	}
	hook, err := webhook.New(webhook.Config{Mirror: mirror, Secrets: []string{os.Getenv("CLERK_WEBHOOK_SIGNING_SECRET")}})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/api/webhooks/clerk", hook) // beside your own routes

	server := &http.Server{Addr: "127.0.0.1:3000", Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second}
	go func() { log.Print(server.ListenAndServe()) }()

	// Every night a full pass, every five minutes a look at what changed last, until the process is asked to stop.
	passes := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api, PollInterval: 5 * time.Minute, WebhooksExpected: true})
	err = passes.Run(ctx)
	return errors.Join(err, server.Shutdown(context.Background())) // deliveries in flight are answered
}
