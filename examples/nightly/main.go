// Command nightly is a worker that an application has already, with a scheduler of its own: it brings the mirror up to date every night.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"
	"github.com/robfig/cron/v3"

	"github.com/clerksync/clerksync/migrations"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upkeep"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	db, err := sqlx.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	job, err := newJob(ctx, db, clerksync.APIConfig{SecretKey: os.Getenv("CLERK_SECRET_KEY"), URL: os.Getenv("CLERK_API_URL")}, 24*time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	if len(os.Args) > 1 && os.Args[1] == "now" {
		if err := job(); err != nil {
			os.Exit(1)
		}
		return
	}
	// A pass that takes longer than a day keeps the next one from starting; a panic does not end the schedule.
	schedule := cron.New(cron.WithLocation(time.UTC), cron.WithChain(cron.SkipIfStillRunning(cron.DefaultLogger), cron.Recover(cron.DefaultLogger)))
	if _, err := schedule.AddFunc("17 3 * * *", func() { _ = job() }); err != nil {
		log.Fatal(err)
	}
	schedule.Start()
	<-ctx.Done()
	<-schedule.Stop().Done() // a pass that runs has ended with the context
}

// newJob makes the tables, unless they are there, and returns what the scheduler calls.
func newJob(ctx context.Context, db *sqlx.DB, cfg clerksync.APIConfig, eraseAfter time.Duration) (func() error, error) {
	if err := migrations.Up(ctx, db.DB, migrations.Options{Dialect: migrations.Postgres}); err != nil {
		return nil, err
	}
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
	passes := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api})
	keeper := upkeep.New(upkeep.Config{Mirror: mirror, Clerk: api, EraseAfter: eraseAfter})
	return func() error {
		report, err := passes.RunOnce(ctx)
		tell(report, err)
		done, upkeepErr := keeper.RunOnce(ctx) // erases who has left for so long, and removes old rows
		if upkeepErr != nil {
			log.Print("some upkeep waits until the next night: ", upkeepErr)
		} else if n := done.Erasure.Total(); n > 0 {
			log.Printf("%d erased", n)
		}
		return errors.Join(err, upkeepErr)
	}, nil
}

// tell says what became of a pass, to whoever reads the log in the morning.
func tell(report reconcile.Report, err error) {
	switch {
	case errors.Is(err, reconcile.ErrGuard):
		log.Printf("more of a kind is missing than a pass may delete; look, and approve the plan %s", report.Plan)
	case errors.Is(err, reconcile.ErrBusy):
		log.Print("another pass is running")
	case err != nil:
		log.Print("the mirror may be behind until the next night: ", err)
	default:
		log.Printf("%d users seen, %d differences repaired", report.Resources[clerksync.Users].Seen, report.Drift())
	}
}
