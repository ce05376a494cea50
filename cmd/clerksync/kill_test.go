package main_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
)

// rain is a stream of events that a recorder delivers, with all that a test needs to see what becomes of it.
type rain struct {
	clerk   *clerktest.Server
	answers *recorder
	end     func(t *testing.T) // ends it and waits until all is delivered
}

// rained is how many users there are before it rains.
const rained = 60

// pour lets events rain on whatever daemon the recorder knows of.
func pour(t *testing.T, pause time.Duration) *rain {
	t.Helper()
	r := &rain{answers: newRecorder()}
	r.clerk = emulate(t, clerktest.Config{Users: rained, Concurrency: 8, HTTPClient: &http.Client{Transport: r.answers}})
	r.clerk.SetWebhookURL("http://the.daemon/api/webhooks/clerk")
	stop, done := make(chan struct{}), make(chan error, 1)
	end := sync.OnceFunc(func() { close(stop) })
	go func() { done <- storm(r.clerk, pause, stop) }()
	t.Cleanup(end)
	r.end = func(t *testing.T) {
		t.Helper()
		end()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if counts, err := r.clerk.Wait(t.Context()); err != nil || counts.Failed > 0 {
			t.Errorf("%+v, %v: some events were given up", counts, err)
		}
	}
	return r
}

// readyTime bounds, in the long form, how long a daemon that was killed takes until it is ready again.
const readyTime = 2 * time.Second

// TestKill kills the daemon again and again in the middle of a stream of events, while their sender tries again: at any moment, and each
// third time between the commit of some events and their answer. What was answered 204 is in the database, and in the end the mirror
// equals Clerk.
func TestKill(t *testing.T) {
	t.Parallel()
	seed, begun := torture.Seed(t), time.Now()
	rng := rand.New(rand.NewPCG(seed, 1))
	url := pgtest.Direct(t)
	db := connect(t, url)
	edge := newBrink(t, url)
	r := pour(t, 20*time.Millisecond)
	env := environment(r.clerk, edge.url, "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0")
	kills, atCommit := torture.Size(t, 10, 1000), 0
	var slowest time.Duration
	for i := range kills {
		started := time.Now()
		d := serve(t, r.clerk, env)
		slowest = max(slowest, time.Since(started))
		r.answers.to(d.webhook)
		enough := r.answers.count() + 5 + rng.IntN(40)
		eventually(t, 30*time.Second, "some events are answered", func() bool { return r.answers.count() > enough })
		if i%3 == 2 {
			strike := func() { _ = d.cmd.Process.Kill() } // it can only have exited
			edge.strike.Store(&strike)
			<-d.exited
			atCommit++
		}
		d.kill()
	}
	d := serve(t, r.clerk, env)
	r.answers.to(d.webhook)
	r.end(t)
	v := r.answers.check(t, db)
	v.want(t)
	if v.answered < 10*kills {
		t.Errorf("only %d events were answered: the test tries too little", v.answered)
	}
	if torture.Long && slowest > readyTime {
		t.Errorf("a daemon was ready after %s, want %s at most", slowest, readyTime)
	}
	d.kill()
	wantEqual(t, r.clerk, db, env)
	torture.Record(t, begun, torture.Run{
		What: "Kills the daemon (SIGKILL) in the middle of a stream of events, a third of the times between a commit and its answer, and starts it again.",
		Size: fmt.Sprintf("%d kills, %d of them between a commit and its answer", kills, atCommit), Seed: seed,
		Figures: v.figures(
			torture.Figure{Name: "ready again after, at most", Value: slowest.Round(time.Millisecond).String(), Bound: readyTime.String()},
		),
	})
}

// TestKillPostgres kills PostgreSQL under the daemon in the middle of a stream of events: all of its processes at once, or one of those
// that serve the daemon, after which the server starts anew by itself. The daemon goes on by itself, and nothing is lost.
func TestKillPostgres(t *testing.T) {
	t.Parallel()
	seed, begun := torture.Seed(t), time.Now()
	rng := rand.New(rand.NewPCG(seed, 2))
	cluster := pgtest.Own(t, pgtest.Options{})
	r := pour(t, 20*time.Millisecond)
	env := environment(r.clerk, cluster.URL("postgres"), "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0")
	d := serve(t, r.clerk, env)
	r.answers.to(d.webhook)
	kills := torture.Size(t, 5, 500)
	var slowest time.Duration
	for i := range kills {
		enough := r.answers.count() + 5 + rng.IntN(60)
		eventually(t, time.Minute, "some events are answered", func() bool { return r.answers.count() > enough })
		if i%2 == 0 {
			ruin(t, cluster)
		} else if err := cluster.KillOne(rng.IntN); err != nil {
			t.Fatal(err)
		}
		well := time.Now()
		enough = r.answers.count()
		eventually(t, time.Minute, "events are answered again", func() bool { return r.answers.count() > enough })
		slowest = max(slowest, time.Since(well))
	}
	r.end(t)
	db := connect(t, cluster.URL("postgres"))
	v := r.answers.check(t, db)
	v.want(t)
	if torture.Long && slowest > recoveryTime {
		t.Errorf("the daemon took events again after %s, want %s at most", slowest, recoveryTime)
	}
	d.kill()
	wantEqual(t, r.clerk, db, env)
	torture.Record(t, begun, torture.Run{
		What: "Kills PostgreSQL (SIGKILL) under the daemon in the middle of a stream of events: all of its processes and starts it again, or one session of the daemon's.",
		Size: fmt.Sprintf("%d kills", kills), Seed: seed,
		Figures: v.figures(
			torture.Figure{Name: "events taken again after, at most", Value: slowest.Round(time.Millisecond).String(), Bound: recoveryTime.String()},
		),
	})
}

// recoveryTime bounds, in the long form, how long the daemon takes to be well again once what ailed it is over.
const recoveryTime = 30 * time.Second

// ruin kills a server and starts it again.
func ruin(t *testing.T, cluster *pgtest.Cluster) {
	t.Helper()
	if err := cluster.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
}
