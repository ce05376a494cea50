package main_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/migrations"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
)

// application is a product whose login handler has kept its users from the first day on.
type application struct {
	t      *testing.T
	users  *upsert.Upserter
	logins atomic.Int64
}

func newApplication(t *testing.T, clerk *clerktest.Server, db *sqlx.DB) *application {
	t.Helper()
	if err := migrations.Up(t.Context(), db.DB, migrations.Options{Dialect: migrations.Postgres}); err != nil {
		t.Fatal(err)
	}
	mirror, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared()})
	if err != nil {
		t.Fatal(err)
	}
	api, err := clerksync.NewAPI(clerksync.APIConfig{
		SecretKey: clerk.SecretKey(), URL: clerk.URL(), Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	users, err := upsert.New(upsert.Config{Mirror: mirror, Clerk: api})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { users.Close() })
	return &application{t: t, users: users}
}

// keepLoggingIn has these users log in again and again, none of whom may be refused. stop ends it.
func (a *application) keepLoggingIn(ids []string) (stop func()) {
	ctx, cancel := context.WithCancel(a.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			<-pace.C
			if _, err := a.users.UpsertOnLogin(ctx, ids[n%len(ids)]); err != nil && ctx.Err() == nil {
				a.t.Errorf("a login failed: %v", err)
				return
			}
			a.logins.Add(1)
		}
	}()
	return func() { cancel(); <-ended }
}

// TestFromFirstVersionToProduction goes the way of docs/choosing.md on one database: logins alone, then polling, then webhooks. Logins
// go on meanwhile, no row is lost or made twice, and what the product's own tables refer to stays.
func TestFromFirstVersionToProduction(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	db := connect(t, url)
	clerk := emulate(t, clerktest.Config{Users: 60})
	var all []string
	for id := range clerk.Users() {
		all = append(all, id)
	}
	app := newApplication(t, clerk, db)
	db.MustExec(`CREATE TABLE posts (author text NOT NULL REFERENCES clerk.users (id))`)
	for _, id := range all[:10] {
		if _, err := app.users.UpsertOnLogin(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		db.MustExec(`INSERT INTO posts VALUES ($1)`, id)
	}
	defer app.keepLoggingIn(all[:10])()

	env := environment(clerk, url, "CLERK_WEBHOOK_SIGNING_SECRET=", "CLERKSYNC_POLL_INTERVAL=1s")
	polling := serve(t, clerk, env)
	users := func() int { return count(t, db, `SELECT count(*) FROM clerk.active_users`) }
	eventually(t, 30*time.Second, "all users to be read", func() bool { return users() == 60 })
	signUp(t, clerk, "found by polling")
	eventually(t, 30*time.Second, "a poll to find a sign-up", func() bool { return users() == 61 })

	polling.signal(syscall.SIGTERM)
	polling.wantExit(0, 30*time.Second)
	d := serve(t, clerk, environment(clerk, url, "CLERKSYNC_POLL_INTERVAL=0", "CLERKSYNC_RECONCILE_SCHEDULE=off"))
	clerk.SetWebhookURL(d.webhook)
	signUp(t, clerk, "told by a webhook")
	eventually(t, 30*time.Second, "a webhook to tell of a sign-up", func() bool { return users() == 62 })
	if err := clerk.DeleteUser(all[59]); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "a webhook to tell of a deletion", func() bool { return users() == 61 })

	wantEqual(t, clerk, db, env)
	if n := count(t, db, `SELECT count(*) FROM posts JOIN clerk.active_users ON id = author`); n != 10 {
		t.Errorf("%d of 10 posts have their authors", n)
	}
	if n := count(t, db, `SELECT count(*) FROM clerk.users WHERE _version <> CASE WHEN id = $1 THEN 2 ELSE 1 END`, all[59]); n != 0 {
		t.Errorf("%d users were told of more than once", n)
	}
	if app.logins.Load() == 0 {
		t.Error("nobody logged in meanwhile")
	}
}

func signUp(t *testing.T, clerk *clerktest.Server, name string) {
	t.Helper()
	if _, err := clerk.CreateUser(clerktest.Fields{"first_name": name}); err != nil {
		t.Fatal(err)
	}
}
