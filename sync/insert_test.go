package sync_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// backfill is a page of reads of which no object has a row, with contents that the format of COPY has its own ways for.
func backfill() (page []clerksync.Evidence) {
	for i, more := range []string{
		``, `,"username":"tab\there \\ \n and \\N and \\."`, `,"username":"\\.","last_name":"\\N"`, `,"last_name":""`, `,"last_name":null`,
		`,"public_metadata":{"a":"line\nbreak","b":"back\\slash","c":"\u00e9\ud83d\ude00","d":[1.5,1e3,null]},"unsafe_metadata":{}`,
		`,"public_metadata":{"nul":"\u0000"},"username":"n\u0000l"`, `,"unsafe_metadata":{"huge":1e400000}`, `,"username":"\ud800"`,
		`,"email_addresses":[{"id":"idn_1","email_address":"a@example.com","verification":{"status":"verified"}}],"primary_email_address_id":"idn_1"`,
		`,"external_id":"\u00e4\u4e2d","locked":true,"last_sign_in_at":1,"private_metadata":{"secret":1}`, `,"last_sign_in_at":-1`,
		`,"image_url":"https:\/\/img.example.com\/x","unknown\tmember":"\b\f\r\u001f"`,
	} {
		page = append(page, read(user{ID: fmt.Sprintf("user_odd%02d", i), Updated: past, Created: past - hour, Name: "Zoë", More: more}, past+hour))
	}
	for i := range 60 {
		page = append(page, read(user{ID: fmt.Sprintf("user_%02d", i), Updated: past + int64(i), Created: past, Banned: i%7 == 0}, past+hour))
	}
	return page
}

// dump is all that the users and changes say, a line a row.
func dump(t testing.TB, m *clerksync.Mirror) []string {
	t.Helper()
	lines := text(t, m.DB(), m.SQL(`SELECT string_agg(to_jsonb(t)::text, E'\n' ORDER BY id) FROM {users} AS t`)) + "\n" +
		text(t, m.DB(), m.SQL(`SELECT string_agg(concat_ws(' ', object_id, resource, op, version, initial, occurred_at, source), E'\n' ORDER BY object_id) FROM {changes}`))
	return strings.Split(lines, "\n")
}

// A whole page of what has no row is written by COPY, and what comes of it is not to be told from the merge of each.
func TestInsertIsMerge(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]clerksync.Config{"": {}, "private": {PrivateMetadata: true}, "unprepared": {Unprepared: true}} {
		cfg.InstanceID = instance
		together, apart := open(t, pgtest.New(t), cfg), open(t, pgtest.New(t), cfg)
		page := backfill()
		results := apply(t, together, page...)
		for i, e := range page {
			if diff := cmp.Diff(apply(t, apart, e)[0], results[i]); diff != "" || results[i].Outcome != clerksync.Created {
				t.Errorf("%s piece %d (-merged +inserted):\n%s", name, i, diff)
			}
		}
		want, got := dump(t, apart), dump(t, together)
		if len(got) != 2*len(page) {
			t.Errorf("%s: %d rows of users and changes, want %d", name, len(got), 2*len(page))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: rows (-merged +inserted):\n%s", name, diff)
		}
		for i, r := range apply(t, together, page...) {
			if r.Outcome != clerksync.Unchanged {
				t.Errorf("%s piece %d again: %s", name, i, r.Outcome)
			}
		}
	}
}

// A row that comes into being after a page was prepared makes it a merge: nothing is lost, and nothing overwritten.
func TestInsertMeetsARow(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	apply(t, m, told(user{ID: "user_model", Updated: past + hour, Name: "newer"}, past+hour))
	const columns = `SELECT string_agg(column_name, ', ') FROM information_schema.columns WHERE table_schema = 'clerk' AND table_name = 'users' AND column_name <> 'id'`
	others := text(t, db, columns)
	tx := db.MustBegin()
	defer tx.Rollback()
	tx.MustExec(`INSERT INTO clerk.users (id, ` + others + `) SELECT 'user_30', ` + others + ` FROM clerk.users WHERE id = 'user_model'`)

	page := backfill()
	done := make(chan []clerksync.Result)
	go func() {
		results, err := m.Apply(t.Context(), page...)
		if err != nil {
			t.Error(err)
		}
		done <- results
	}()
	statement := "COPY%"
	if db.DriverName() != "postgres" { // others have no COPY by database/sql, so there it is a merge from the start
		statement = "%"
	}
	for waiting := ""; waiting != "1"; {
		waiting = text(t, db, `SELECT least(count(*), 1)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1`, statement)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for i, r := range <-done {
		want := clerksync.Created
		if page[i].ID == "user_30" {
			want = clerksync.Stale
		}
		if r.Outcome != want {
			t.Errorf("%s: %s, want %s", page[i].ID, r.Outcome, want)
		}
	}
	if name := text(t, db, `SELECT first_name FROM clerk.users WHERE id = 'user_30'`); name != "newer" {
		t.Errorf("the row that was there first has the name %q", name)
	}
}
