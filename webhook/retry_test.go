package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

func (e *endpoint) retry(ids ...string) int {
	e.t.Helper()
	n, err := webhook.Retry(e.t.Context(), e.mirror, ids...)
	if err != nil {
		e.t.Fatal(err)
	}
	return n
}

// TestDeferred posts events dated in the future. They wait, and apply when their time has come.
func TestDeferred(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		const tolerated = 60 * time.Second // what two honest clocks may differ
		soon, later := ms(time.Now().Add(tolerated+1500*time.Millisecond)), ms(time.Now().Add(tolerated+time.Hour))
		e.deliver("msg_soon", envelope("user.created", soon, userJSON("user_soon", soon, `"first_name":"Ada"`)), 204)
		e.deliver("msg_later", envelope("user.created", later, userJSON("user_later", later)), 204)
		e.deliver("msg_far", envelope("user.created", 1<<62, userJSON("user_far", 1<<62)), 204)
		for _, name := range []string{"soon", "later", "far"} {
			want := eventRow{Type: "user.created", Object: "user_" + name, Outcome: clerksync.Deferred,
				Error: "dated in the future", Attempts: 1, Kept: true}
			if diff := cmp.Diff(want, e.event("msg_"+name)); diff != "" {
				t.Errorf("deferred (-want +got):\n%s", diff)
			}
		}
		if n := e.count("users", "true"); n != 0 {
			t.Errorf("%d users, want none yet", n)
		}
		if n := e.retry(); n != 0 {
			t.Errorf("%d events applied before their time", n)
		}
		for deadline := time.Now().Add(20 * time.Second); e.retry() == 0; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a deferred event was not applied when its time had come")
			}
		}
		if u, _, visible := e.user("user_soon"); !visible || *u.FirstName != "Ada" {
			t.Errorf("visible %v, user %+v", visible, u)
		}
		got := e.event("msg_soon")
		got.Attempts = 0
		if diff := cmp.Diff(eventRow{Type: "user.created", Object: "user_soon", Outcome: clerksync.Created}, got); diff != "" {
			t.Errorf("applied (-want +got):\n%s", diff)
		}
		if n := e.count("events", "outcome = 'deferred' AND attempts = 1"); n != 2 {
			t.Errorf("%d events wait untouched, want 2", n)
		}
	})
}

// TestRetryMany makes more events due at once than one batch holds, with some among them that never apply.
func TestRetryMany(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		future := ms(time.Now().Add(time.Hour))
		const many = 61 // clerksync.Mirror.Waiting returns 20 at a time
		for i := range many {
			user := fmt.Sprintf("user_%d", i)
			e.deliver(fmt.Sprintf("msg_%d", i), envelope("user.created", future, userJSON(user, future)), 204)
		}
		past := time.Now().Add(-time.Minute).UTC()
		e.exec(`UPDATE {events} SET due_at = $1`, past.Format("2006-01-02T15:04:05.000Z"))
		if n := e.retry(); n != 0 { // still in the future, whatever due_at says
			t.Errorf("%d events applied", n)
		}
		if n := e.count("events", "outcome = 'deferred' AND attempts >= 1"); n != many {
			t.Errorf("%d events wait, want all %d", n, many)
		}
		// The stored bodies turn into bodies of the past, but for one that is not accepted any more and one of another instance.
		for i := range many {
			user := fmt.Sprintf("user_%d", i)
			body := envelope("user.created", ms(past), userJSON(user, ms(past)))
			if i == 7 {
				body = `{"type":"user.created","data":{"id":"user_7","ID":"user_8"}}`
			}
			e.exec(`UPDATE {events} SET payload = $1, due_at = $2 WHERE id = $3`, []byte(body), past.Format("2006-01-02T15:04:05.000Z"), fmt.Sprintf("msg_%d", i))
		}
		e.exec(`UPDATE {events} SET instance_id = 'ins_other' WHERE id = 'msg_8'`)
		if err := e.mirror.Pin(t.Context(), "ins_test"); err != nil {
			t.Fatal(err)
		}
		if n := e.retry(); n != many-2 {
			t.Errorf("%d events applied, want %d", n, many-2)
		}
		if n := e.count("users", "deleted_at IS NULL"); n != many-2 {
			t.Errorf("%d users, want %d", n, many-2)
		}
		if got := e.event("msg_7"); got.Outcome != clerksync.Quarantined || !got.Kept {
			t.Errorf("the unreadable event is %+v", got)
		}
	})
}

// TestRetryQuarantined retries quarantined events by id: one that still cannot be applied, and one whose obstacle is gone.
func TestRetryQuarantined(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		now := ms(time.Now())
		e.obstruct("user_1")
		e.deliver("msg_1", envelope("user.created", now, userJSON("user_1", now)), 204)
		e.deliver("msg_2", envelope("user.created", now, `{"object":"user"}`), 204)
		e.deliver("msg_3", envelope("user.created", now, userJSON("user_3", now)), 204)
		for _, id := range []string{"msg_1", "msg_2"} {
			if got := e.event(id); got.Outcome != clerksync.Quarantined || !got.Kept {
				t.Fatalf("event %s is %+v, want it quarantined", id, got)
			}
		}
		if n := e.retry(); n != 0 {
			t.Errorf("%d events applied without being asked for", n)
		}
		if n := e.retry("msg_1", "msg_2", "msg_3", "msg_4"); n != 0 {
			t.Errorf("%d events applied, want none yet", n)
		}
		e.clear()
		if n := e.retry("msg_1", "msg_2"); n != 1 {
			t.Errorf("%d events applied, want 1", n)
		}
		want := eventRow{Type: "user.created", Object: "user_1", Outcome: clerksync.Created, Attempts: 3}
		if diff := cmp.Diff(want, e.event("msg_1")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := e.event("msg_2"); got.Outcome != clerksync.Quarantined || !got.Kept || got.Attempts != 3 {
			t.Errorf("event %+v, want it kept", got)
		}
		if _, _, visible := e.user("user_1"); !visible {
			t.Error("the user does not show")
		}
	})
}

// TestRetryRead asks for what was kept of a read, which is no event and stays as it is.
func TestRetryRead(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{})
		e.exec(`INSERT INTO {events} (id, type, received_at, outcome, attempts, payload)
VALUES ('read:users:user_1', 'read', {now}, 'quarantined', 1, $1)`, []byte(userJSON("user_1", 1)))
		if n := e.retry("read:users:user_1"); n != 0 {
			t.Errorf("%d events applied, want none", n)
		}
		want := eventRow{Type: "read", Outcome: clerksync.Quarantined, Attempts: 1, Kept: true}
		if diff := cmp.Diff(want, e.event("read:users:user_1")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestRefusedMail lets the database refuse an event with a one-time code: it is quarantined, and still its body is not kept.
func TestRefusedMail(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	e.exec(`CREATE TRIGGER obstacle BEFORE INSERT ON {events} WHEN NEW.outcome = 'ignored' BEGIN SELECT RAISE(ABORT, 'no'); END`)
	e.deliver("msg_1", envelope("email.created", ms(time.Now()), `{"id":"ema_1","otp_code":"424242"}`), 204)
	want := eventRow{Type: "email.created", Object: "ema_1", Outcome: clerksync.Quarantined, Attempts: 1}
	got := e.event("msg_1")
	got.Error = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := e.retry("msg_1"); n != 0 || e.event("msg_1").Attempts != 1 {
		t.Errorf("%d events applied, want none and no attempt: there is nothing to apply", n)
	}
}

// exec changes the database behind the mirror's back.
func (e *endpoint) exec(query string, args ...any) {
	e.t.Helper()
	if _, err := e.db.ExecContext(e.t.Context(), e.mirror.SQL(query), args...); err != nil {
		e.t.Fatal(err)
	}
}

// obstruct makes the database refuse one user, as a team's own trigger might.
func (e *endpoint) obstruct(id string) {
	e.t.Helper()
	if e.db.DriverName() == "sqlite" {
		e.exec(`CREATE TRIGGER obstacle BEFORE INSERT ON {users} WHEN NEW.id = '` + id + `' BEGIN SELECT RAISE(ABORT, 'no'); END`)
		return
	}
	admin := pgtest.Superuser(e.t, e.db)
	admin.MustExec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`)
	admin.MustExec(e.mirror.SQL(`CREATE TRIGGER obstacle BEFORE INSERT ON {users} FOR EACH ROW WHEN (NEW.id = '` + id + `') EXECUTE FUNCTION refuse()`))
}

// clear undoes obstruct.
func (e *endpoint) clear() {
	e.t.Helper()
	if e.db.DriverName() == "sqlite" {
		e.exec(`DROP TRIGGER obstacle`)
		return
	}
	pgtest.Superuser(e.t, e.db).MustExec(e.mirror.SQL(`DROP TRIGGER obstacle ON {users}`))
}

// refusing is an endpoint whose hook refuses users until it is told otherwise. Two events about user_a and user_b wait, and are due.
func refusing(t *testing.T, db *sqlx.DB) (e *endpoint, calls *atomic.Int64, relent func()) {
	t.Helper()
	calls = &atomic.Int64{}
	var relents atomic.Bool
	hook := func(context.Context, *sqlx.Tx, clerksync.Transition) error {
		if calls.Add(1); relents.Load() {
			return nil
		}
		return errors.New("no")
	}
	e = serve(t, db, clerksync.Config{Hooks: clerksync.Hooks{clerksync.Users: {OnUpdated: hook}}})
	at := ms(time.Now().Add(-time.Hour))
	for _, id := range []string{"user_a", "user_b"} {
		e.deliver("msg_0"+id, envelope("user.created", at, userJSON(id, at, `"first_name":"old"`)), 204)
		e.deliver("msg_1"+id, envelope("user.updated", at+1, userJSON(id, at+1, `"first_name":"new"`)), 204)
		e.exec(`UPDATE {events} SET due_at = '2026-01-02T03:04:05.000Z' WHERE outcome = 'quarantined'`)
	}
	return e, calls, func() { relents.Store(true) }
}

// TestRetryBesideALockedRow applies the event behind one whose row somebody holds.
func TestRetryBesideALockedRow(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	e, _, relent := refusing(t, db)
	relent()
	tx := pgtest.Superuser(t, db).MustBegin()
	defer tx.Rollback()
	tx.MustExec(`SELECT 1 FROM clerk.users WHERE id = 'user_a' FOR UPDATE`)
	if n, err := webhook.Retry(t.Context(), e.mirror); n != 1 || !errors.Is(err, clerksync.ErrUnavailable) || !strings.Contains(err.Error(), "msg_1user_a") {
		t.Errorf("Retry = %d, %v, want the one whose row is free, and an error that names the other", n, err)
	}
	if got := e.event("msg_1user_b").Outcome; got != clerksync.Updated {
		t.Errorf("the event behind is %s", got)
	}
}

// TestRetryTakesNoEventTwice tries each event once, also where it is due again at once, as it is by a clock of the database's that is ahead.
func TestRetryTakesNoEventTwice(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	e, calls, _ := refusing(t, db)
	super := pgtest.Superuser(t, db)
	super.MustExec(`CREATE FUNCTION due() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.due_at = '2026-01-02T03:04:05.000Z'; RETURN NEW; END $$`)
	super.MustExec(`CREATE TRIGGER due BEFORE UPDATE ON clerk.events FOR EACH ROW EXECUTE FUNCTION due()`)
	before := calls.Load()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if n, err := webhook.Retry(ctx, e.mirror); n != 0 || err != nil || calls.Load()-before != 2 {
		t.Errorf("Retry = %d, %v after %d calls of the hook, want one for each of two events", n, err, calls.Load()-before)
	}
}

// TestDropDuringRetry gives an event up while it is tried again, and a hook refuses it once more: it stays given up.
func TestDropDuringRetry(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var e *endpoint
	drop := false
	e = serve(t, db, clerksync.Config{Hooks: clerksync.Hooks{clerksync.Users: {Initial: true, OnCreated: func(context.Context, *sqlx.Tx, clerksync.Transition) error {
		if drop {
			if dropped, err := e.mirror.Drop(t.Context(), "msg_1"); !dropped || err != nil {
				t.Errorf("Drop = %t, %v", dropped, err)
			}
			drop = false
		}
		return errors.New("no")
	}}}})
	now := ms(time.Now())
	e.deliver("msg_1", envelope("user.created", now, userJSON("user_1", now)), 204)
	e.exec(`UPDATE {events} SET due_at = received_at`)
	drop = true
	if n := e.retry(); n != 1 {
		t.Errorf("%d events wait no more, want 1", n)
	}
	if got := e.event("msg_1"); got.Outcome != clerksync.Ignored || got.Kept {
		t.Errorf("what was given up is %+v", got)
	}
	e.deliver("msg_1", envelope("user.created", now, userJSON("user_1", now)), 204)
	if got := e.event("msg_1"); got.Outcome != clerksync.Quarantined || !got.Kept {
		t.Errorf("sent again, it is %+v", got)
	}
}

// TestDeferredThenRefused has a hook refuse an event that waited for weeks until its time had come: it is tried again soon, and its content
// is kept as long as that of any other.
func TestDeferredThenRefused(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{Hooks: clerksync.Hooks{clerksync.Users: {Initial: true, OnCreated: func(context.Context, *sqlx.Tx, clerksync.Transition) error {
			return errors.New("no")
		}}}})
		later, now := ms(time.Now().Add(time.Hour)), ms(time.Now())
		e.deliver("msg_1", envelope("user.created", later, userJSON("user_1", later)), 204)
		e.exec(`UPDATE {events} SET payload = $1, due_at = '2026-01-02T03:04:05.000Z', received_at = '2026-01-02T03:04:05.000Z'`,
			[]byte(envelope("user.created", now, userJSON("user_1", now))))
		if n := e.retry(); n != 0 {
			t.Errorf("%d events applied", n)
		}
		if _, err := e.mirror.Prune(t.Context(), 30*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := e.event("msg_1"); got.Outcome != clerksync.Quarantined || !got.Kept || got.Attempts != 2 {
			t.Errorf("it is %+v", got)
		}
		logged, err := e.mirror.Log(t.Context(), clerksync.LogQuery{})
		if err != nil || len(logged) != 1 || logged[0].DueAt == nil || time.Until(*logged[0].DueAt) > time.Minute {
			t.Errorf("%+v, %v, want it due soon", logged, err)
		}
	})
}

// TestRetryApproves applies held deletions that are named, and none of the others.
func TestRetryApproves(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{HoldDeletes: true, Limits: clerksync.Limits{MaxDeletes: 1}})
		now := ms(time.Now())
		for i, typ := range []string{"user.created", "user.created", "user.created", "user.deleted", "user.deleted", "user.deleted"} {
			id := fmt.Sprint("user_", i%3)
			data := userJSON(id, now)
			if i >= 3 {
				data = `{"id":"` + id + `","object":"user","deleted":true}`
			}
			body := envelope(typ, now, data)
			if code := e.post(sign(secret, fmt.Sprint("msg_", i), time.Now(), body), body).StatusCode; code != 204 {
				t.Fatalf("event %d is answered %d", i, code)
			}
		}
		if last := e.last(); last.Outcome != clerksync.Quarantined {
			t.Errorf("the last deletion is %s, want quarantined", last.Outcome)
		}
		if n, err := webhook.Retry(t.Context(), e.mirror); n != 0 || err != nil {
			t.Errorf("Retry = %d, %v of what nobody approved", n, err)
		}
		if n, err := webhook.Retry(t.Context(), e.mirror, "msg_5"); n != 1 || err != nil {
			t.Errorf("Retry = %d, %v of what was approved", n, err)
		}
		visible, err := e.mirror.CountVisible(t.Context(), clerksync.Users)
		if visible != 1 || err != nil {
			t.Errorf("%d visible, %v, want the one whose deletion is held", visible, err)
		}
	})
}

// TestHoldBesideADissolution dissolves organizations of twelve, whose members' deletions Clerk tells as well: before the organization's, or
// after it. They are no burst, and none of them waits for anybody. A thirteenth member, who left another organization, counts.
func TestHoldBesideADissolution(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := serve(t, db, clerksync.Config{
			Kinds: clerksync.Kinds(), HoldDeletes: true, Limits: clerksync.Limits{MaxDeletes: 2}})
		now, sent := ms(time.Now()), 0
		tell := func(typ, data string) {
			t.Helper()
			sent++
			body := envelope(typ, now, data)
			if code := e.post(sign(secret, fmt.Sprint("msg_", sent), time.Now(), body), body).StatusCode; code != 204 {
				t.Fatalf("event %d is answered %d", sent, code)
			}
		}
		member := func(verb, org string, i int) {
			t.Helper()
			tell("organizationMembership."+verb, fmt.Sprintf(`{"id":"orgmem_%s%d","object":"organization_membership","organization":{"id":"org_%[1]s"},`+
				`"public_user_data":{"user_id":"user_%[2]d"},"role":"org:member","created_at":%d,"updated_at":%[3]d}`, org, i, now))
		}
		organization := func(org string) {
			tell("organization.deleted", `{"id":"org_`+org+`","object":"organization","deleted":true}`)
		}
		const members = 12
		for _, org := range []string{"a", "b", "c"} {
			tell("organization.created", fmt.Sprintf(`{"id":"org_%s","object":"organization","name":"N","created_at":%d,"updated_at":%[2]d}`, org, now))
			for i := range members {
				member("created", org, i)
			}
		}
		organization("a")
		for i := range members {
			member("deleted", "a", i)
		}
		if n := e.count("events", "outcome = 'quarantined'"); n != 0 {
			t.Errorf("%d deletions wait of members whose organization is gone", n)
		}
		for i := range members {
			member("deleted", "b", i)
		}
		if n := e.count("events", "outcome = 'quarantined'"); n != members-2 {
			t.Errorf("%d deletions wait, want all but the two that the guard allows", n)
		}
		if n := e.retry(); n != 0 {
			t.Errorf("%d of them were applied without anybody's word", n)
		}
		organization("b")
		if n := e.retry(); n != members-2 {
			t.Errorf("%d deletions were applied when the organization had gone, want %d", n, members-2)
		}
		member("deleted", "c", 0)
		if last := e.last(); last.Outcome != clerksync.Deleted {
			t.Errorf("the deletion of one who left is %s", last.Outcome)
		}
		all, err := e.mirror.Populations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			if p.Kind == clerksync.OrganizationMemberships && p.Told != 1 {
				t.Errorf("webhooks told of %d deleted memberships, want the one whose organization is there", p.Told)
			}
		}
	})
}

// TestRefusedByAHook answers a delivery whose hook fails like any other that waits. It is applied by itself when it is due.
func TestRefusedByAHook(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		var calls int
		refuse := true
		e := serve(t, db, clerksync.Config{Hooks: clerksync.Hooks{clerksync.Users: {Initial: true, OnCreated: func(context.Context, *sqlx.Tx, clerksync.Transition) error {
			if refuse {
				return errors.New("no, Ada")
			}
			calls++
			return nil
		}}}})
		now := ms(time.Now())
		e.deliver("msg_1", envelope("user.created", now, userJSON("user_1", now, `"first_name":"Ada"`)), 204)
		want := eventRow{Type: "user.created", Object: "user_1", Outcome: clerksync.Quarantined,
			Error: "the hook OnCreated of users failed", Attempts: 1, Kept: true}
		if diff := cmp.Diff(want, e.event("msg_1")); diff != "" {
			t.Errorf("refused (-want +got):\n%s", diff)
		}
		if e.retry() != 0 || e.event("msg_1").Attempts != 1 {
			t.Error("it was tried again at once")
		}
		due := func() { e.exec(`UPDATE {events} SET due_at = received_at`) }
		due()
		if e.retry() != 0 || e.event("msg_1").Attempts != 2 {
			t.Errorf("it was not tried again once: %+v", e.event("msg_1"))
		}
		refuse = false
		due()
		if e.retry() != 1 || calls != 1 {
			t.Errorf("the hook was called %d times", calls)
		}
		if _, _, visible := e.user("user_1"); !visible {
			t.Error("the user is not there")
		}
	})
}
