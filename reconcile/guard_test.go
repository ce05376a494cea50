package reconcile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// 5 % of 300 users are 15: the fifteenth deletion passes, the sixteenth stops all of them.
func TestGuardBorder(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 300, Seed: 10})
		h.full()
		ids := h.ids(31)
		h.delete(ids[:15]...)
		h.wantCounts(h.full(), reconcile.Counts{Seen: 285, Unchanged: 285, Deleted: 15, Candidates: 15})

		gone := slices.Sorted(slices.Values(ids[15:30])) // of 285, 14 are allowed
		h.delete(gone...)
		h.clerk.ResetRequests()
		report, err := h.run(reconcile.Pass{})
		if !errors.Is(err, reconcile.ErrGuard) {
			t.Fatalf("error %v, want ErrGuard", err)
		}
		h.wantCounts(report.Resources[clerksync.Users], reconcile.Counts{Seen: 270, Unchanged: 270, Candidates: 15})
		if n := h.count(`SELECT count(*) FROM {users} WHERE deleted_at IS NULL`); n != 285 {
			t.Errorf("%d visible, want all 285", n)
		}
		for _, r := range h.clerk.Requests() {
			if strings.HasPrefix(r.Path, "/v1/users/user_") {
				t.Errorf("the pass asked for %s, although the guard had refused it", r.Path)
			}
		}
		h.wantPlan(report.Plan, gone)
		if drift := report.Drift(); drift != 15 {
			t.Errorf("drift %d, want 15", drift)
		}
		if n := h.count(`SELECT count(*) FROM {passes} WHERE complete AND plan = $1 AND error IS NOT NULL`, report.Plan); n != 1 {
			t.Errorf("%d rows of the refused pass, want 1", n)
		}
	})
}

func (h *house) wantPlan(digest string, ids []string) {
	h.t.Helper()
	var plan struct {
		IDs     string    `db:"ids"`
		Expires time.Time `db:"expires_at"`
		Term    int64     `db:"term"`
	}
	if err := h.db.Get(&plan, h.mirror.SQL(`SELECT ids, expires_at, term FROM {plans} WHERE sha256 = $1`), digest); err != nil {
		h.t.Fatal(err)
	}
	if diff := cmp.Diff(`["`+strings.Join(ids, `","`)+`"]`, strings.ReplaceAll(plan.IDs, `", "`, `","`)); diff != "" {
		h.t.Errorf("the plan's ids (-want +got):\n%s", diff)
	}
	if left := time.Until(plan.Expires); left < 59*time.Minute || left > time.Hour || plan.Term < 1 {
		h.t.Errorf("the plan has %s left and term %d", left, plan.Term)
	}
}

// An empty list is never believed, however few rows it speaks against, and whatever the count says.
func TestEmptyScan(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]clerktest.Faults{"counted": {Empty: true}, "uncounted": {Empty: true, CountDelta: -8}} {
		t.Run(name, func(t *testing.T) {
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				h := open(t, db, clerktest.Config{Users: 8, Seed: 11})
				h.full()
				h.faults(faults)
				report, err := h.run(reconcile.Pass{})
				if !errors.Is(err, reconcile.ErrGuard) || report.Plan == "" {
					t.Errorf("error %v, plan %q; want ErrGuard and a plan", err, report.Plan)
				}
				if want := "Clerk lists none at all of the 8 users, which is not believed"; err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q", err, want)
				}
				if n := h.mirrored(); n != 8 {
					t.Errorf("%d visible, want 8", n)
				}
			})
		})
	}
}

// What an incomplete scan shows is applied, and what it does not show stays.
func TestIncompleteScan(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 100, Seed: 12})
		h.full()
		ids := h.ids(10)
		h.delete(ids[:3]...)
		h.update(ids[9], clerktest.Fields{"first_name": "Still applied"})
		h.faults(clerktest.Faults{CountDelta: 11})
		report, err := h.run(reconcile.Pass{})
		if !errors.Is(err, reconcile.ErrIncomplete) || report.Complete {
			t.Errorf("error %v, complete %v; want ErrIncomplete", err, report.Complete)
		}
		if got := report.Resources[clerksync.Users]; got.Updated != 1 || got.Deleted != 0 || got.Candidates != 0 {
			t.Errorf("counts %+v, want 1 updated and no candidate", got)
		}
		h.faults(clerktest.Faults{CountDelta: 10})
		h.full()
		h.wantEqual()
	})
}

// A 404 proves nothing while the clocks are far apart: the candidate stays, and the pass has not failed.
func TestSkewedClock(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 40, Seed: 13})
	h.full()
	h.delete(h.ids(2)...)
	h.faults(clerktest.Faults{Skew: -5 * time.Minute})
	got := h.full()
	if got.Deleted != 0 || got.Candidates != 2 || got.Pending != 2 {
		t.Errorf("counts %+v, want 2 candidates, both pending", got)
	}
	h.faults(clerktest.Faults{})
	if got := h.full(); got.Deleted != 2 {
		t.Errorf("counts %+v, want 2 deleted once the clocks agree", got)
	}
	h.wantEqual()
}

// A late pass asks for the rows alone that were too young.
func TestLatePass(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 40, Seed: 14})
	h.full()
	ids := h.ids(4)
	h.delete(ids[:3]...)
	h.clerk.ResetRequests()
	report, err := reconcile.New(h.cfg).DoLate(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	h.wantCounts(report.Resources[clerksync.Users], reconcile.Counts{Candidates: 4, Deleted: 3, Unchanged: 1})
	if n := len(h.clerk.Requests()); n != 4 {
		t.Errorf("%d requests, want 4: a batch and three ids", n)
	}
	h.wantEqual()
}

// A 404 speaks for the time before the read margin alone. A row that was seen alive since then stays.
func TestConfirmationTooEarly(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 10, Seed: 15})
	h.full()
	h.cfg.Mirror = h.openMirror(clerksync.Config{ReadMargin: time.Hour})
	ids := h.ids(1)
	h.delete(ids...)
	report, err := reconcile.New(h.cfg).DoLate(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	h.wantCounts(report.Resources[clerksync.Users], reconcile.Counts{Candidates: 1, Pending: 1})
	if n := h.mirrored(); n != 10 {
		t.Errorf("%d visible, want 10", n)
	}
}
