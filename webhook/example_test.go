package webhook_test

import (
	"context"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

// Mount the endpoint beside the routes of an application, on the database that it has.
func Example() {
	db := sqlx.MustConnect("postgres", os.Getenv("DATABASE_URL"))
	mirror, err := clerksync.Open(context.Background(), db, clerksync.Config{})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := webhook.New(webhook.Config{
		Mirror:  mirror,
		Secrets: strings.Split(os.Getenv("CLERK_WEBHOOK_SIGNING_SECRET"), ","),
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/api/webhooks/clerk", handler)
	log.Fatal(http.ListenAndServe(":8080", nil))
}
