package reconcile_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
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

// refused runs a pass that the guard must refuse, and returns the name of its plan.
func (h *house) refused() string {
	h.t.Helper()
	report, err := h.run(reconcile.Pass{})
	if !errors.Is(err, reconcile.ErrGuard) || report.Plan == "" {
		h.t.Fatalf("error %v, plan %q; want a plan that the guard refused", err, report.Plan)
	}
	return report.Plan
}

// wantNoPlan approves a plan that must be refused with a sentence, before anything is deleted or asked of Clerk.
func (h *house) wantNoPlan(plan, sentence string) {
	h.t.Helper()
	before := h.rows()
	h.clerk.ResetRequests()
	report, err := h.run(reconcile.Pass{Approve: plan})
	if !errors.Is(err, reconcile.ErrPlan) || !strings.Contains(report.Error, sentence) {
		h.t.Errorf("error %v, want ErrPlan and %q", err, sentence)
	}
	if after := h.rows(); !slices.Equal(before, after) {
		h.t.Error("rows were written for a plan that cannot be approved")
	}
	for _, r := range h.clerk.Requests() {
		if r.Path != "/v1/instance" {
			h.t.Errorf("Clerk was asked for %s for a plan that cannot be approved", r.Path)
		}
	}
}

// An approved plan is carried out to the letter: it deletes what it names and Clerk does not have, and nothing that is missing since.
// Then it is used up.
func TestApprove(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 300, Seed: 30})
		h.full()
		ids := h.ids(22)
		h.delete(ids[:20]...)
		plan := h.refused()
		h.delete(ids[20:]...)
		h.pass(reconcile.Pass{Kind: reconcile.Delta}) // looks at no list to its end, so the plan stays the last word

		dry, err := h.run(reconcile.Pass{Approve: plan, DryRun: true})
		must(t, err)
		h.wantCounts(dry.Resources[clerksync.Users], reconcile.Counts{Candidates: 20, Deleted: 20})
		if n := h.mirrored(); n != 300 {
			t.Errorf("%d visible after a dry run, want 300", n)
		}
		h.clerk.ResetRequests()
		report, err := h.run(reconcile.Pass{Approve: plan})
		must(t, err)
		h.wantCounts(report.Resources[clerksync.Users], reconcile.Counts{Candidates: 20, Deleted: 20})
		if report.Kind != reconcile.Approved || !report.Complete || report.Plan != plan || report.Drift() != 20 {
			t.Errorf("report %+v", report)
		}
		if n := len(h.clerk.Requests()); n != 21 {
			t.Errorf("%d requests, want a batch and each of 20 ids", n)
		}
		if n := h.mirrored(); n != 280 {
			t.Errorf("%d visible, want 280: the two that are not in the plan stay", n)
		}
		if n := h.count(`SELECT count(*) FROM {passes} WHERE kind = 'approved' AND complete AND NOT dry_run AND plan = $1`, plan); n != 1 {
			t.Errorf("%d rows of the pass, want 1", n)
		}
		h.wantNoPlan(plan, "was approved at 20")
		h.wantAudit("refused reconcile plan="+plan+" users=20", "approved operator plan="+plan+" objects=20")
		h.full()
		h.wantEqual()
	})
}

// wantAudit compares what the audit log tells besides the deletions.
func (h *house) wantAudit(want ...string) {
	h.t.Helper()
	var got []string
	for e, err := range h.mirror.Audit(h.t.Context(), time.Time{}, time.Time{}) {
		must(h.t, err)
		if e.Action != clerksync.AuditDeleted {
			got = append(got, string(e.Action)+" "+string(e.Source)+" "+e.Detail)
		}
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("audit log %q, want %q", got, want)
	}
}

// A plan that rests on a lie deletes nobody: of the 300 whom an empty list did not show, Clerk lacks three when it is asked for each.
func TestApproveALie(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 300, Seed: 31})
		h.full()
		h.faults(clerktest.Faults{Empty: true, CountDelta: -300})
		plan := h.refused()
		h.faults(clerktest.Faults{})
		h.delete(h.ids(3)...)
		report, err := h.run(reconcile.Pass{Approve: plan})
		must(t, err)
		h.wantCounts(report.Resources[clerksync.Users], reconcile.Counts{Candidates: 300, Deleted: 3, Unchanged: 297})
		h.wantEqual()
	})
}

// A plan of several kinds is carried out parents first. What belonged to a planned organization goes with it, and an organization
// that is not in the plan stays, although its members are not listed any more.
func TestApproveEveryKind(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := openWorld(t, db, clerktest.Config{Users: 300, Organizations: 30, Members: 10, Invitations: 20, Seed: 32})
		h.do(reconcile.Pass{})
		h.removeMembers(h.first(clerksync.OrganizationMemberships, 25)...)
		h.delete(h.ids(16)...)
		report, err := h.run(reconcile.Pass{})
		if !errors.Is(err, reconcile.ErrGuard) || len(report.Refused) != 2 {
			t.Fatalf("error %v, refused %v; want users and memberships", err, report.Refused)
		}
		later := h.first(clerksync.Organizations, 30)[29]
		must(t, h.clerk.DeleteOrganization(later))
		approved, err := h.run(reconcile.Pass{Approve: report.Plan})
		must(t, err)
		if n := approved.Resources[clerksync.Users].Deleted; n != 16 {
			t.Errorf("%d users deleted, want 16", n)
		}
		if n := approved.Resources[clerksync.OrganizationMemberships].Deleted; n < 5 || n > 25 {
			t.Errorf("%d memberships deleted, want the 25 less those of deleted users", n)
		}
		if n := h.count(`SELECT count(*) FROM {organizations} WHERE deleted_at IS NOT NULL`); n != 0 {
			t.Error("an organization was deleted that is not in the plan")
		}
		h.do(reconcile.Pass{})
		h.wantWorld()
		h.wantNothingHidden()
	})
}

// A plan is only as good as the last look at the whole list.
func TestPlanIsTheLastWord(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 100, Seed: 33})
		h.full()
		ids := h.ids(13)
		h.delete(ids[:11]...)
		first := h.refused()
		if again := h.refused(); again != first {
			t.Errorf("the same deletions are the plan %s and then %s", first, again)
		}
		h.faults(clerktest.Faults{CountDelta: 50})
		if _, err := h.run(reconcile.Pass{}); !errors.Is(err, reconcile.ErrIncomplete) {
			t.Fatalf("error %v, want ErrIncomplete", err)
		}
		h.faults(clerktest.Faults{})
		h.delete(ids[11])
		second := h.refused()
		h.wantNoPlan(first, "a full pass has looked again")
		h.wantNoPlan(strings.Repeat("0", 64), "there is no plan")
		h.wantNoPlan("'; DROP", "there is no plan")
		kept := h.texts(`SELECT cast(expires_at AS text) FROM {plans} WHERE sha256 = '` + second + `'`)[0]
		h.write(`UPDATE {plans} SET expires_at = '2026-01-31T12:00:00.000Z'`)
		h.wantNoPlan(second, "could be approved until 2026-01-31T12:00:00Z")
		h.write(`UPDATE {plans} SET expires_at = '` + kept + `', ids = '["` + ids[12] + `"]' WHERE sha256 = '` + second + `'`)
		h.wantNoPlan(second, "somebody has changed the plan")

		third := h.refused() // the next pass writes the plan anew
		if third != second {
			t.Errorf("plan %s, want %s", third, second)
		}
		report, err := h.run(reconcile.Pass{Approve: third})
		must(t, err)
		h.wantCounts(report.Resources[clerksync.Users], reconcile.Counts{Candidates: 12, Deleted: 12})
		h.full()
		h.wantEqual()
	})
}

// A pass stalls after it has seen the whole list. Its lease runs out, and another process's pass looks at a list from which one more
// user is missing. When the first one wakes up and writes down its plan, that plan is of an earlier term, and cannot be approved.
func TestPlanOfAStalledPass(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		var counts atomic.Int64
		stalled, wake := make(chan struct{}), make(chan struct{})
		h := open(t, db, clerktest.Config{Users: 100, Seed: 34, OnRequest: func(r *http.Request) {
			if r.URL.Path == "/v1/users/count" && counts.Add(1) == 4 { // the second count of the second pass
				close(stalled)
				<-wake
			}
		}})
		h.full()
		ids := h.ids(12)
		h.delete(ids[:11]...)
		ended := make(chan reconcile.Report)
		go func() {
			report, _ := h.run(reconcile.Pass{})
			ended <- report
		}()
		<-stalled
		h.write(`UPDATE {state} SET value = '{}' WHERE key = 'progress'`) // the other process begins anew
		held := h.texts(`SELECT value FROM {state} WHERE key = 'lease'`)[0]
		h.write(`UPDATE {state} SET value = $1 WHERE key = 'lease'`, expired(t, held))
		h.delete(ids[11])
		newer := h.refused()
		close(wake)
		older := (<-ended).Plan
		if older == "" || older == newer {
			t.Fatalf("the stalled pass made the plan %q, and the other one %q", older, newer)
		}
		h.wantNoPlan(older, "a full pass has looked again")
		report, err := h.run(reconcile.Pass{Approve: newer})
		must(t, err)
		h.wantCounts(report.Resources[clerksync.Users], reconcile.Counts{Candidates: 12, Deleted: 12})
	})
}

// expired is a lease that has run out.
func expired(t *testing.T, lease string) string {
	t.Helper()
	var row map[string]any
	must(t, json.Unmarshal([]byte(lease), &row))
	row["expires"] = 0
	value, err := json.Marshal(row)
	must(t, err)
	return string(value)
}

// Two operators approve a plan at once: one of them does.
func TestApproveTwice(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := open(t, db, clerktest.Config{Users: 60, Seed: 35})
		h.full()
		h.delete(h.ids(11)...)
		plan := h.refused()
		var group errgroup.Group
		var deleted, refused atomic.Int64
		for range 3 {
			group.Go(func() error {
				report, err := h.run(reconcile.Pass{Approve: plan})
				deleted.Add(report.Resources[clerksync.Users].Deleted)
				if errors.Is(err, reconcile.ErrPlan) || errors.Is(err, reconcile.ErrBusy) {
					refused.Add(1)
					return nil
				}
				return err
			})
		}
		must(t, group.Wait())
		if deleted.Load() != 11 || refused.Load() != 2 {
			t.Errorf("%d deleted, %d of 3 refused; want 11 and 2", deleted.Load(), refused.Load())
		}
	})
}

// A plan that a dry run made, or that is not whole, is only named. A plan of what is mirrored no more cannot be carried out.
func TestPlansThatCannotBeApproved(t *testing.T) {
	t.Parallel()
	h := openWorld(t, pgtest.SQLite(t), clerktest.Config{Users: 40, Organizations: 12, Seed: 36})
	h.do(reconcile.Pass{})
	for _, id := range h.first(clerksync.Organizations, 11) {
		must(t, h.clerk.DeleteOrganization(id))
	}
	h.age(time.Hour)
	h.write(`UPDATE {organizations} SET _alive_at = _alive_at - 3600000 WHERE _dead_at < 0`)
	report, err := h.run(reconcile.Pass{DryRun: true})
	if !errors.Is(err, reconcile.ErrGuard) {
		t.Fatalf("error %v, want ErrGuard", err)
	}
	h.wantNoPlan(report.Plan, "there is no plan")
	plan := h.refused()
	h.cfg.Mirror = h.openMirror(clerksync.Config{ReadMargin: -1})
	h.wantNoPlan(plan, "organizations, which are not mirrored any more")
	h.wantAudit("refused reconcile plan=" + plan + " organizations=11")
}

// Only a pass that read every list to its end takes a plan's place: not one that did not, nor one that asked for a few rows alone.
func TestPlanOutlivesLesserLooks(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 60, Seed: 37})
	h.full()
	h.delete(h.ids(11)...)
	plan := h.refused()
	h.faults(clerktest.Faults{CountDelta: 50})
	if _, err := h.run(reconcile.Pass{}); !errors.Is(err, reconcile.ErrIncomplete) {
		t.Fatalf("error %v, want ErrIncomplete", err)
	}
	h.faults(clerktest.Faults{})
	report, err := reconcile.New(h.cfg).DoLate(t.Context(), h.ids(1))
	must(t, err)
	if !report.Complete {
		t.Error("the late pass did not end")
	}
	h.wantCounts(h.pass(reconcile.Pass{Approve: plan}), reconcile.Counts{Candidates: 11, Deleted: 11})
	h.wantEqual()
}

// What a late pass may not delete by itself is a plan like any other.
func TestPlanOfALatePass(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 60, Seed: 38})
	h.full()
	ids := h.ids(11)
	h.delete(ids...)
	report, err := reconcile.New(h.cfg).DoLate(t.Context(), ids)
	if !errors.Is(err, reconcile.ErrGuard) {
		t.Fatalf("error %v, want ErrGuard", err)
	}
	h.wantAudit("refused reconcile plan=" + report.Plan + " users=11")
	h.wantCounts(h.pass(reconcile.Pass{Approve: report.Plan}), reconcile.Counts{Candidates: 11, Deleted: 11})
	h.wantEqual()
}

// A plan that is not whole, since more is missing than memory holds, is only named: whoever approved it would not know what he does.
func TestPlanThatIsNotWhole(t *testing.T) {
	t.Parallel()
	h := open(t, pgtest.SQLite(t), clerktest.Config{Users: 60, Seed: 39})
	h.full()
	h.delete(h.ids(20)...)
	h.cfg = h.cfg.WithMaxSuspects(3)
	report, err := h.run(reconcile.Pass{})
	if !errors.Is(err, reconcile.ErrGuard) || report.Plan == "" {
		t.Fatalf("error %v, plan %q; want ErrGuard and a name", err, report.Plan)
	}
	if n := report.Resources[clerksync.Users].Candidates; n != 20 {
		t.Errorf("%d candidates, want 20, of which memory holds 3", n)
	}
	h.wantAudit("refused reconcile plan=" + report.Plan + " users=20")
	h.wantNoPlan(report.Plan, "there is no plan")
}
