package reconcile_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// until polls until a condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// daemon starts Run; the function it returns ends it and waits.
func (h *house) daemon() (end func() error) {
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- reconcile.New(h.cfg).Run(ctx) }()
	return func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("Run does not end")
		}
	}
}

func (h *house) mirrored() int {
	return h.count(`SELECT count(*) FROM {users} WHERE deleted_at IS NULL`)
}

// An empty mirror is filled at once, then polling tells what changes, and the schedule what is deleted.
func TestRun(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 100, Seed: 50})
		h.cfg.PollInterval = 50 * time.Millisecond
		h.cfg.Schedule = "off"
		fillsNothing := h.daemon()
		if err := fillsNothing(); err != nil {
			t.Errorf("Run without a schedule: %v", err)
		}
		if n := h.mirrored(); n != 0 {
			t.Fatalf("%d rows: full passes are off", n)
		}
		h.cfg.Schedule = "@nightly"
		end := h.daemon()
		until(t, "the mirror is filled", func() bool { return h.mirrored() == 100 })
		if _, err := h.clerk.CreateUser(nil); err != nil {
			t.Fatal(err)
		}
		until(t, "the poll has found a user", func() bool { return h.mirrored() == 101 })
		if err := end(); err != nil {
			t.Errorf("Run: %v", err)
		}
		h.delete(h.ids(1)...)
		h.cfg.Schedule = "@every 1s"
		end = h.daemon()
		until(t, "the schedule has found a deletion", func() bool { return h.mirrored() == 100 })
		if err := end(); err != nil {
			t.Errorf("Run: %v", err)
		}
		h.wantEqual()
	})
}

// A pass that was killed goes on when the daemon starts again, although a complete one is recorded.
func TestRunGoesOn(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 120, Seed: 51})
	h.cfg = h.cfg.WithPageSize(50)
	h.full()
	ctx, stop := context.WithCancel(t.Context())
	h.cfg.Progress = func(reconcile.Progress) { stop() }
	if _, err := reconcile.New(h.cfg).RunOnce(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want Canceled", err)
	}
	h.cfg.Progress = nil
	end := h.daemon()
	until(t, "the pass has gone on", func() bool { return h.count(`SELECT count(*) FROM {passes} WHERE complete`) == 2 })
	if err := end(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestRunEndsWithTheWrongInstance(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 10, Seed: 52})
	if err := h.mirror.Pin(t.Context(), "ins_of_somebody_else"); err != nil {
		t.Fatal(err)
	}
	if err := reconcile.New(h.cfg).Run(t.Context()); !errors.Is(err, clerksync.ErrWrongInstance) {
		t.Errorf("error %v, want ErrWrongInstance", err)
	}
}

// TestRunAsksAtOnce does not wait for the night to tell that the key is another instance's.
func TestRunAsksAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 10, Seed: 55})
	if err := h.mirror.Pin(t.Context(), "ins_of_somebody_else"); err != nil {
		t.Fatal(err)
	}
	h.db.MustExec(h.mirror.SQL(`INSERT INTO {passes} (kind, started_at, finished_at, complete) VALUES ('full', {now}, {now}, true)`))
	h.cfg.Schedule, h.cfg.PollInterval = "@yearly", 24*time.Hour
	if err := reconcile.New(h.cfg).Run(t.Context()); !errors.Is(err, clerksync.ErrWrongInstance) {
		t.Errorf("error %v, want ErrWrongInstance", err)
	}
}

func TestWithoutMirrorOrClerk(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Seed: 56})
	for name, cfg := range map[string]reconcile.Config{"Mirror": {Clerk: h.cfg.Clerk}, "Clerk": {Mirror: h.mirror}} {
		_, err := reconcile.New(cfg).RunOnce(t.Context())
		for _, err := range []error{err, reconcile.New(cfg).Run(t.Context())} {
			if err == nil || !strings.Contains(err.Error(), "Config."+name+" is missing") {
				t.Errorf("without %s: %v", name, err)
			}
		}
	}
}

func TestRunRefusesBadSchedules(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Seed: 53})
	h.cfg.Schedule = "TZ=0"
	if err := reconcile.New(h.cfg).Run(t.Context()); err == nil {
		t.Error("the schedule is accepted")
	}
}

// Clerk is down when the daemon starts: the first pass is tried again until it has ended well.
func TestRunTriesTheFirstPassAgain(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 10, Seed: 54, Faults: clerktest.Faults{Unauthorized: true}})
	end := h.daemon()
	until(t, "the first pass has failed", func() bool { return h.count(`SELECT count(*) FROM {passes} WHERE error IS NOT NULL`) > 0 })
	h.faults(clerktest.Faults{})
	until(t, "the mirror is filled", func() bool { return h.mirrored() == 10 })
	if err := end(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// inProcess answers requests without a network, which would keep a bubble's time from passing, and first tells of each.
type inProcess struct {
	clerk http.Handler
	told  func(path string)
}

func (i inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	i.told(r.URL.Path)
	w := httptest.NewRecorder()
	i.clerk.ServeHTTP(w, r)
	return w.Result(), nil
}

// TestStopsWhileTheDatabaseIsAway is told to stop when a pass has failed because the database is gone, and waits no longer for that one to
// take the pass's row than a pass that is stopped does.
func TestStopsWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clerk, err := clerktest.New(clerktest.Config{Users: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer clerk.Close()
		db := pgtest.SQLite(t)
		mirror, err := clerksync.Open(t.Context(), db, clerksync.Config{})
		if err != nil {
			t.Fatal(err)
		}
		gone := func(path string) {
			if path == "/v1/users" {
				db.Close()
			}
		}
		api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: clerk.SecretKey(), URL: "http://127.0.0.1:1", RateLimit: -1, Transport: inProcess{clerk, gone}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api}).Run(ctx) }()
		time.Sleep(2 * time.Second)
		told := time.Now()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(told); took > 10*time.Second {
			t.Errorf("it took %v of the bubble's time to stop", took)
		}
	})
}
