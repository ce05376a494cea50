package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// site is a Clerk with some users, and a mirror on an application's database that knows none of them yet.
func site(users int) (ctx context.Context, there *clerktest.Server, mirror *clerksync.Mirror, api *clerksync.API, end func()) {
	t, end := pgtest.Example()
	ctx, there = context.Background(), clerktest.NewServer(t, clerktest.Config{Users: users})
	mirror, err := clerksync.Open(ctx, pgtest.New(t), clerksync.Config{ReadMargin: -1, Unprepared: pgtest.Unprepared()})
	if err != nil {
		log.Fatal(err)
	}
	api, err = clerksync.NewAPI(clerksync.APIConfig{
		SecretKey: there.SecretKey(), URL: there.URL(), RateLimit: -1, Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		log.Fatal(err)
	}
	return ctx, there, mirror, api, end
}

// The first pass fills an empty mirror; every other one repairs what webhooks lost.
func ExampleReconciler_RunOnce() {
	ctx, there, mirror, api, end := site(100)
	defer end()

	passes := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api})
	report, err := passes.RunOnce(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Resources[clerksync.Users].Created, "created")

	there.MustCreateUser(clerktest.Person("Ada", "Lovelace")) // and no webhook tells
	if report, err = passes.RunOnce(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Drift(), "repaired")
	// Output:
	// 100 created
	// 1 repaired
}

// Looking without touching: what a pass would do.
func ExampleReconciler_Do() {
	ctx, there, mirror, api, end := site(10)
	defer end()
	passes := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api})
	if _, err := passes.RunOnce(ctx); err != nil {
		log.Fatal(err)
	}
	old := time.Now().Add(-time.Hour).UnixMilli() // younger differences count as pending: a webhook may be about to tell
	there.MustCreateUser(clerktest.Person("Ada", "Lovelace").With("updated_at", old))

	report, err := passes.Do(ctx, reconcile.Pass{DryRun: true})
	if err != nil {
		log.Fatal(err)
	}
	visible, err := mirror.CountVisible(ctx, clerksync.Users)
	fmt.Println(report.Drift(), "differs; still", visible, "users", err)
	// Output: 1 differs; still 10 users <nil>
}

// The guard refuses to delete many at once, and an operator who knows that they are gone approves.
func ExampleReconciler_Do_approve() {
	ctx, there, mirror, api, end := site(30)
	defer end()
	passes := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api})
	if _, err := passes.RunOnce(ctx); err != nil {
		log.Fatal(err)
	}
	for id := range there.Users() {
		if there.Count() == 10 {
			break
		}
		if err := there.DeleteUser(id); err != nil {
			log.Fatal(err)
		}
	}

	refused, err := passes.RunOnce(ctx)
	fmt.Println(errors.Is(err, reconcile.ErrGuard), refused.Resources[clerksync.Users].Deleted)
	approved, err := passes.Do(ctx, reconcile.Pass{Approve: refused.Plan})
	fmt.Println(err, approved.Resources[clerksync.Users].Deleted)
	// Output:
	// true 0
	// <nil> 20
}

// A nightly pass in an application that has a scheduler already. Without one, [reconcile.Reconciler.Run] does the same by itself.
func Example_cron() {
	ctx, _, mirror, api, end := site(100)
	defer end()

	passes := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api})
	schedule := cron.New(cron.WithLocation(time.UTC))
	nightly, err := schedule.AddFunc("17 3 * * *", func() {
		report, err := passes.RunOnce(ctx)
		fmt.Println(report.Drift(), "repaired", err)
	})
	if err != nil {
		log.Fatal(err)
	}
	schedule.Start()
	defer schedule.Stop()

	schedule.Entry(nightly).Job.Run() // an example cannot wait for the night
	// Output: 100 repaired <nil>
}

// The passes of the past, for a page of one's own.
func ExampleHistory() {
	ctx, _, mirror, api, end := site(100)
	defer end()
	passes := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api})
	if _, err := passes.RunOnce(ctx); err != nil {
		log.Fatal(err)
	}

	past, err := reconcile.History(ctx, mirror, 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range past {
		fmt.Println(p.Kind, p.Complete, p.Resources[clerksync.Users].Seen)
	}
	// Output: full true 100
}
