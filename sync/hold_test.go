package sync_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// tally counts the audit log by action.
func tally(t testing.TB, m *clerksync.Mirror) map[clerksync.AuditAction]int {
	t.Helper()
	n := map[clerksync.AuditAction]int{}
	for _, e := range audit(t, m) {
		n[e.Action]++
	}
	return n
}

func usersOf(t testing.TB, m *clerksync.Mirror) clerksync.Population {
	t.Helper()
	all, err := m.Populations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all[slices.IndexFunc(all, func(p clerksync.Population) bool { return p.Kind == clerksync.Users })]
}

func heldOf(t testing.TB, m *clerksync.Mirror) int64 {
	t.Helper()
	in, err := m.Intake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return in.Held
}

// TestHold applies the ten deletions within an hour that the guard allows of 30 users, and holds the others, whichever process they
// come to. An operator approves one and gives one up.
func TestHold(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		cfg := clerksync.Config{InstanceID: instance, HoldDeletes: true}
		m := open(t, db, cfg)
		ids := people(t, m, 30)
		var deletions []clerksync.Evidence
		for _, id := range ids {
			deletions = append(deletions, toldGone(id, past+minute))
		}
		deletions[12].Event.ReceivedAt = time.Now().Add(-8 * 24 * time.Hour)
		got := apply(t, m, deletions[:6]...)
		got = append(got, apply(t, open(t, db, cfg), deletions[6:13]...)...)
		for i, r := range got {
			want := clerksync.Deleted
			if i >= 10 {
				want = clerksync.Quarantined
			}
			if r.Outcome != want || (r.Reason == "") != (want == clerksync.Deleted) {
				t.Errorf("deletion %d: %+v, want %s", i, r, want)
			}
		}
		m = open(t, db, cfg) // a restart forgets nothing
		apply(t, m, deletions[10], deletions[13], deletions[0], toldGone("user_unknown", past))
		want := map[clerksync.AuditAction]int{clerksync.AuditDeleted: 10, clerksync.AuditRefused: 2, clerksync.AuditHeld: 4}
		if diff := cmp.Diff(want, tally(t, m)); diff != "" {
			t.Errorf("audit log (-want +got):\n%s", diff)
		}
		if p := usersOf(t, m); p.Visible != 20 || p.Told != 14 || p.Allowed != 10 || heldOf(t, m) != 4 {
			t.Errorf("%+v, %d held; want 20 visible, 14 of 10 told, 4 held", p, heldOf(t, m))
		}

		if _, err := m.Prune(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		events, err := m.Log(t.Context(), clerksync.LogQuery{Held: true})
		if err != nil || len(events) != 4 {
			t.Fatalf("%d held events, %v", len(events), err)
		}
		for _, e := range events {
			if !e.Held() || e.BodySize == 0 || e.DueAt != nil {
				t.Errorf("a held event is kept as %+v", e)
			}
		}
		deletions[12].Event.Approved = true
		if got := apply(t, m, deletions[12]); got[0].Outcome != clerksync.Deleted {
			t.Errorf("an approved deletion is %+v", got[0])
		}
		if dropped, err := m.Drop(t.Context(), deletions[13].Event.ID); !dropped || err != nil {
			t.Errorf("Drop = %t, %v", dropped, err)
		}
		apply(t, m, read(user{ID: ids[10], Updated: past + hour}, past+hour)) // alive after all
		deletions[10].Event.Approved = true
		if got := apply(t, m, deletions[10]); got[0].Outcome != clerksync.Stale {
			t.Errorf("an approved deletion of a user who was seen since is %+v", got[0])
		}
		want = map[clerksync.AuditAction]int{
			clerksync.AuditDeleted: 11, clerksync.AuditRefused: 2, clerksync.AuditHeld: 4, clerksync.AuditApproved: 2, clerksync.AuditDropped: 1,
		}
		if diff := cmp.Diff(want, tally(t, m)); diff != "" {
			t.Errorf("audit log (-want +got):\n%s", diff)
		}
		for _, e := range audit(t, m) {
			if e.Action == clerksync.AuditApproved && (e.Source != clerksync.Operator || e.EventID == "" || e.ObjectID == "" || e.Kind != clerksync.Users) {
				t.Errorf("the approval is told as %+v", e)
			}
		}
		if p := usersOf(t, m); p.Visible != 19 || heldOf(t, m) != 1 {
			t.Errorf("%+v, %d held; want 19 visible and 1 held", p, heldOf(t, m))
		}
		if _, _, err := m.VerifyAudit(t.Context(), ""); err != nil {
			t.Error(err)
		}
	})
}

// TestBurst holds nothing by default, and tells all the same.
func TestBurst(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		ids := people(t, m, 300)
		if p := usersOf(t, m); p.Told != 0 || p.Allowed != 15 {
			t.Errorf("%+v, want 0 of 15", p)
		}
		for _, id := range ids[:16] {
			apply(t, m, toldGone(id, past+minute), toldGone(id, past+minute+1))
		}
		apply(t, m, denied(ids[20]))
		if p := usersOf(t, m); p.Visible != 283 || p.Told != 16 || p.Allowed != 14 || heldOf(t, m) != 0 {
			t.Errorf("%+v, %d held; want 283 visible, 16 of 14, none held", p, heldOf(t, m))
		}
	})
}

// TestHoldWhatComesTwiceAtOnce holds deletions above the guard's size that two endpoints deliver in the same moment, as they do while a
// secret is rotated.
func TestHoldWhatComesTwiceAtOnce(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		cfg := clerksync.Config{InstanceID: instance, HoldDeletes: true}
		m := open(t, db, cfg)
		ids := people(t, m, 40)
		for _, id := range ids[:10] {
			apply(t, m, toldGone(id, past+minute))
		}
		for _, id := range ids[10:25] {
			m := open(t, db, cfg) // another process, which has not counted yet
			var both errgroup.Group
			for range 2 {
				both.Go(func() error { _, err := m.Apply(t.Context(), toldGone(id, past+minute)); return err })
			}
			if err := both.Wait(); err != nil {
				t.Fatal(err)
			}
			if _, visible, err := m.Find(t.Context(), clerksync.Users, id); err != nil || !visible {
				t.Fatalf("%s is hidden, though ten were before (%v)", id, err)
			}
		}
	})
}

// TestHoldOfTheStale lets deletions pass uncounted that are older than what is known of their objects, since they hide nothing.
func TestHoldOfTheStale(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{InstanceID: instance, HoldDeletes: true, Limits: clerksync.Limits{MaxDeletes: 3}})
		ids := people(t, m, 30)
		for _, id := range ids[:3] {
			if r := apply(t, m, toldGone(id, past-hour)); r[0].Outcome != clerksync.Stale {
				t.Errorf("an old deletion is %+v", r[0])
			}
		}
		if r := apply(t, m, toldGone(ids[10], past+minute)); r[0].Outcome != clerksync.Deleted {
			t.Errorf("the first that hides somebody is %+v", r[0])
		}
	})
}

// TestSearchOfHeldDeletions looks for held deletions of what went with its parent, every few seconds: it ends with the first ones found,
// however many are held.
func TestSearchOfHeldDeletions(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := everything(t, db)
	if text := plan(t, m, clerksync.AlongQuery, ""); strings.Contains(text, "Sort") {
		t.Errorf("all that are held are sorted:\n%s", text)
	}
}
