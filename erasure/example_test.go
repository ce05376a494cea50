package erasure_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/erasure"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// A user deletes the account. The row is hidden at once, and emptied of all that is personal when the time to undo it is over.
func ExampleEraser_RunOnce() {
	t, end := pgtest.Example()
	defer end()
	ctx, there := context.Background(), clerktest.NewServer(t, clerktest.Config{Users: 10})
	mirror, err := clerksync.Open(ctx, pgtest.New(t), clerksync.Config{ReadMargin: -1, Unprepared: pgtest.Unprepared()})
	if err != nil {
		log.Fatal(err)
	}
	api, err := clerksync.NewAPI(clerksync.APIConfig{
		SecretKey: there.SecretKey(), URL: there.URL(), RateLimit: -1, Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		log.Fatal(err)
	}
	passes := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api})
	id := there.MustCreateUser(clerktest.Person("Ada", "Lovelace"))
	if _, err := passes.RunOnce(ctx); err != nil {
		log.Fatal(err)
	}
	if err := there.DeleteUser(id); err != nil {
		log.Fatal(err)
	}
	if _, err := passes.RunOnce(ctx); err != nil {
		log.Fatal(err)
	}

	eraser := erasure.New(erasure.Config{Mirror: mirror, Clerk: api, After: -1}) // an example cannot wait for a day
	report, err := eraser.RunOnce(ctx)
	fmt.Println(report.Total(), err)
	var name *string // the row stays, for the foreign keys that point to it
	err = mirror.DB().GetContext(ctx, &name, `SELECT first_name FROM clerk.users WHERE id = $1`, id)
	fmt.Println(name == nil, err)
	// Output:
	// 1 <nil>
	// true <nil>
}
