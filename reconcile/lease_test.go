package reconcile_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// halt begins a pass and stops it before its second page, until letOn is called. ended gets its error.
func halt(t *testing.T, db *sqlx.DB, users int) (h *house, running *reconcile.Reconciler, letOn func(), ended <-chan error) {
	t.Helper()
	var once sync.Once
	reached, opened := make(chan struct{}), make(chan struct{})
	h = open(t, db, clerktest.Config{Users: users, Seed: 30, OnRequest: func(r *http.Request) {
		if r.URL.Query().Get("starting_after") == "" {
			return
		}
		once.Do(func() {
			close(reached)
			select {
			case <-opened:
			case <-r.Context().Done():
			}
		})
	}})
	h.cfg = h.cfg.WithPageSize(50)
	running = reconcile.New(h.cfg)
	end := make(chan error, 1)
	go func() { _, err := running.RunOnce(t.Context()); end <- err }()
	<-reached
	return h, running, func() { close(opened) }, end
}

// TestPassThatGivesBackItsLease asks for a pass while another one of the process has ended and gives its lease back, which takes as long
// as somebody holds the row: it waits for that.
func TestPassThatGivesBackItsLease(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.New(t), clerktest.Config{Users: 3})
	var holds *sqlx.Tx
	h.cfg.Observe = func(reconcile.Report) {
		if holds == nil {
			holds = h.db.MustBegin()
			holds.MustExec(h.mirror.SQL(`SELECT 1 FROM {state} WHERE key = 'lease' FOR UPDATE`))
		}
	}
	r := reconcile.New(h.cfg)
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := r.RunOnce(t.Context()); first <- err }()
	for h.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
		if t.Context().Err() != nil {
			t.Fatal("the lease is not given back")
		}
	}
	go func() { _, err := r.RunOnce(t.Context()); second <- err }()
	select {
	case err := <-second:
		t.Errorf("the second pass: %v", err)
		second <- nil
	case <-time.After(300 * time.Millisecond): // it waits
	}
	if err := holds.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
}

func TestOnePassAtATime(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h, first, letOn, ended := halt(t, db, 70)
		began := time.Now()
		if _, err := first.RunOnce(t.Context()); !errors.Is(err, reconcile.ErrBusy) || time.Since(began) > 2*time.Second {
			t.Errorf("a second pass of the process: %v after %s, want ErrBusy at once", err, time.Since(began))
		}
		report, err := h.run(reconcile.Pass{}) // another process, which has to see the lease renewed
		if !errors.Is(err, reconcile.ErrBusy) || report.Error == "" {
			t.Errorf("a second process: %v, want ErrBusy", err)
		}
		if _, err := h.run(reconcile.Pass{DryRun: true}); err != nil {
			t.Errorf("a dry run beside a pass: %v", err)
		}
		letOn()
		if err := <-ended; err != nil {
			t.Errorf("the first pass: %v", err)
		}
		if n := h.count(`SELECT count(*) FROM {passes} WHERE NOT dry_run`); n != 1 {
			t.Errorf("%d rows of passes, want 1: a pass that did not begin leaves none", n)
		}
		h.full() // the lease was given back
	})
}

// A process that was killed leaves its lease, and the next pass waits it out.
func TestLeaseOfTheDead(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 5, Seed: 31})
		h.full()
		h.setLease("dead", 7, 2*time.Second)
		began := time.Now()
		h.full()
		if waited := time.Since(began); waited < 1500*time.Millisecond || waited > 30*time.Second {
			t.Errorf("waited %s for a lease of two seconds", waited)
		}
		if term := h.lease().Term; term != 8 {
			t.Errorf("term %d, want 8", term)
		}
		h.setLease("future", 9, time.Hour) // written before the clock was set back
		h.full()
		if term := h.lease().Term; term != 10 {
			t.Errorf("term %d, want 10", term)
		}
	})
}

// A pass whose lease was taken by another one stops within the renewal time, and says why.
func TestLeaseLost(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h, _, letOn, ended := halt(t, db, 70)
		h.setLease("another", h.lease().Term+1, time.Minute)
		select {
		case err := <-ended:
			if !errors.Is(err, reconcile.ErrBusy) {
				t.Errorf("error %v, want ErrBusy", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the pass goes on without its lease")
		}
		letOn()
		if lease := h.lease(); lease.Holder != "another" || lease.Expires == 0 {
			t.Errorf("lease %+v: the pass gave back what was not its own", lease)
		}
		if n := h.count(`SELECT count(*) FROM {passes} WHERE finished_at IS NOT NULL AND error IS NOT NULL`); n != 1 {
			t.Errorf("%d rows of the stopped pass, want 1", n)
		}
	})
}

// TestFence lets a pass go on, as a process does that was stopped, after another one has taken its lease and made progress: it must
// write nothing over that.
func TestFence(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h, _, letOn, ended := halt(t, db, 170)
		h.setLease("another", h.lease().Term+1, time.Minute)
		type progress struct {
			Saved int64 `json:"saved"`
		}
		theirs := progress{Saved: 4711}
		if err := h.mirror.WriteState(t.Context(), "progress", theirs); err != nil {
			t.Fatal(err)
		}
		letOn()
		if err := <-ended; !errors.Is(err, reconcile.ErrBusy) {
			t.Errorf("error %v, want ErrBusy", err)
		}
		var left progress
		if _, err := h.mirror.ReadState(t.Context(), "progress", &left); err != nil || left != theirs {
			t.Errorf("%v, progress %+v; want the other pass's", err, left)
		}
	})
}

type leaseState struct {
	Holder  string `json:"holder"`
	Term    int64  `json:"term"`
	Expires int64  `json:"expires"`
}

func (h *house) lease() (l leaseState) {
	h.t.Helper()
	if _, err := h.mirror.ReadState(h.t.Context(), "lease", &l); err != nil {
		h.t.Fatal(err)
	}
	return l
}

func (h *house) setLease(holder string, term int64, left time.Duration) {
	h.t.Helper()
	err := h.mirror.WriteState(h.t.Context(), "lease", leaseState{holder, term, time.Now().Add(left).UnixMilli()})
	if err != nil {
		h.t.Fatal(err)
	}
}

// A pass that is asked to stop has its row, gives the lease back, and the next one goes on where it was: with the pages that were
// not applied yet, and the start of the first one.
func TestStoppedPassGoesOn(t *testing.T) {
	t.Parallel()
	t.Run("stopped", func(t *testing.T) { testGoesOn(t, false) })
	t.Run("killed", func(t *testing.T) { testGoesOn(t, true) })
}

func testGoesOn(t *testing.T, killed bool) {
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		h := open(t, db, clerktest.Config{Users: 290, Seed: 33})
		h.cfg = h.cfg.WithPageSize(50)
		h.full()
		h.delete(h.ids(3)...)
		pages := 0
		h.cfg.Progress = func(reconcile.Progress) {
			if pages++; pages == 3 {
				stop()
			}
		}
		report, err := reconcile.New(h.cfg).RunOnce(ctx)
		if !errors.Is(err, context.Canceled) || report.Error == "" {
			t.Fatalf("error %v, want Canceled", err)
		}
		if n := h.count(`SELECT count(*) FROM {passes} WHERE finished_at IS NOT NULL AND NOT complete AND error IS NOT NULL`); n != 1 {
			t.Errorf("%d rows of the stopped pass, want 1", n)
		}
		if killed {
			h.setLease("killed", 5, time.Second)
		}
		h.cfg.Progress = nil
		again, err := h.run(reconcile.Pass{})
		if err != nil {
			t.Fatal(err)
		}
		h.wantCounts(again.Resources[clerksync.Users], reconcile.Counts{Seen: 287, Unchanged: 287, Deleted: 3, Candidates: 3})
		if !again.StartedAt.Equal(report.StartedAt.Truncate(time.Millisecond)) {
			t.Errorf("started at %s, want the first try's %s", again.StartedAt, report.StartedAt)
		}
		if again.Requests != 3+1+1+3 { // pages, the count after them, and the candidates, together and one by one
			t.Errorf("%d requests, want 8, of them the last 3 of 6 pages", again.Requests)
		}
		if n := h.count(`SELECT count(*) FROM {state} WHERE key = 'progress' AND cast(value ->> 'saved' AS bigint) > 0`); n != 0 {
			t.Error("a pass that has ended leaves its progress")
		}
		h.wantEqual()
	})
}

// TestWaitForABriefPass has a full pass wait for a delta pass of its process, but no longer than its context.
func TestWaitForABriefPass(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		var begun atomic.Bool
		reached, answer := make(chan struct{}), make(chan struct{})
		h := open(t, db, clerktest.Config{Users: 5, Seed: 33, OnRequest: func(r *http.Request) {
			if r.URL.Path == "/v1/users" && begun.CompareAndSwap(true, false) {
				close(reached)
				<-answer
			}
		}})
		h.full()
		r := reconcile.New(h.cfg)
		begun.Store(true)
		var delta errgroup.Group
		delta.Go(func() error { _, err := r.Do(t.Context(), reconcile.Pass{Kind: reconcile.Delta}); return err })
		<-reached

		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		gaveUp := make(chan error, 1)
		go func() { _, err := r.RunOnce(ctx); gaveUp <- err }()
		select {
		case err := <-gaveUp:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want DeadlineExceeded", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the full pass waits on beyond its context")
		}
		close(answer)
		if err := delta.Wait(); err != nil {
			t.Error(err)
		}
		if _, err := r.RunOnce(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
