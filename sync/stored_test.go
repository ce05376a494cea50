package sync_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestStored looks at a visible user, a deleted one, an erased one and one that nobody knows.
func TestStored(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		gone := func(e *clerksync.Evidence) { e.ID, e.Object = e.Event.ObjectID, nil }
		apply(t, m, received("msg_1", "user.created", "user_1", 9, nil), received("msg_2", "user.created", "user_2", 8, nil), received("msg_3", "user.created", "user_3", 7, nil))
		apply(t, m, received("msg_4", "user.deleted", "user_2", 6, gone), received("msg_5", "user.deleted", "user_3", 5, gone))
		hidden, err := m.Hidden(t.Context(), 10)
		if err != nil || len(hidden) != 2 || hidden[0].ID != "user_3" || hidden[1].ID != "user_2" || hidden[1].Source != clerksync.Webhook {
			t.Errorf("hidden are %+v, %v", hidden, err)
		}
		if one, err := m.Hidden(t.Context(), 1); err != nil || len(one) != 1 || one[0].ID != "user_3" {
			t.Errorf("the last one hidden is %+v, %v", one, err)
		}
		if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: "user_3"}); err != nil {
			t.Fatal(err)
		}
		if hidden, err = m.Hidden(t.Context(), 10); err != nil || len(hidden) != 1 || hidden[0].ID != "user_2" {
			t.Errorf("hidden and not erased are %+v, %v", hidden, err)
		}
		for _, c := range []struct {
			id                     string
			known, deleted, erased bool
			changes, audited       int
		}{
			{"user_1", true, false, false, 1, 0}, {"user_2", true, true, false, 2, 1}, {"user_3", true, true, true, 3, 2}, {"user_4", false, false, false, 0, 0},
		} {
			s, known, err := m.Stored(t.Context(), clerksync.Users, c.id)
			if err != nil || known != c.known || (s.DeletedAt != nil) != c.deleted || (s.ErasedAt != nil) != c.erased {
				t.Errorf("%s: %+v, known %t, %v", c.id, s, known, err)
			}
			if known && !c.erased && (!strings.Contains(string(s.Data), c.id) || s.Version != int64(c.changes) || s.Source != clerksync.Webhook || time.Since(s.SyncedAt) > 24*time.Hour) {
				t.Errorf("%s: %+v with %s", c.id, s, s.Data)
			}
			if known && (s.Dead > s.Alive) != c.deleted {
				t.Errorf("%s: alive at %d and dead at %d", c.id, s.Alive, s.Dead)
			}
			changes, err := m.ChangesOf(t.Context(), clerksync.Users, c.id, 10)
			if err != nil || len(changes) != c.changes || len(changes) > 0 && (changes[0].Version != int64(c.changes) || changes[0].ObjectID != c.id) {
				t.Errorf("%s: changes %+v, %v", c.id, changes, err)
			}
			audit, err := m.AuditOf(t.Context(), clerksync.Users, c.id)
			if err != nil || len(audit) != c.audited {
				t.Errorf("%s: the audit log has %+v, %v", c.id, audit, err)
			}
		}
		if _, _, err := m.Stored(t.Context(), "teams; --", "team_1"); err == nil {
			t.Error("there is no such kind, and it was read")
		}
	})
}
