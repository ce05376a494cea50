package sync_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestInitialOfAnAddedKind marks what was created before its kind was kept, however long before that the mirror was made, and keeps to
// that when others open it. Who only reads says nothing about it.
func TestInitialOfAnAddedKind(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		both := clerksync.Config{InstanceID: instance, Kinds: []clerksync.Kind{clerksync.Users, clerksync.Organizations}}
		users := pinned(t, db)
		if _, err := db.Exec(users.SQL(`UPDATE {state} SET value = '{"at":1000}' WHERE key = 'born'`)); err != nil {
			t.Fatal(err)
		}
		users = pinned(t, db)
		since := func(m *clerksync.Mirror, k clerksync.Kind) int64 { return m.Since(k).UnixMilli() }
		if apply(t, users, user{ID: "user_1", Updated: past, Created: past}.told()); since(users, clerksync.Users) != 1000 || !users.Since(clerksync.Organizations).IsZero() {
			t.Fatalf("kept since %v, %v", users.Since(clerksync.Users), users.Since(clerksync.Organizations))
		}

		m := open(t, db, both)
		added := since(m, clerksync.Organizations)
		if at := time.UnixMilli(added); time.Since(at).Abs() > time.Minute || since(m, clerksync.Users) != 1000 {
			t.Fatalf("kept since %v, %v", m.Since(clerksync.Users), at)
		}
		made := func(id string, created int64) clerksync.Evidence {
			return tells("msg_"+id, clerksync.Organizations, id, fmt.Appendf(nil, `{"object":"organization","id":%q,"created_at":%d,"updated_at":%[2]d}`, id, created), created)
		}
		reader := open(t, db, both)
		apply(t, m, made("org_before", added-1), made("org_after", added), user{ID: "user_2", Updated: past, Created: past}.told())
		if again := open(t, db, both); since(again, clerksync.Organizations) != added {
			t.Errorf("opened again, kept since %v, not %v", again.Since(clerksync.Organizations), m.Since(clerksync.Organizations))
		}
		if apply(t, reader, made("org_between", added-1)); since(reader, clerksync.Organizations) != added {
			t.Errorf("who writes later says %v, not %v", reader.Since(clerksync.Organizations), m.Since(clerksync.Organizations))
		}
		want := map[string]bool{"user_1": false, "user_2": false, "org_before": true, "org_after": false, "org_between": true}
		all, err := m.Changes(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if c.Initial != want[c.ObjectID] {
				t.Errorf("%s: initial %t", c.ObjectID, c.Initial)
			}
			delete(want, c.ObjectID)
		}
		if len(want) > 0 {
			t.Errorf("nothing told of %v", want)
		}
	})
}

// TestKindsOfAFreshMirror takes all kinds of a mirror that has told of nothing yet for as old as itself, whoever is the first to write.
func TestKindsOfAFreshMirror(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{InstanceID: instance, Kinds: clerksync.Kinds()})
		for _, k := range clerksync.Kinds() {
			if !m.Since(k).Equal(m.Born()) {
				t.Errorf("%s since %v, not %v", k, m.Since(k), m.Born())
			}
		}
	})
}

// TestKindKeptWithoutANote updates a mirror of users and organizations that tells of no kinds, and a program that keeps users alone is the
// first to write: an organization that was made during the update is told like any other.
func TestKindKeptWithoutANote(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		both := clerksync.Config{InstanceID: instance, Kinds: []clerksync.Kind{clerksync.Users, clerksync.Organizations}}
		made := func(id string) clerksync.Evidence {
			return tells("msg_"+id, clerksync.Organizations, id, fmt.Appendf(nil, `{"object":"organization","id":%q,"created_at":%d,"updated_at":%[2]d}`, id, past), past)
		}
		old := open(t, db, both)
		apply(t, old, made("org_old"))
		if _, err := db.Exec(old.SQL(`UPDATE {state} SET value = '{"at":1000}' WHERE key = 'born'`)); err != nil {
			t.Fatal(err)
		}
		m := open(t, db, both)
		apply(t, pinned(t, db), user{ID: "user_1", Updated: past, Created: past}.told())
		apply(t, m, made("org_meanwhile"))
		for i, m := range []*clerksync.Mirror{m, open(t, db, both)} {
			if since := m.Since(clerksync.Organizations).UnixMilli(); since != 1000 {
				t.Errorf("mirror %d keeps organizations since %d, want 1000", i, since)
			}
		}
		all, err := m.Changes(t.Context(), 0, 10)
		if err != nil || len(all) != 3 {
			t.Fatal(all, err)
		}
		if c := all[2]; c.ObjectID != "org_meanwhile" || c.Initial {
			t.Errorf("%s: initial %t", c.ObjectID, c.Initial)
		}
	})
}

// TestKindAddedByAnUpdate updates a mirror of users that tells of no kinds, and adds organizations at once: those from before are no news.
func TestKindAddedByAnUpdate(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		old := pinned(t, db)
		apply(t, old, user{ID: "user_1", Updated: past, Created: past}.told())
		if _, err := db.Exec(old.SQL(`UPDATE {state} SET value = '{"at":1000}' WHERE key = 'born'`)); err != nil {
			t.Fatal(err)
		}
		m := open(t, db, clerksync.Config{InstanceID: instance, Kinds: []clerksync.Kind{clerksync.Users, clerksync.Organizations}})
		apply(t, m, saw(clerksync.Organizations, "org_1", fmt.Appendf(nil, `{"object":"organization","id":"org_1","created_at":%d,"updated_at":%[1]d}`, past), past+hour))
		apply(t, m, user{ID: "user_2", Updated: past, Created: past}.told())
		all, err := m.Changes(t.Context(), 1, 10)
		if err != nil || len(all) != 2 || !all[0].Initial || all[1].Initial {
			t.Errorf("the feed has %+v, %v; want an initial organization and a user who is news", all, err)
		}
	})
}
