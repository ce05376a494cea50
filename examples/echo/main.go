// Command echo is a site on Echo where every request of a signed-in user carries the user and the organization as the mirror
// has them.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	clerkhttp "github.com/clerk/clerk-sdk-go/v2/http"
	"github.com/jmoiron/sqlx"
	"github.com/labstack/echo/v4"
	_ "github.com/lib/pq"

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
	log.Fatal(server(routes(verify(cfg), users)).ListenAndServe())
}

// server bounds headers: a made-up token of 1 MiB, which is Go's bound, costs clerk-sdk-go more than 100 MiB.
func server(site http.Handler) *http.Server {
	return &http.Server{Addr: "127.0.0.1:3000", Handler: site, MaxHeaderBytes: 16 << 10, ReadHeaderTimeout: 5 * time.Second}
}

// open opens the mirror, whose tables "clerksync migrate up" has made.
func open(ctx context.Context, db *sqlx.DB, cfg clerksync.APIConfig) (*upsert.Upserter, error) {
	db.SetMaxOpenConns(20) // a crowd of logins waits for a connection instead of taking all that the server has
	mirror, err := clerksync.Open(ctx, db, clerksync.Config{
		Kinds: []clerksync.Kind{clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships},
	})
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

// routes has the claims verified first; the middleware takes the user from them.
func routes(verify func(http.Handler) http.Handler, users *upsert.Upserter) http.Handler {
	e := echo.New()
	e.Use(echo.WrapMiddleware(verify), echo.WrapMiddleware(users.Middleware))
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, greeting(c.Request().Context())) })
	return e
}

// greeting is for whoever has sent the request.
func greeting(ctx context.Context) string {
	user, ok := upsert.FromContext(ctx)
	if !ok {
		return "Hello stranger!"
	}
	if m, ok := upsert.MembershipFromContext(ctx); ok {
		return fmt.Sprintf("Hello %s of %s!", or(user.FirstName, user.ID), or(m.Organization.Name, m.Organization.ID))
	}
	return fmt.Sprintf("Hello %s!", or(user.FirstName, user.ID))
}

// or is for what Clerk need not have, such as a name.
func or(text *string, instead string) string {
	if text == nil {
		return instead
	}
	return *text
}
