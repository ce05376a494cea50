package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestVerify forges a deletion with a stolen secret, without any pass to repair it. The user's next event contradicts it, so the
// daemon asks Clerk. A contradiction about a session, which Clerk cannot be asked for, is nothing to warn of.
func TestVerify(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{})
	d := serve(t, clerk, environment(clerk, url, "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0"))
	clerk.SetWebhookURL(d.webhook)
	db := connect(t, url)
	visible := func(id string) bool {
		return count(t, db, `SELECT count(*) FROM clerk.active_users WHERE id = $1`, id) == 1
	}

	now := time.Now().UnixMilli()
	for i, status := range []string{"active", "ended", "pending"} {
		body := fmt.Sprintf(`{"object":"event","type":"session.created","timestamp":%[1]d,"instance_id":%[2]q,"data":{"id":"sess_1","object":"session",`+
			`"user_id":"user_1","client_id":"client_1","status":%[3]q,"created_at":%[1]d,"updated_at":%[1]d,"last_active_at":%[1]d,"expire_at":%[4]d,"abandon_at":%[4]d}}`,
			now, clerk.InstanceID(), status, now+1_000_000)
		if code := signedBody(t, client, d.webhook, clerk.WebhookSecret(), fmt.Sprint("msg_", i), body); code != http.StatusNoContent {
			t.Fatalf("answered %d", code)
		}
	}
	id, err := clerk.CreateUser(clerktest.Fields{"first_name": "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the user is there", func() bool { return visible(id) })
	clerk.Send(clerktest.Event{Type: "user.deleted", Data: json.RawMessage(`{"id":"` + id + `","object":"user","deleted":true}`)})
	eventually(t, 10*time.Second, "the user is hidden", func() bool { return !visible(id) })
	if err := clerk.UpdateUser(id, clerktest.Fields{"last_name": "Lovelace"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the user is back", func() bool { return visible(id) })
	if n := count(t, db, `SELECT count(*) FROM clerk.users WHERE id = $1 AND source = 'resync' AND last_name = 'Lovelace'`, id); n != 1 {
		t.Error("the user did not come back by a read, or without the change")
	}
	if log := d.stderr.String(); strings.Contains(log, "a contradiction stays") {
		t.Errorf("a session's contradiction, which came first, is told as\n%s", log)
	}
}

// TestVerifyForgotten replays events as old as deletions whose tombstones were removed. The daemon asks Clerk before it believes them.
func TestVerifyForgotten(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{Users: 1})
	d := serve(t, clerk, environment(clerk, url, "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0"))
	clerk.SetWebhookURL(d.webhook)
	db := connect(t, url)
	db.MustExec(`INSERT INTO clerk.state (key, value, updated_at) VALUES ('forgotten', '{"until": 1700000000000}', now())`)
	tell := func(id string) {
		clerk.Send(clerktest.Event{Type: "user.updated", Timestamp: 1600000000000, Data: json.RawMessage(
			`{"id":"` + id + `","object":"user","first_name":"Old","created_at":1500000000000,"updated_at":1600000000000}`)})
	}
	var lives string
	for id := range clerk.Users() {
		lives = id
	}
	tell("user_2forgotten")
	tell(lives)
	eventually(t, 20*time.Second, "the one who lives is there", func() bool {
		return count(t, db, `SELECT count(*) FROM clerk.users WHERE id = $1 AND source = 'resync' AND first_name <> 'Old'`, lives) == 1
	})
	asked := func(id string) bool {
		for _, r := range clerk.Requests() {
			if strings.HasSuffix(r.Path, "/users/"+id) {
				return true
			}
		}
		return false
	}
	eventually(t, 20*time.Second, "Clerk was asked for the one whom it does not have", func() bool { return asked("user_2forgotten") })
	if n := count(t, db, `SELECT count(*) FROM clerk.users`); n != 1 {
		t.Errorf("%d users are there, want the one who lives alone", n)
	}
}

// TestVerifyGuarded has five events tell deletions too old to be believed, of users whom Clerk does not have. The daemon asks for each
// of them, and hides no more than the guard allows.
func TestVerifyGuarded(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{Users: 20})
	env := environment(clerk, url, "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0", "CLERKSYNC_API_SHARE=100", "CLERKSYNC_MAX_DELETES=3")
	run(t, 0, env, "reconcile")
	d := serve(t, clerk, env)
	db := connect(t, url)
	var ids []string
	for id := range clerk.Users() {
		if ids = append(ids, id); len(ids) == 5 {
			break
		}
	}
	for _, id := range ids { // nobody hears of it
		if err := clerk.DeleteUser(id); err != nil {
			t.Fatal(err)
		}
	}
	clerk.SetWebhookURL(d.webhook)
	for _, id := range ids {
		clerk.Send(clerktest.Event{Type: "user.deleted", Timestamp: time.Now().Add(-time.Hour).UnixMilli(),
			Data: json.RawMessage(`{"id":"` + id + `","object":"user","deleted":true}`)})
	}
	asked := func() (n int) {
		for _, r := range clerk.Requests() {
			if strings.HasPrefix(r.Path, "/v1/users/user_") {
				n++
			}
		}
		return n
	}
	eventually(t, 40*time.Second, "Clerk is asked for all five, and the guard trips", func() bool {
		return asked() == 5 && count(t, db, `SELECT count(*) FROM clerk.audit WHERE action = 'refused' AND source = 'resync'`) == 1
	})
	if n := count(t, db, `SELECT count(*) FROM clerk.users WHERE deleted_at IS NOT NULL`); n != 3 {
		t.Errorf("%d users are hidden, want the three that the guard allows", n)
	}
}
