// Command login is a web application that keeps its own copy of the users who sign in: no webhook, no daemon.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	clerkhttp "github.com/clerk/clerk-sdk-go/v2/http"
	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"

	"github.com/clerksync/clerksync/migrations"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
)

func main() {
	cfg := clerksync.APIConfig{SecretKey: os.Getenv("CLERK_SECRET_KEY"), URL: cmp.Or(os.Getenv("CLERK_API_URL"), "https://api.clerk.com")}
	db, err := sqlx.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	users, err := open(context.Background(), db, cfg)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("POST /login", verify(cfg)(login(users)))
	log.Fatal(server(http.DefaultServeMux).ListenAndServe())
}

// server bounds headers: a made-up token of 1 MiB, which is Go's bound, costs clerk-sdk-go more than 100 MiB.
func server(site http.Handler) *http.Server {
	return &http.Server{Addr: "127.0.0.1:3000", Handler: site, MaxHeaderBytes: 16 << 10, ReadHeaderTimeout: 5 * time.Second}
}

// open makes the tables, unless they are there, and returns what logins need.
func open(ctx context.Context, db *sqlx.DB, cfg clerksync.APIConfig) (*upsert.Upserter, error) {
	db.SetMaxOpenConns(20) // a crowd of logins waits for a connection instead of taking all that the server has
	if err := migrations.Up(ctx, db.DB, migrations.Options{Dialect: migrations.Postgres}); err != nil {
		return nil, err
	}
	mirror, err := clerksync.Open(ctx, db, clerksync.Config{})
	if err != nil {
		return nil, err
	}
	api, err := clerksync.NewAPI(cfg)
	if err != nil {
		return nil, err
	}
	return upsert.New(upsert.Config{Mirror: mirror, Clerk: api})
}

// verify has clerk-sdk-go verify the session tokens of the same Clerk, be it an emulator. Their claims say who has signed in. Set
// CLERK_JWT_KEY where strangers come: without it Clerk is asked for each key that a made-up token names, which uses up Clerk's rate
// limit, and a program that begins while Clerk is down answers 401 to everybody.
func verify(cfg clerksync.APIConfig) func(http.Handler) http.Handler {
	if key := os.Getenv("CLERK_JWT_KEY"); key != "" {
		return clerkhttp.WithHeaderAuthorization(clerkhttp.JSONWebKey(key))
	}
	clerk.SetBackend(clerk.NewBackend(&clerk.BackendConfig{Key: &cfg.SecretKey, URL: new(cfg.URL + "/v1")}))
	return clerkhttp.WithHeaderAuthorization()
}

// login answers whoever has just signed in, and makes sure that the database has them.
func login(users *upsert.Upserter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, ok := clerk.SessionClaimsFromContext(r.Context())
		if !ok {
			http.Error(w, "please sign in", http.StatusUnauthorized)
			return
		}
		user, err := users.UpsertOnLogin(r.Context(), claims.Subject)
		switch {
		case errors.Is(err, upsert.ErrDeleted), errors.Is(err, upsert.ErrNotFound):
			http.Error(w, "please sign in again", http.StatusUnauthorized)
		case err != nil: // upsert.ErrUnavailable: neither the database nor Clerk can vouch for anybody now
			http.Error(w, "please try again", http.StatusServiceUnavailable)
		default:
			fmt.Fprintf(w, "You are %s.\n", user.ID) // foreign keys of your tables can point to clerk.users(id)
		}
	})
}
