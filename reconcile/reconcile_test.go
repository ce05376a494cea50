package reconcile_test

import (
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

func TestMain(m *testing.M) {
	if torture.Long { // which is of passes, and they wait more than they work
		if err := flag.Set("test.parallel", "6"); err != nil {
			panic(err)
		}
	}
	pgtest.Main(m)
}

func TestBackfill(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 1000, Seed: 1})
		h.wantCounts(h.full(), reconcile.Counts{Seen: 1000, Created: 1000})
		h.wantEqual()
		if n := h.count(`SELECT count(*) FROM {changes} WHERE op = 'created' AND initial AND source = 'reconcile'`); n != 1000 {
			t.Errorf("%d initial creations in the feed, want 1000", n)
		}
		h.delete(h.ids(10)...)
		h.wantCounts(h.full(), reconcile.Counts{Seen: 990, Unchanged: 990, Deleted: 10, Candidates: 10})
		h.wantEqual()
	})
}

// Pages that the rows hold and pages that they do not, one after the other and in a row. What is gone is removed together: the guard has
// let it pass already, and a transaction each would cost more than all of the walk.
func TestDriftOfSomePages(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 600, Seed: 73})
		h.cfg = h.cfg.WithPageSize(100)
		h.cfg.MaxDeletePercent = 100
		h.full()
		ids := h.texts(`SELECT id FROM {users} ORDER BY created_at, id`)
		for i := 0; i < 300; i += 6 { // pages 1 to 3
			h.update(ids[i], clerktest.Fields{"first_name": "Grace of the test"})
		}
		for i := 201; i < 600; i += 8 { // pages 3 to 6
			h.delete(ids[i])
		}
		h.wantCounts(h.full(), reconcile.Counts{Seen: 550, Unchanged: 500, Updated: 50, Deleted: 50, Candidates: 50})
		h.wantEqual()
		if db.DriverName() != "sqlite" {
			if n := h.count(`SELECT count(DISTINCT xmin::text) FROM {audit} WHERE action = 'deleted'`); n != 1 {
				t.Errorf("50 deletions took %d transactions, want 1", n)
			}
		}
		h.wantCounts(h.full(), reconcile.Counts{Seen: 550, Unchanged: 550})
	})
}

// The default margins, and a clock that nobody waits for: what was deleted right after it was last seen stays pending.
func TestYoungRowsArePending(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 30, Seed: 2})
		h.cfg.Mirror = h.openMirror(clerksync.Config{})
		h.full()
		young, err := h.clerk.CreateUser(clerktest.Fields{"first_name": "Ada"})
		if err != nil {
			t.Fatal(err)
		}
		h.full()
		h.delete(young, h.ids(1)[0])
		h.wantCounts(h.full(), reconcile.Counts{Seen: 29, Unchanged: 29, Deleted: 1, Candidates: 1, Pending: 1})
	})
}

func TestDelta(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 200, Seed: 3})
		if report, err := h.run(reconcile.Pass{Kind: reconcile.Delta}); !errors.Is(err, reconcile.ErrFullPassDue) || report.Complete {
			t.Fatalf("delta pass before any full pass: %v, complete %v; want ErrFullPassDue", err, report.Complete)
		}
		h.full()
		for _, id := range h.ids(5) {
			h.update(id, clerktest.Fields{"first_name": "Grace of the test"})
		}
		h.clerk.ResetRequests()
		h.wantCounts(h.pass(reconcile.Pass{Kind: reconcile.Delta}), reconcile.Counts{Seen: 100, Updated: 5, Unchanged: 95})
		if n := len(h.clerk.Requests()); n > 2 {
			t.Errorf("the delta pass made %d requests, want at most 2", n)
		}
		h.wantEqual()
	})
}

// A delta pass that has more to read than a page reads on, and the next one starts where it began.
func TestDeltaReadsBackToTheWatermark(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 150, Seed: 4})
		h.full()
		for _, id := range h.ids(120) {
			h.update(id, clerktest.Fields{"last_name": "Of the delta"})
		}
		got := h.pass(reconcile.Pass{Kind: reconcile.Delta})
		if got.Updated != 120 {
			t.Errorf("%d updated, want 120", got.Updated)
		}
		h.wantEqual()
		var mark struct {
			At int64 `json:"at"`
		}
		if _, err := h.mirror.ReadState(t.Context(), "watermark", &mark); err != nil {
			t.Fatal(err)
		}
		if age := time.Since(time.UnixMilli(mark.At)); age < 0 || age > time.Minute {
			t.Errorf("the watermark is %s old", age)
		}
	})
}

// missed changes that many users ten minutes ago, five after the last delta pass.
func (h *house) missed(clock *clerktest.Clock, users int) {
	h.t.Helper()
	clock.Advance(-10 * time.Minute)
	for _, id := range h.ids(users) {
		h.update(id, clerktest.Fields{"last_name": "Of ten minutes ago"})
	}
	clock.Advance(10 * time.Minute)
	if err := h.mirror.WriteState(h.t.Context(), "watermark", map[string]int64{"at": time.Now().Add(-15 * time.Minute).UnixMilli()}); err != nil {
		h.t.Fatal(err)
	}
}

// A page that Clerk cuts short is not the end of what has changed.
func TestDeltaOfShortPages(t *testing.T) {
	t.Parallel()
	var clock clerktest.Clock
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 300, Seed: 4, Now: clock.Now})
	h.full()
	h.missed(&clock, 250)
	h.faults(clerktest.Faults{Truncate: 1})
	if got := h.pass(reconcile.Pass{Kind: reconcile.Delta}); got.Updated != 250 {
		t.Errorf("%d updated, want 250", got.Updated)
	}
}

// A delta pass after an import reads all of it; the next one does not, though nothing has changed since.
func TestDeltaAfterAnImport(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		var clock clerktest.Clock
		h := open(t, db, clerktest.Config{Users: 300, Seed: 4, Now: clock.Now})
		h.full()
		h.missed(&clock, 250)
		if got := h.pass(reconcile.Pass{Kind: reconcile.Delta}); got.Updated != 250 {
			t.Errorf("%d updated, want 250", got.Updated)
		}
		h.wantCounts(h.pass(reconcile.Pass{Kind: reconcile.Delta}), reconcile.Counts{Seen: 100, Unchanged: 100})
		h.wantEqual()
		h.update(h.ids(300)[299], clerktest.Fields{"last_name": "Of after it"})
		h.wantCounts(h.pass(reconcile.Pass{Kind: reconcile.Delta}), reconcile.Counts{Seen: 100, Updated: 1, Unchanged: 99})
		clock.Advance(-3 * time.Minute) // a clock that differs so much moves no watermark
		mark := h.texts(`SELECT value FROM {state} WHERE key = 'watermark'`)
		h.pass(reconcile.Pass{Kind: reconcile.Delta})
		if diff := cmp.Diff(mark, h.texts(`SELECT value FROM {state} WHERE key = 'watermark'`)); diff != "" {
			t.Errorf("the watermark moved (-before +after)\n%s", diff)
		}
	})
}

// An empty list is no word that nobody has changed: once Clerk shows its users again, a delta pass reads back to where the last one was.
func TestDeltaOfAnEmptyList(t *testing.T) {
	t.Parallel()
	var clock clerktest.Clock
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 200, Seed: 4, Now: clock.Now})
	h.full()
	h.missed(&clock, 150)
	h.faults(clerktest.Faults{Empty: true})
	h.wantCounts(h.pass(reconcile.Pass{Kind: reconcile.Delta}), reconcile.Counts{})
	h.faults(clerktest.Faults{})
	if got := h.pass(reconcile.Pass{Kind: reconcile.Delta}); got.Updated != 150 {
		t.Errorf("%d updated, want 150", got.Updated)
	}
	h.wantEqual()
}

// A pass without drift writes no row of users: neither PostgreSQL's row versions nor any column moves.
func TestNothingToDoWritesNothing(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 200, Seed: 5})
		h.full()
		query := `SELECT id || ' ' || _seen_at || ' ' || _version FROM {users} ORDER BY id`
		if db.DriverName() != "sqlite" {
			query = `SELECT id || ' ' || xmin || ' ' || ctid FROM {users} ORDER BY id`
		}
		before := h.texts(query)
		changes := h.count(`SELECT count(*) FROM {changes}`)
		h.wantCounts(h.full(), reconcile.Counts{Seen: 200, Unchanged: 200})
		h.pass(reconcile.Pass{Kind: reconcile.Delta})
		if diff := cmp.Diff(before, h.texts(query)); diff != "" {
			t.Errorf("rows were written (-before +after):\n%s", diff)
		}
		if n := h.count(`SELECT count(*) FROM {changes}`); n != changes {
			t.Errorf("%d rows in the feed, want %d", n, changes)
		}
	})
}

// A user's webhook followed by a pass: 0 updated, 0 changes, although the two tell the user in different JSON.
func TestWebhookThenPass(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 20, Seed: 6})
		h.full()
		handler, err := webhook.New(webhook.Config{Mirror: h.mirror, Secrets: []string{h.clerk.WebhookSecret()}})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(http.Handler(handler))
		defer server.Close()
		h.clerk.SetWebhookURL(server.URL)
		ids := h.ids(6)
		for _, id := range ids {
			h.update(id, clerktest.Fields{"first_name": "Barbara of the test", "unsafe_metadata": map[string]any{"seats": 3}})
		}
		if err := h.clerk.BanUser(ids[0]); err != nil {
			t.Fatal(err)
		}
		h.delete(ids[1])
		if _, err := h.clerk.CreateUser(clerktest.Fields{"email_address": []string{"b@example.com"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.clerk.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		changes := h.count(`SELECT count(*) FROM {changes}`)
		h.cfg.WebhooksExpected = true
		report, err := h.run(reconcile.Pass{})
		if err != nil {
			t.Fatal(err)
		}
		if drift := report.Drift(); drift != 0 || *report.Unannounced != 0 {
			t.Errorf("drift %d, unannounced %d after webhooks told everything: %+v", drift, *report.Unannounced, report.Resources)
		}
		if n := h.count(`SELECT count(*) FROM {changes}`); n != changes {
			t.Errorf("%d rows in the feed, want %d", n, changes)
		}
		h.wantEqual()
	})
}

// A dry run tells what a pass then does, and writes nothing but its own row.
func TestDryRun(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		clock := new(clock)
		h := open(t, db, clerktest.Config{Users: 300, Seed: 7, Now: clock.now})
		clock.back(time.Hour) // so that the differences are not young
		h.full()
		ids := h.ids(40)
		h.delete(ids[:5]...)
		for _, id := range ids[5:12] {
			h.update(id, clerktest.Fields{"first_name": "Joan of the test"})
		}
		if _, err := h.clerk.CreateUser(nil); err != nil {
			t.Fatal(err)
		}
		clock.back(0)
		h.age(time.Hour)
		before := h.texts(`SELECT id || ' ' || _alive_at || ' ' || _seen_at || ' ' || _dead_at FROM {users} ORDER BY id`)
		dry, err := h.run(reconcile.Pass{DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, h.texts(`SELECT id || ' ' || _alive_at || ' ' || _seen_at || ' ' || _dead_at FROM {users} ORDER BY id`)); diff != "" {
			t.Errorf("the dry run wrote (-before +after):\n%s", diff)
		}
		if n := h.count(`SELECT count(*) FROM {passes} WHERE dry_run AND complete AND finished_at IS NOT NULL`); n != 1 {
			t.Errorf("%d rows of dry runs, want 1", n)
		}
		h.wantCounts(dry.Resources[clerksync.Users],
			reconcile.Counts{Seen: 296, Created: 1, Updated: 7, Deleted: 5, Candidates: 5, Unchanged: 288})
		if dry.Drift() != 13 {
			t.Errorf("drift %d, want 13", dry.Drift())
		}
		h.wantCounts(h.full(), dry.Resources[clerksync.Users])
		h.wantEqual()
		if again, _ := h.run(reconcile.Pass{DryRun: true}); again.Drift() != 0 {
			t.Errorf("drift %d after a pass, want 0", again.Drift())
		}
	})
}

// Differences of the last minutes are not drift yet: their webhook may be on its way.
func TestDryRunLeavesYoungDifferencesPending(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 20, Seed: 8})
	h.full()
	ids := h.ids(2)
	h.update(ids[0], clerktest.Fields{"first_name": "Radia of the test"})
	h.delete(ids[1])
	report, err := h.run(reconcile.Pass{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Resources[clerksync.Users]; report.Drift() != 0 || got.Pending != 2 {
		t.Errorf("drift %d, %+v; want 2 pending", report.Drift(), got)
	}
}

// What changed long ago without a webhook is counted, unless it is older than the mirror or so young that one may still come.
func TestUnannounced(t *testing.T) {
	t.Parallel()
	clock := new(clock)
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 50, Seed: 9, Now: clock.now})
	h.cfg.WebhooksExpected = true
	h.write(`UPDATE {state} SET value = json_object('at', $1) WHERE key = 'born'`, time.Now().Add(-time.Hour).UnixMilli())
	h.mirror = h.openMirror(clerksync.Config{ReadMargin: -1})
	h.cfg.Mirror = h.mirror
	report, err := h.run(reconcile.Pass{})
	if err != nil {
		t.Fatal(err)
	}
	if *report.Unannounced != 0 {
		t.Errorf("%d of the backfill unannounced, want 0", *report.Unannounced)
	}
	ids := h.ids(4)
	clock.back(20 * time.Minute)
	h.update(ids[0], clerktest.Fields{"first_name": "Edsger of the test"})
	h.update(ids[1], clerktest.Fields{"first_name": "Tony of the test"})
	clock.back(0)
	h.update(ids[2], clerktest.Fields{"first_name": "Niklaus of the test"})
	h.delete(ids[3])
	if report, err = h.run(reconcile.Pass{}); err != nil {
		t.Fatal(err)
	}
	if *report.Unannounced != 3 {
		t.Errorf("%d unannounced, want 3: two old updates and a deletion", *report.Unannounced)
	}
}
