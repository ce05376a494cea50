package sync_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// acts are rows of the audit log in short: an object and what became of it.
func acts(all ...string) (entries []clerksync.AuditEntry) {
	for i := 0; i < len(all); i += 2 {
		entries = append(entries, clerksync.AuditEntry{
			Kind: clerksync.Users, ObjectID: all[i], Action: clerksync.AuditAction(all[i+1]), Source: clerksync.Webhook,
		})
	}
	return entries
}

// TestDeletions tells of each deletion whether its object came back or was erased before the next one.
func TestDeletions(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		record := func(entries ...clerksync.AuditEntry) {
			t.Helper()
			if err := m.Record(t.Context(), nil, entries...); err != nil {
				t.Fatal(err)
			}
		}
		record(acts("user_a", "deleted", "user_b", "deleted", "user_a", "erased", "user_b", "revived", "user_b", "deleted", "user_c", "erased",
			"user_b", "erased", "user_d", "deleted", "", "refused", "user_a", "erased", "user_b", "revived", "user_b", "erased")...)
		record(clerksync.AuditEntry{Kind: clerksync.Organizations, ObjectID: "user_d", Action: clerksync.AuditErased}) // another kind's
		at := map[int64]time.Time{}
		for _, e := range audit(t, m) {
			at[e.Seq] = e.At
		}
		want := []fateOf{
			{1, "user_a", "deleted", at[3], time.Time{}}, {2, "user_b", "deleted", time.Time{}, at[4]}, {5, "user_b", "deleted", at[7], at[11]},
			{6, "user_c", "erased", at[6], time.Time{}}, {8, "user_d", "deleted", time.Time{}, time.Time{}},
			{12, "user_b", "erased", at[12], time.Time{}}, {13, "user_d", "erased", at[13], time.Time{}},
		}
		if diff := cmp.Diff(want, fates(t, m, time.Time{}, time.Time{})); diff != "" {
			t.Errorf("deletions (-want +got):\n%s", diff)
		}

		// A period has the deletions that fall into it, whatever came of them after its end.
		end := at[13].Add(time.Millisecond)
		waitFor(t, "the clock to move on", func() bool { return time.Now().After(end) })
		var many []string
		for i := range 2100 { // more than two pages
			many = append(many, fmt.Sprintf("user_%04d", i), "deleted")
		}
		record(acts(many...)...)
		record(acts("user_0000", "revived", "user_d", "erased", "user_2099", "erased")...)
		want[4].Erased = audit(t, m)[13+2100+1].At
		if diff := cmp.Diff(want, fates(t, m, time.Time{}, end)); diff != "" {
			t.Errorf("deletions until then (-want +got):\n%s", diff)
		}
		later := fates(t, m, end, time.Time{})
		if len(later) != 2100 || later[0].Revived.IsZero() || later[2099].Erased.IsZero() || later[1].Object != "user_0001" || later[1].Seq != 15 {
			t.Errorf("%d deletions after then, the first ones %+v", len(later), later[:min(len(later), 2)])
		}
	})
}

type fateOf struct {
	Seq     int64
	Object  string
	Action  clerksync.AuditAction
	Erased  time.Time
	Revived time.Time
}

func fates(t *testing.T, m *clerksync.Mirror, since, until time.Time) (all []fateOf) {
	t.Helper()
	for d, err := range m.Deletions(t.Context(), since, until) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fateOf{d.Seq, d.ObjectID, d.Action, d.ErasedAt, d.RevivedAt})
	}
	return all
}

// TestDeletionDatedAhead takes a deletion whose date no clock has for one that happened now, wherever it is told.
func TestDeletionDatedAhead(t *testing.T) {
	t.Parallel()
	dates := map[string]func(time.Time) int64{
		"a year ahead": func(now time.Time) int64 { return now.AddDate(1, 0, 0).UnixMilli() },
		"microseconds": time.Time.UnixMicro, "nanoseconds": time.Time.UnixNano,
	}
	for name, date := range dates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				m := pinned(t, db)
				people(t, m, 2)
				if r := apply(t, m, toldGone("user_0001", date(time.Now()))); r[0].Outcome != clerksync.Deleted {
					t.Errorf("the deletion is %+v", r[0])
				}
				changes, err := m.Changes(t.Context(), 0, 10)
				if err != nil || len(changes) != 3 {
					t.Fatalf("%d changes, %v", len(changes), err)
				}
				for _, c := range changes {
					if c.OccurredAt.After(time.Now()) {
						t.Errorf("the feed tells that it was %s at %s", c.Op, c.OccurredAt)
					}
				}
				if diff := cmp.Diff([]string{"user_0001"}, due(t, m, clerksync.Users, 0)); diff != "" {
					t.Errorf("due to be erased (-want +got):\n%s", diff)
				}
			})
		})
	}
}
