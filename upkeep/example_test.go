package upkeep_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upkeep"
)

// A worker of the application brings the mirror up to date every night, and then does what is due in it.
func ExampleKeeper_RunOnce() {
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
	keeper := upkeep.New(upkeep.Config{Mirror: mirror, Clerk: api, EraseAfter: -1}) // an example cannot wait for a day
	for night := range 2 {
		if night == 1 { // somebody has deleted the account
			for id := range there.Users() {
				if err := there.DeleteUser(id); err != nil {
					log.Fatal(err)
				}
				break
			}
		}
		pass, err := passes.RunOnce(ctx)
		if err != nil {
			log.Fatal(err)
		}
		done, err := keeper.RunOnce(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(pass.Drift(), "differences,", done.Erasure.Total(), "erased")
	}
	// Output:
	// 10 differences, 0 erased
	// 1 differences, 1 erased
}
