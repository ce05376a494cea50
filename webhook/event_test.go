package webhook_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

// orders are the orders in which three events can arrive.
var orders = [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}

// TestOrders posts a user's creation, update and deletion in all orders, each event twice: he ends hidden.
func TestOrders(t *testing.T) {
	t.Parallel()
	begun := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	clocks := []struct {
		name    string
		updated [2]int64 // of the created and the updated object
		told    [3]int64 // the events' timestamps
	}{
		{"spread", [2]int64{ms(begun), ms(begun) + 60_000}, [3]int64{ms(begun) + 15, ms(begun) + 60_015, ms(begun) + 120_000}},
		{"within a second", [2]int64{ms(begun), ms(begun) + 400}, [3]int64{ms(begun) + 15, ms(begun) + 415, ms(begun) + 900}},
		{"within a millisecond", [2]int64{ms(begun), ms(begun)}, [3]int64{ms(begun), ms(begun), ms(begun)}},
		{"told in seconds", [2]int64{ms(begun), ms(begun) + 400}, [3]int64{begun.Unix(), begun.Unix(), begun.Unix()}},
		{"the deletion told too early", [2]int64{ms(begun), ms(begun) + 4000}, [3]int64{ms(begun), ms(begun) + 4000, ms(begun)}},
	}
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		for c, clock := range clocks {
			for o, order := range orders {
				user := fmt.Sprintf("user_%d_%d", c, o)
				bodies := [3]string{
					envelope("user.created", clock.told[0], userJSON(user, clock.updated[0], `"first_name":"Ada"`)),
					envelope("user.updated", clock.told[1], userJSON(user, clock.updated[1], `"first_name":"Augusta"`)),
					envelope("user.deleted", clock.told[2], deletedJSON(user)),
				}
				for _, i := range order {
					for range 2 {
						e.deliver(fmt.Sprintf("msg_%d_%d_%d", c, o, i), bodies[i], 204)
					}
				}
				if _, found, visible := e.user(user); !found || visible {
					t.Errorf("%s, order %v: found %v, visible %v, want him hidden", clock.name, order, found, visible)
				}
				if n := e.count("changes", "object_id = $1 AND version > (SELECT count(*) FROM "+e.mirror.SQL("{changes}")+" WHERE object_id = $1)", user); n != 0 {
					t.Errorf("%s, order %v: his changes have a hole", clock.name, order)
				}
			}
		}
		if n := e.count("events", "attempts <> 2"); n != 0 {
			t.Errorf("%d events were not counted twice", n)
		}
	})
}

// TestOlder posts an update that is older than the row.
func TestOlder(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		now := ms(time.Now())
		e.deliver("msg_2", envelope("user.updated", now, userJSON("user_1", now, `"first_name":"Augusta"`)), 204)
		before := e.contents()
		e.deliver("msg_1", envelope("user.created", now-1000, userJSON("user_1", now-1000, `"first_name":"Ada"`)), 204)
		if got := e.event("msg_1").Outcome; got != clerksync.Stale {
			t.Errorf("outcome %s, want stale", got)
		}
		if _, err := db.Exec(e.mirror.SQL("DELETE FROM {events} WHERE id = 'msg_1'")); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, e.contents()); diff != "" {
			t.Errorf("an older update changed (-before +after):\n%s", diff)
		}
	})
}

// TestPoison posts metadata that no database can store, and then a ban, which must show all the same.
func TestPoison(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	poisons := map[string]string{
		"nul":            `{"a":"\u0000"}`,
		"nul in a name":  `{"\u0000":1}`,
		"lone surrogate": `{"a":"\ud800"}`,
		"swapped pair":   `{"a":"\udc00\ud800"}`,
		"huge number":    `{"a":1e400000}`,
		"deep array":     deep(20_000),
		"deep object":    strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000),
	}
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		for name, poison := range poisons {
			id := "user_" + strings.ReplaceAll(name, " ", "_")
			now := ms(time.Now())
			e.deliver("msg_1"+id, envelope("user.created", now-5000, userJSON(id, now-5000, `"public_metadata":{"plan":"pro"}`, `"unsafe_metadata":`+poison)), 204)
			u, _, visible := e.user(id)
			if !visible || u.UnsafeMetadata != nil || u.PublicMetadata == nil {
				t.Errorf("%s: visible %v, user %+v", name, visible, u)
			}
			e.deliver("msg_2"+id, envelope("user.updated", now, userJSON(id, now, `"unsafe_metadata":`+poison, `"banned":true`)), 204)
			if u, _, _ = e.user(id); u.Banned == nil || !*u.Banned {
				t.Errorf("%s: the ban does not show", name)
			}
			if n := e.count("users", "id = $1 AND unstorable = 'unsafe_metadata'", id); n != 1 {
				t.Errorf("%s: unstorable does not name the member", name)
			}
		}
		if n := e.count("events", "outcome NOT IN ('created', 'updated') OR payload IS NOT NULL"); n != 0 {
			t.Errorf("%d events did not simply apply", n)
		}
	})
}

// TestStrange posts users that a careless handler stumbles over; each gets a row.
func TestStrange(t *testing.T) {
	t.Parallel()
	now := ms(time.Now())
	users := map[string][]string{
		"nulls": {`"first_name":null`, `"last_name":null`, `"username":null`, `"email_addresses":[]`, `"primary_email_address_id":null`,
			`"phone_numbers":null`, `"public_metadata":null`, `"external_id":null`, `"last_sign_in_at":null`},
		"bare":          nil,
		"odd types":     {`"first_name":7`, `"email_addresses":{}`, `"banned":"yes"`, `"image_url":[]`, `"last_active_at":"soon"`},
		"odd times":     {`"last_active_at":-1`, `"last_sign_in_at":9223372036854775807`},
		"NUL in text":   {`"first_name":"A\u0000da"`},
		"poison apart":  {`"nobody_knows":["\ud800",1e999999]`},
		"deep apart":    {`"nobody_knows":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000)},
		"twins inside":  {`"public_metadata":{"a":1,"a":2,"A":3}`},
		"long text":     {`"first_name":"` + strings.Repeat("x", 500_000) + `"`},
		"other scripts": {`"first_name":"Ἀδα"`, `"last_name":"\ud83d\ude00"`, `"username":"'; DROP TABLE users; --"`},
		"google":        {`"external_accounts":[{"object":"google_account","google_id":"1","given_name":"Ada","picture":"https://x"}]`},
	}
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		for name, members := range users {
			id := "user_" + strings.ReplaceAll(name, " ", "_")
			e.deliver("msg_"+id, envelope("user.created", now, userJSON(id, now, members...)), 204)
			if got := e.event("msg_" + id); got.Outcome != clerksync.Created {
				t.Errorf("%s: %+v, want it created", name, got)
			}
			if _, _, visible := e.user(id); !visible {
				t.Errorf("%s: no visible row", name)
			}
		}
		if u, _, _ := e.user("user_NUL_in_text"); u.FirstName == nil || *u.FirstName != "A\uFFFDda" {
			t.Errorf("a NUL became %v", u.FirstName)
		}
	})
}

// TestQuarantine posts events that cannot be applied: kept with their payload, answered 204.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	now := ms(time.Now())
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		for i, test := range []struct{ typ, data, reason string }{
			{"user.created", `{"object":"user","updated_at":1}`, "data has no id"},
			{"user.created", `{"id":null,"object":"user","updated_at":1}`, "data has no id"},
			{"user.created", `{"id":7,"object":"user","updated_at":1}`, "data has no id"},
			{"user.created", `{"id":"","object":"user","updated_at":1}`, "data has no id"},
			{"user.created", `{"id":"user_\u0000","object":"user","updated_at":1}`, "data has no id"},
			{"user.created", `{"id":"` + strings.Repeat("x", 3000) + `","object":"user","updated_at":1}`, "data has no id"},
			{"user.created", `{"id":"user_1","object":"user"}`, "the object has no updated_at in milliseconds"},
			{"user.created", `{"id":"user_1","object":"user","updated_at":"1"}`, "the object has no updated_at in milliseconds"},
			{"user.created", `{"id":"user_1","object":"session","updated_at":1}`, "the object is of another kind"},
			{"user.created", `null`, "data has no id"},
			{"user.created", `[]`, "data has no id"},
			{"user.created", ``, "data has no id"},
			{"user.deleted", `{"object":"user","deleted":true}`, "data has no id"},
			{"user.deleted", `"user_1"`, "data has no id"},
			{"session.created", `{"object":"session","user":{"id":"user_1","object":"user","updated_at":1}}`, "data has no id"},
			{"session.created", `{"id":"sess_1","object":"session","user":{"id":"user_1","object":"user"}}`, "the object has no updated_at in milliseconds"},
			{"session.created", `{"id":"sess_1","user":{"id":"user_1","id":"user_2"}}`, "the object is not a JSON object with unique names"},
		} {
			id := fmt.Sprintf("msg_%d", i)
			body := envelope(test.typ, now, test.data)
			if test.data == "" {
				body = `{"type":"` + test.typ + `"}`
			}
			e.deliver(id, body, 204)
			got := e.event(id)
			got.Object = ""
			want := eventRow{Type: test.typ, Outcome: clerksync.Quarantined, Error: test.reason, Attempts: 1, Kept: true}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s of %.60s (-want +got):\n%s", test.typ, test.data, diff)
			}
		}
		if e.count("users", "true") != 0 || e.count("changes", "true") != 0 {
			t.Error("a quarantined event made a row")
		}
	})
}

// TestIgnored posts events of types that tell nothing: kept without their content.
func TestIgnored(t *testing.T) {
	t.Parallel()
	now := ms(time.Now())
	long := strings.Repeat("x", 3000)
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		for i, test := range []struct{ body, typ, object string }{
			{envelope("comet.sighted", now, `{"id":"com_1","trace":"trace"}`), "comet.sighted", "com_1"},
			{envelope("user.sighted", now, `{"id":"user_1","trace":"trace"}`), "user.sighted", "user_1"},
			{envelope("user", now, `{"id":"user_1","trace":"trace"}`), "user", "user_1"},
			{envelope("session.ended", now, `{"id":"sess_1","user_id":"user_1","user":null}`), "session.ended", "sess_1"},
			{envelope("session.ended", now, `{"user":"trace"}`), "session.ended", ""},
			{envelope("email.created", now, `{"trace":"trace"}`), "email.created", ""},
			{`{"type":"a.b","data":[{"trace":1}]}`, "a.b", ""},
			{`{"type":"a.b"}`, "a.b", ""},
			{`{"type":"a\u0000b"}`, "a\uFFFDb", ""},
			{`{"type":"` + long + `","instance_id":"` + long + `","data":{"id":"` + long + `"}}`, long[:255], ""},
		} {
			id := fmt.Sprintf("msg_%d", i)
			e.deliver(id, test.body, 204)
			want := eventRow{Type: test.typ, Object: test.object, Outcome: clerksync.Ignored, Attempts: 1}
			if diff := cmp.Diff(want, e.event(id)); diff != "" {
				t.Errorf("%.80s (-want +got):\n%s", test.body, diff)
			}
		}
		if e.count("users", "true") != 0 || strings.Contains(e.contents(), "trace") {
			t.Error("an ignored event left more than its row")
		}
	})
}

// TestTimestamps reads the envelope's timestamp in every form.
func TestTimestamps(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	for i, test := range []struct {
		json string
		want int64
	}{
		{"1716883200123", 1716883200123},
		{"1716883200", 1716883200999},
		{"1.7168832e9", 1716883200999},
		{"99999999999", 99999999999999},
		{"100000000000", 100000000000},
		{"0", 0}, {"-1716883200", 0}, {"null", 0}, {`"1716883200"`, 0}, {"1716883200.5", 0}, {"1e400", 0}, {"[]", 0},
	} {
		e.deliver(fmt.Sprintf("msg_%d", i), `{"type":"a.b","timestamp":`+test.json+`}`, 204)
		got := e.last().OccurredAt
		if test.want == 0 && !got.IsZero() || test.want != 0 && got.UnixMilli() != test.want {
			t.Errorf("timestamp %s is read as %v, want %d", test.json, got, test.want)
		}
	}
	if n := e.count("events", "occurred_at IS NULL"); n != 7 {
		t.Errorf("%d events without a time, want 7", n)
	}
}

// TestSkew tells the mirror the time of Clerk's sender, by verified deliveries alone.
func TestSkew(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	const ahead = 2 * time.Minute
	body := `{"type":"a.b"}`
	e.post(sign(otherSecret, "msg_1", time.Now().Add(ahead), body), body)
	if skew, excessive := e.mirror.Skew(); skew != 0 || excessive {
		t.Errorf("skew %s of a forged delivery", skew)
	}
	e.post(sign(secret, "msg_1", time.Now().Add(ahead), body), body)
	if skew, excessive := e.mirror.Skew(); (skew-ahead).Abs() > 5*time.Second || !excessive {
		t.Errorf("skew %s, want %s", skew, ahead)
	}
}

// TestConflict posts events that contradict what is known.
func TestConflict(t *testing.T) {
	t.Parallel()
	var doubts []string
	e := serve(t, pgtest.SQLite(t), clerksync.Config{}, func(c *webhook.Config) {
		c.OnConflict = func(kind clerksync.Kind, id string) { doubts = append(doubts, string(kind)+" "+id) }
	})
	now := ms(time.Now()) - 60_000
	e.deliver("msg_1", envelope("user.created", now, userJSON("user_1", now, `"first_name":"Ada"`)), 204)
	e.deliver("msg_2", envelope("session.created", now-1, fmt.Sprintf(`{"id":"sess_1","user":%s}`, userJSON("user_1", now, `"first_name":"Bob"`))), 204)
	e.deliver("msg_3", envelope("user.deleted", now-30_000, deletedJSON("user_1")), 204)
	e.deliver("msg_4", envelope("user.updated", now+1, userJSON("user_1", now+1)), 204)
	want := []string{"users user_1", "users user_1"} // the session's other content, and the deletion of a living user
	if diff := cmp.Diff(want, doubts); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
}

// TestPieceThatWaits delivers a session with a user who cannot be merged yet: the delivery, the log and a retry tell of what waits.
func TestPieceThatWaits(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{Kinds: []clerksync.Kind{clerksync.Users, clerksync.Sessions}})
		now := ms(time.Now())
		session := `{"id":"sess_1","object":"session","user_id":"user_1","created_at":1,"updated_at":1,"user":%s}`
		e.deliver("msg_1", envelope("session.created", now, fmt.Sprintf(session, `{"id":"user_1","object":"user"}`)), 204)
		if e.count("sessions", "id = 'sess_1'") != 1 {
			t.Error("the session was not merged")
		}
		if got := e.last(); got.Outcome != clerksync.Quarantined {
			t.Errorf("the delivery is %s", got.Outcome)
		}
		if got := e.event("msg_1"); got.Outcome != clerksync.Quarantined || !got.Kept {
			t.Errorf("the event is %+v", got)
		}
		if n := e.retry("msg_1"); n != 0 {
			t.Errorf("%d events applied, and its user still waits", n)
		}
	})
}

// TestUnread has decoding panic at an event of a mail with a code in it: what is kept tells where, and holds nothing of the body.
func TestUnread(t *testing.T) {
	t.Parallel()
	kept := webhook.UnreadForTest([]byte(`{"type":"user.updated","object":"event","data":{"id":"user_1","body_plain":"your code is 424242"}}`), "Canaria")
	if kept == nil || !strings.Contains(kept.Quarantine, "export_test.go:") || strings.Contains(kept.Quarantine, "Canaria") || len(kept.Body) != 0 {
		t.Errorf("kept %+v, want the place of the panic alone", kept)
	}
}
