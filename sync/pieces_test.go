package sync_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// signedIn is the event of a session that carries its user.
func signedIn(id string, u user) []clerksync.Evidence {
	object := fmt.Appendf(nil, `{"object":"session","id":"sess_%s","user_id":%q,"client_id":"client_1","status":"active","created_at":%d,"updated_at":%[3]d}`, id, u.ID, past)
	e := &clerksync.Event{ID: "msg_signed_in_" + id, Type: "session.created", ObjectID: "sess_" + id, InstanceID: instance, OccurredAt: time.UnixMilli(past),
		Body: fmt.Appendf(nil, `{"type":"session.created","data":%s}`, object)}
	return []clerksync.Evidence{
		{Kind: clerksync.Sessions, ID: e.ObjectID, Object: object, At: past, Source: clerksync.Webhook, Event: e},
		{Kind: clerksync.Users, Object: u.JSON(), At: past, Source: clerksync.Webhook, Event: e},
	}
}

// kept tells of an event's row its outcome, and whether its content waits.
func kept(t *testing.T, m *clerksync.Mirror, id string) (told string) {
	t.Helper()
	if err := m.DB().Get(&told, m.SQL(`SELECT outcome || CASE WHEN payload IS NULL THEN '' ELSE ', kept' END FROM {events} WHERE id = $1`), id); err != nil {
		t.Fatal(err)
	}
	return told
}

// TestPieceThatWaits keeps an event of which one piece waits, whatever became of those before it.
func TestPieceThatWaits(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{InstanceID: instance, Kinds: []clerksync.Kind{clerksync.Users, clerksync.Sessions}})
		unreadable := signedIn("1", user{ID: "user_1", Updated: past})
		unreadable[1].Object = []byte(strings.Replace(string(unreadable[1].Object), "updated_at", "updated", 1))
		early := signedIn("2", user{ID: "user_2", Updated: time.Now().Add(3 * time.Minute).UnixMilli()})
		for i, c := range []struct {
			evidence []clerksync.Evidence
			want     clerksync.Outcome
		}{{unreadable, clerksync.Quarantined}, {early, clerksync.Deferred}, {signedIn("3", user{ID: "user_3", Updated: past}), clerksync.Created}} {
			results := apply(t, m, c.evidence...)
			if results[0].Outcome != clerksync.Created || results[1].Outcome != c.want {
				t.Errorf("event %d: %+v", i+1, results)
			}
			want := string(c.want)
			if c.want != clerksync.Created {
				want += ", kept"
			}
			if diff := cmp.Diff(want, kept(t, m, fmt.Sprint("msg_signed_in_", i+1))); diff != "" {
				t.Errorf("event %d (-want +got):\n%s", i+1, diff)
			}
		}
	})
}

// TestEventsOfOneCall has the database refuse one piece of one of two events: it keeps that event, and merges the other one.
func TestEventsOfOneCall(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := open(t, db, clerksync.Config{InstanceID: instance, Kinds: []clerksync.Kind{clerksync.Users, clerksync.Sessions}})
	admin(t, db).MustExec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '23505'; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON clerk.sessions FOR EACH ROW WHEN (NEW.id = 'sess_1') EXECUTE FUNCTION refuse()`)
	told := signedIn("1", user{ID: "user_1", Updated: past})
	results := apply(t, m, told[1], numbered(7), told[0])
	if results[1].Outcome != clerksync.Created || results[2].Outcome != clerksync.Quarantined {
		t.Errorf("%+v", results)
	}
	if got := kept(t, m, "msg_signed_in_1"); got != "quarantined, kept" {
		t.Errorf("the event is %s", got)
	}
}
