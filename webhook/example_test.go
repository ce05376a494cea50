package webhook_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

// site is an application's database, and a Clerk that its users are in.
func site() (ctx context.Context, there *clerktest.Server, db *sqlx.DB, end func()) {
	t, end := pgtest.Example()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return context.Background(), clerktest.NewServer(t, clerktest.Config{RetryScale: 0.001, HTTPClient: client}), pgtest.New(t), end
}

// The endpoint beside the routes of an application, on the database that it has. Clerk is the emulator here: an application has its
// signing secret from Clerk's dashboard, by an environment variable.
func Example() {
	ctx, there, db, end := site()
	defer end()

	mirror, err := clerksync.Open(ctx, db, clerksync.Config{Unprepared: pgtest.Unprepared()})
	if err != nil {
		log.Fatal(err)
	}
	endpoint, err := webhook.New(webhook.Config{Mirror: mirror, Secrets: []string{there.WebhookSecret()}})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/api/webhooks/clerk", endpoint)

	app := httptest.NewServer(mux)
	defer app.Close()
	there.SetWebhookURL(app.URL + "/api/webhooks/clerk")
	id := there.MustCreateUser(clerktest.Person("Ada", "Lovelace"))
	if _, err := there.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	user, err := mirror.User(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(*user.FirstName, "has arrived")
	// Output: Ada has arrived
}

// What becomes of each delivery, for metrics and logs of the application's own.
func ExampleConfig() {
	ctx, there, db, end := site()
	defer end()
	mirror, err := clerksync.Open(ctx, db, clerksync.Config{Unprepared: pgtest.Unprepared()})
	if err != nil {
		log.Fatal(err)
	}
	endpoint, err := webhook.New(webhook.Config{
		Mirror:  mirror,
		Secrets: []string{there.WebhookSecret()},
		Observe: func(d webhook.Delivery) { fmt.Println(d.Code, cmp.Or(string(d.Outcome), d.Reason)) },
	})
	if err != nil {
		log.Fatal(err)
	}
	app := httptest.NewServer(endpoint)
	defer app.Close()
	there.SetWebhookURL(app.URL)
	there.MustCreateUser(clerktest.Person("Ada", "Lovelace"))
	if _, err := there.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	forged, err := http.Post(app.URL, "application/json", http.NoBody)
	if err != nil {
		log.Fatal(err)
	}
	forged.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// 204 created
	// 401 missing
}

// A hook of the team's refuses what it cannot do yet. The event waits, Clerk is content, and trying again finishes it.
func ExampleRetry() {
	ctx, there, db, end := site()
	defer end()
	ready := false
	mirror, err := clerksync.Open(ctx, db, clerksync.Config{Unprepared: pgtest.Unprepared(), Hooks: clerksync.Hooks{
		clerksync.Users: {OnCreated: func(context.Context, *sqlx.Tx, clerksync.Transition) error {
			if !ready {
				return errors.New("not yet")
			}
			return nil
		}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	endpoint, err := webhook.New(webhook.Config{Mirror: mirror, Secrets: []string{there.WebhookSecret()}})
	if err != nil {
		log.Fatal(err)
	}
	app := httptest.NewServer(endpoint)
	defer app.Close()
	there.SetWebhookURL(app.URL)
	id := there.MustCreateUser(clerktest.Person("Ada", "Lovelace"))
	if _, err := there.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = mirror.User(ctx, id)
	fmt.Println("before:", err)

	ready = true
	n, err := webhook.Retry(ctx, mirror, there.Messages()[0].ID) // or, in a goroutine, webhook.KeepRetrying
	fmt.Println(n, err)
	_, err = mirror.User(ctx, id)
	fmt.Println("after:", err)
	// Output:
	// before: reading a user: not found
	// 1 <nil>
	// after: <nil>
}
