package clerksync_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var oneWorld = flag.Uint64("world", 0, "show only the random world of this seed, which a failure names")

// halls is how many databases of each sort the worlds are shown in, side by side.
const halls = 3

// TestRandomWorld lets random things happen at an emulated Clerk, through the official SDK, while its webhooks are lost, doubled and
// out of order. One full pass later every table shows what Clerk shows, and further passes find nothing to do. Sessions, which no
// pass can read, are equal once the lost messages are sent again as Clerk's dashboard does, and nothing else moves by that. There
// are 200 worlds for each database, 40 under the race detector. -world N shows one of them alone.
func TestRandomWorld(t *testing.T) {
	t.Parallel()
	for hall := range uint64(halls) {
		t.Run(fmt.Sprint("hall=", hall), func(t *testing.T) {
			t.Parallel()
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				for seed := uint64(1); seed <= max(worlds, *oneWorld); seed++ {
					if seed%halls != hall || *oneWorld != 0 && seed != *oneWorld {
						continue
					}
					if !t.Run(fmt.Sprint("world=", seed), func(t *testing.T) { show(t, db, seed) }) {
						return
					}
				}
			})
		})
	}
}

// show lets one world happen and compares the mirror with it.
func show(t *testing.T, db *sqlx.DB, seed uint64) {
	w := newWorld(t, db, seed)
	half := w.rng.IntN(60)
	for step := range half + w.rng.IntN(60) {
		if step == half && w.rng.IntN(2) == 0 {
			w.inhabit()
			w.pass(reconcile.Pass{}) // in the midst of it all
		}
		w.step()
	}
	w.inhabit()
	w.deliver()
	w.pass(reconcile.Pass{})
	w.wantEqual("after the pass", listedResources...)

	before := w.rows()
	w.pass(reconcile.Pass{})
	if diff := cmp.Diff(before, w.rows()); diff != "" {
		t.Errorf("world %d: a second pass wrote (-before +after):\n%.2000s", seed, diff)
	}
	for kind, n := range w.pass(reconcile.Pass{DryRun: true}).Resources {
		if n.Created+n.Updated+n.Revived+n.Deleted+n.Candidates+n.Pending+n.Quarantined != 0 {
			t.Errorf("world %d: a dry run sees drift among %s: %+v", seed, kind, n)
		}
	}

	w.clerk.Resend("missing", time.Time{})
	w.deliver()
	w.wantEqual("after what was lost came late", append(listedResources, sessionResource)...)
	if t.Failed() {
		t.Logf("to see this world alone: go test -run TestRandomWorld -world %d .", seed)
	}
}

// world is an emulated Clerk in which things happen, and the mirror that has to follow.
type world struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	named  int // names given so far
	clerk  *clerktest.Server
	sdk    sdk
	db     *sqlx.DB
	mirror *clerksync.Mirror
	passes *reconcile.Reconciler
}

// newWorld makes the world of a seed, and an empty mirror of it in the database.
func newWorld(t *testing.T, db *sqlx.DB, seed uint64) *world {
	t.Helper()
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 3)), db: db}
	w.clerk = clerktest.NewServer(t, clerktest.Config{
		Seed: seed, Users: 2 + w.rng.IntN(8), Organizations: w.rng.IntN(4), Members: w.rng.IntN(5), Invitations: w.rng.IntN(6),
		RetryScale: 0.001, Concurrency: 8,
		Faults: clerktest.Faults{Drop: []float64{0.05, 0.3, 0.8}[w.rng.IntN(3)], Duplicate: 0.2, Reorder: 0.2, SilentCascade: 0.5},
	})
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	w.sdk = newSDK(&clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
		HTTPClient: client, URL: new(w.clerk.APIURL()), Key: new(w.clerk.SecretKey())}})

	empty(t, db)
	var err error
	cfg := clerksync.Config{Kinds: everyKind, ReadMargin: -1, PrivateMetadata: true, InstanceID: w.clerk.InstanceID()}
	cfg.Unprepared = pgtest.Unprepared()
	if w.mirror, err = clerksync.Open(t.Context(), db, cfg); err != nil {
		t.Fatal(err)
	}
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: w.clerk.SecretKey(), URL: w.clerk.URL(), RateLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	w.passes = reconcile.New(reconcile.Config{Mirror: w.mirror, Clerk: api, MaxDeletePercent: 100})
	handler, err := webhook.New(webhook.Config{Mirror: w.mirror, Secrets: []string{w.clerk.WebhookSecret()}})
	if err != nil {
		t.Fatal(err)
	}
	endpoint := httptest.NewServer(handler)
	t.Cleanup(endpoint.Close)
	w.clerk.SetWebhookURL(endpoint.URL)
	return w
}

// empty makes a database as good as migrated just now: another world may have been shown in it.
func empty(t *testing.T, db *sqlx.DB) {
	t.Helper()
	mirror, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared()})
	if err != nil {
		t.Fatal(err)
	}
	tables := []string{"{events}", "{changes}", "{passes}", "{plans}", "{state} WHERE key NOT IN ('born', 'feed')"}
	for _, kind := range everyKind {
		tables = append(tables, "{"+string(kind)+"}")
	}
	admin := pgtest.Superuser(t, db) // a daemon may not forget so much
	for _, table := range tables {
		if _, err := admin.Exec(mirror.SQL(`DELETE FROM ` + table)); err != nil {
			t.Fatal(err)
		}
	}
}

// deliver waits until every event has arrived that is not lost.
func (w *world) deliver() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if counts, err := w.clerk.Wait(ctx); err != nil || counts.Failed != 0 {
		w.t.Fatalf("world %d: %+v, %v; want every event answered", w.seed, counts, err)
	}
}

// pass runs a pass that must not fail, once the clock has passed all that Clerk told: several changes of one object in the same
// millisecond put its updated_at ahead of the clock, and such an object is too young to be missed.
func (w *world) pass(order reconcile.Pass) reconcile.Report {
	w.t.Helper()
	for newest := w.newest(); time.Now().UnixMilli() < newest; {
		runtime.Gosched()
	}
	report, err := w.passes.Do(w.t.Context(), order)
	if err != nil {
		w.t.Fatalf("world %d: pass %+v: %v", w.seed, order, err)
	}
	return report
}
