package sync_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestDrivers does the same by every PostgreSQL driver and in every way in which one passes parameters, and finds the same rows. A
// trigger refuses some of it, which each driver tells in its own way.
func TestDrivers(t *testing.T) {
	t.Parallel()
	ways := []struct {
		driver, parameters string
		unprepared         bool
	}{
		{"postgres", "", false},
		{"postgres", "", true},
		{"postgres", "&binary_parameters=yes", false},
		{"postgres", "&binary_parameters=yes", true},
		{"pgx", "", false},
		{"pgx", "&default_query_exec_mode=exec", true},
		{"pgx", "&default_query_exec_mode=simple_protocol", true},
	}
	var want []string
	for i, way := range ways {
		name := way.driver + way.parameters
		db, err := sqlx.Open(way.driver, pgtest.Direct(t)+way.parameters)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		m := open(t, db, clerksync.Config{InstanceID: instance, Unprepared: way.unprepared})
		page := backfill()
		apply(t, m, page...)
		pgtest.Superuser(t, db).MustExec(trigger(`RAISE EXCEPTION 'no' USING ERRCODE = '23505'`))
		refused := user{ID: "user_bad", Updated: past, Name: "bad"}.told()
		got := outcomesOf(apply(t, m, refused, at(0, "good").told()))
		if diff := cmp.Diff(outcomes{clerksync.Quarantined, clerksync.Created}, got); diff != "" {
			t.Errorf("%s: a user whom the database refuses, and another one (-want +got):\n%s", name, diff)
		}
		if e := events(t, m)[refused.Event.ID]; e.Error == nil || *e.Error != "the database refused it with SQLSTATE 23505" {
			t.Errorf("%s: the refused event is %+v, want the SQLSTATE", name, e)
		}
		apply(t, m, at(1, "better").told(), toldGone(page[0].ID, past+2*hour))
		if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: page[0].ID}); err != nil {
			t.Errorf("%s: erasing: %v", name, err)
		}
		changes, err := m.Changes(t.Context(), 0, 1000)
		if err != nil || len(changes) != len(page)+4 {
			t.Errorf("%s: %d changes, %v; want %d", name, len(changes), err, len(page)+4)
		}
		checkVersions(t, m)
		if got := stored(t, m); i == 0 {
			want = got
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: rows (-%s +%s):\n%s", name, ways[0].driver, name, diff)
		}
	}
}

// stored is what users hold of Clerk's.
func stored(t *testing.T, m *clerksync.Mirror) (all []string) {
	t.Helper()
	err := m.DB().SelectContext(t.Context(), &all, m.SQL(`SELECT concat_ws(' ', id, username, first_name, last_name, email, public_metadata, unsafe_metadata,
banned, created_at, erased_at IS NULL, unstorable, data, encode(_hash, 'hex'), _version) FROM {users} ORDER BY id`))
	if err != nil {
		t.Fatal(err)
	}
	return all
}
