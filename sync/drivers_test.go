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
		for i, name := range []string{"Zoë \"Z\" \\u0000", "Zoë"} { // alone, each
			apply(t, m, user{ID: "user_alone", Updated: past + int64(i), Created: past - hour, Active: past, Name: name, Banned: i == 1, More: allMembers}.told())
		}
		if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: page[0].ID}); err != nil {
			t.Errorf("%s: erasing: %v", name, err)
		}
		changes, err := m.Changes(t.Context(), 0, 1000)
		if err != nil || len(changes) != len(page)+6 {
			t.Errorf("%s: %d changes, %v; want %d", name, len(changes), err, len(page)+6)
		}
		checkVersions(t, m)
		if got := stored(t, m); i == 0 {
			want = got
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: rows (-%s +%s):\n%s", name, ways[0].driver, name, diff)
		}
	}
}

// allMembers is what fills the columns that a [user] leaves empty.
const allMembers = `,"external_id":"a\\b","username":"zoë","last_name":"O'Müller","image_url":"https://example.com/?a=1&b=2","locked":true,
"primary_email_address_id":"idn_1","email_addresses":[{"id":"idn_1","email_address":"zoe@example.com","verification":{"status":"verified"}}],
"primary_phone_number_id":"idn_2","phone_numbers":[{"id":"idn_2","phone_number":"+49170"}],"public_metadata":{"a":[1,2.50,null,"\u00e9"]},
"unsafe_metadata":{"bad":"\u0000"},"last_sign_in_at":1700000000123,"x":{"longer":1,"b":2}`

// stored is what the rows of users hold.
func stored(t *testing.T, m *clerksync.Mirror) (all []string) {
	t.Helper()
	if err := m.DB().SelectContext(t.Context(), &all, m.SQL(`SELECT to_jsonb(u) - 'erased_at' FROM {users} AS u ORDER BY id`)); err != nil {
		t.Fatal(err)
	}
	return all
}
