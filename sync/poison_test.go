package sync_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// poisons are what teams add to the table of users, each refusing the one whose first name is "bad".
var poisons = []struct{ name, setup, state string }{
	{"a constraint", `ALTER TABLE clerk.users ADD CHECK (first_name <> 'bad')`, "23514"},
	{"a trigger that raises", trigger(`RAISE EXCEPTION 'no'`), "P0001"},
	{"a trigger that raises a state of its own", trigger(`RAISE EXCEPTION 'no' USING ERRCODE = 'MY001'`), "MY001"},
	{"a trigger that divides by zero", trigger(`PERFORM 1 / 0`), "22012"},
	{"a trigger that violates a constraint elsewhere",
		`CREATE TABLE seats (n int UNIQUE); INSERT INTO seats VALUES (1); GRANT ALL ON seats TO PUBLIC;` + trigger(`INSERT INTO seats VALUES (1)`), "23505"},
}

func trigger(body string) string {
	return `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.first_name = 'bad' THEN ` + body + `; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON clerk.users FOR EACH ROW EXECUTE FUNCTION refuse()`
}

// TestPoisonStandsAlone puts one user that the database refuses into a transaction with many others. He is quarantined, and
// they are not.
func TestPoisonStandsAlone(t *testing.T) {
	t.Parallel()
	for _, poison := range poisons {
		t.Run(poison.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			m := pinned(t, db)
			admin(t, db).MustExec(poison.setup)
			const n, bad = 40, 17
			pieces := make([]clerksync.Evidence, n)
			for i := range pieces {
				u := user{ID: fmt.Sprintf("user_%02d", i), Updated: past, Name: "good"}
				if i == bad {
					u.Name = "bad"
				}
				pieces[i] = u.told()
			}
			release := holdUsers(t, db, m)
			first := callers(t.Context(), m, 1, func(int) clerksync.Evidence { return numbered(999) })
			waitFor(t, "a commit to wait", func() bool { return waitingForLocks(t, db) == 1 })
			wait := callers(t.Context(), m, n, func(i int) clerksync.Evidence { return pieces[i] })
			waitFor(t, "all to wait", func() bool { waiting, _ := m.Queue(); return waiting == n })
			release()
			if err := first(); err != nil {
				t.Fatal(err)
			}
			if err := wait(); err != nil {
				t.Fatal(err)
			}
			checkPoisoned(t, m, pieces[bad], poison.state, n)
		})
	}
}

func checkPoisoned(t *testing.T, m *clerksync.Mirror, bad clerksync.Evidence, state string, n int) {
	t.Helper()
	got := rows(t, m)
	if _, found := got[bad.ID]; found || len(got) != n {
		t.Errorf("found %t, %d rows; want false, %d", found, len(got), n)
	}
	kept := events(t, m)
	reason := "the database refused it with SQLSTATE " + state
	want := eventRow{ID: bad.Event.ID, Outcome: clerksync.Quarantined, Error: &reason, Attempts: 1, Payload: bad.Event.Body, Due: strings.HasPrefix(state, "23")}
	if diff := cmp.Diff(want, kept[bad.Event.ID]); diff != "" {
		t.Errorf("the event (-want +got)\n%s", diff)
	}
	for id, e := range kept {
		if id != bad.Event.ID && e.Outcome != clerksync.Created {
			t.Errorf("a neighbour: %+v", e)
		}
	}
	// A redelivery is refused again; once the cause is gone it is merged, and its body goes.
	if got := apply(t, m, bad)[0]; got.Outcome != clerksync.Quarantined || got.Reason != reason {
		t.Errorf("redelivered: %+v", got)
	}
	admin(t, m.DB()).MustExec(`ALTER TABLE clerk.users DISABLE TRIGGER USER; ALTER TABLE clerk.users DROP CONSTRAINT IF EXISTS users_first_name_check`)
	if got := apply(t, m, bad)[0]; got.Outcome != clerksync.Created {
		t.Errorf("redelivered after the cause was gone: %+v", got)
	}
	if diff := cmp.Diff(eventRow{ID: bad.Event.ID, Outcome: clerksync.Created, Attempts: 3}, events(t, m)[bad.Event.ID]); diff != "" {
		t.Errorf("the event in the end (-want +got)\n%s", diff)
	}
	checkVersions(t, m)
}

// TestPoisonInAPage reads a page of a list in which one user is refused, one cannot be merged, and one is told twice.
func TestPoisonInAPage(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		refuse := poisons[1].setup
		if db.DriverName() == "sqlite" {
			refuse = `CREATE TRIGGER refuse BEFORE INSERT ON clerk_users WHEN NEW.first_name = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END`
		}
		admin(t, db).MustExec(refuse)
		page := make(batch, 80) // enough for COPY
		for i := range page {
			page[i] = read(user{ID: fmt.Sprintf("user_%02d", i), Updated: past, Name: "good"}, past+hour)
		}
		page[7] = read(user{ID: "user_07", Updated: past, Name: "bad"}, past+hour)
		page[8].Object = []byte(`{"id":"user_08","object":"user"}`)
		page[9] = page[10]
		got := outcomesOf(apply(t, m, page...))
		for i, outcome := range got {
			want := clerksync.Created
			switch i {
			case 7, 8:
				want = clerksync.Quarantined
			case 10:
				want = clerksync.Unchanged
			}
			if outcome != want {
				t.Errorf("piece %d: %s, want %s", i, outcome, want)
			}
		}
		if n := len(rows(t, m)); n != 77 {
			t.Errorf("%d rows, want 77", n)
		}
		kept := events(t, m)
		for _, id := range []string{"read:users:user_07", "read:users:user_08"} {
			if e := kept[id]; e.Outcome != clerksync.Quarantined || len(e.Payload) == 0 {
				t.Errorf("%s: %+v", id, e)
			}
		}
		if len(kept) != 2 {
			t.Errorf("%d events, want 2", len(kept))
		}
		checkVersions(t, m)
	})
}

// TestRefusalQuotesNothing looks for a user's name in everything that tells of his refusal.
func TestRefusalQuotesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	pgtest.Superuser(t, db).MustExec(`CREATE UNIQUE INDEX one_name ON clerk.users (first_name)`)
	apply(t, m, user{ID: "user_1", Updated: past, Name: "Secretariat"}.told())
	results := apply(t, m, user{ID: "user_2", Updated: past, Name: "Secretariat"}.told())
	told := fmt.Sprint(results, text(t, db, `SELECT error FROM clerk.events WHERE outcome = 'quarantined'`))
	if results[0].Outcome != clerksync.Quarantined || strings.Contains(told, "Secretariat") {
		t.Errorf("told %s", told)
	}
}
