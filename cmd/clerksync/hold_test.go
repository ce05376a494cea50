package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestHoldDeletes sends a daemon more deletions than the guard allows: true ones and forged ones. The rest waits, the alarm rings, and
// an operator approves what Clerk confirms.
func TestHoldDeletes(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{Users: 30})
	env := environment(clerk, url, "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0", "CLERKSYNC_HOLD_DELETES=on")
	run(t, 0, env, "reconcile")
	d := serve(t, clerk, env)
	clerk.SetWebhookURL(d.webhook)
	db := connect(t, url)
	visible := func() int { t.Helper(); return count(t, db, `SELECT count(*) FROM clerk.active_users`) }
	held := func() int {
		t.Helper()
		return count(t, db, `SELECT count(*) FROM clerk.events WHERE outcome = 'quarantined'`)
	}
	var ids []string
	for id := range clerk.Users() {
		ids = append(ids, id)
	}
	for _, id := range ids[:12] {
		if err := clerk.DeleteUser(id); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 20*time.Second, "ten are hidden and two held", func() bool { return visible() == 20 && held() == 2 })
	forged := ids[20]
	clerk.Send(clerktest.Event{Type: "user.deleted", Data: []byte(`{"id":"` + forged + `","object":"user","deleted":true}`)})
	eventually(t, 20*time.Second, "the forged one is held", func() bool { return held() == 3 })
	eventually(t, 20*time.Second, "the alarm rings", func() bool {
		_, text := get(t, d.admin+"/metrics")
		return strings.Contains(text, "\nclerksync_deletion_burst{resource=\"users\"} 1\n") && strings.Contains(text, "\nclerksync_held_deletions 3\n")
	})

	stdout, _ := run(t, 0, env, "events", "list", "--held")
	if n := strings.Count(stdout, "user.deleted"); n != 3 {
		t.Errorf("%d held events listed:\n%s", n, stdout)
	}
	run(t, 0, env, "events", "retry", "--all")
	run(t, 0, env, "events", "drop", "--all")
	if visible() != 20 || held() != 3 {
		t.Errorf("--all approved or dropped held deletions: %d visible, %d held", visible(), held())
	}
	if _, stderr := run(t, 1, env, "events", "retry", "--held"); !strings.Contains(stderr, "Clerk still has "+forged) {
		t.Errorf("approving says %q", stderr)
	}
	if visible() != 18 || held() != 1 {
		t.Errorf("%d visible and %d held after approval, want 18 and 1", visible(), held())
	}
	stdout, _ = run(t, 0, env, "status")
	if !strings.Contains(stdout, "held deletions") || !strings.Contains(stdout, "13 users within an hour, and the guard allows 10") {
		t.Errorf("status says:\n%s", stdout)
	}
	if stdout, _ = run(t, 0, env, "events", "drop", "--held"); strings.Count(stdout, "dropped") != 1 {
		t.Errorf("dropping says %q", stdout)
	}
	if visible() != 18 || held() != 0 {
		t.Errorf("%d visible and %d held at the end, want 18 and none", visible(), held())
	}
	for action, want := range map[string]int{"held": 3, "approved": 2, "dropped": 1, "deleted": 12, "refused": 1} {
		if n := count(t, db, fmt.Sprintf(`SELECT count(*) FROM clerk.audit WHERE action = '%s'`, action)); n != want {
			t.Errorf("%d rows %s in the audit log, want %d", n, action, want)
		}
	}
	for _, args := range [][]string{{"retry", "--all", "--held"}, {"retry", "--held", "msg_1"}, {"drop", "--held", "msg_1"}, {"drop", "--all", "--held"}, {"drop"}} {
		run(t, 2, env, append([]string{"events"}, args...)...)
	}
}

// TestPageDoesWhatItHasTimeFor has memberships deleted, which Clerk does not have by id: that one is gone, it must say twice, a read margin
// apart. The page names the command that waits for that.
func TestPageDoesWhatItHasTimeFor(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{Users: 30, Organizations: 1, Members: 20})
	env := environment(clerk, url, "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0", "CLERKSYNC_HOLD_DELETES=on", "CLERKSYNC_READ_MARGIN=2m")
	run(t, 0, env, "reconcile", "--no-migrate")
	d := serve(t, clerk, env, "--no-migrate")
	clerk.SetWebhookURL(d.webhook)
	db := connect(t, url)
	var members []struct{ Org, User string }
	if err := db.Select(&members, `SELECT organization_id AS org, user_id AS "user" FROM clerk.organization_memberships`); err != nil {
		t.Fatal(err)
	}
	for _, m := range members[:12] {
		if err := clerk.RemoveMember(m.Org, m.User); err != nil {
			t.Fatal(err)
		}
	}
	var hidden, held []string
	eventually(t, 30*time.Second, "ten are hidden and two held", func() bool {
		if err := db.Select(&hidden, `SELECT id FROM clerk.organization_memberships WHERE deleted_at IS NOT NULL`); err != nil {
			t.Fatal(err)
		}
		if err := db.Select(&held, `SELECT id FROM clerk.events WHERE outcome = 'quarantined'`); err != nil {
			t.Fatal(err)
		}
		return len(hidden) == 10 && len(held) == 2
	})
	for path, command := range map[string]string{
		"/api/objects/" + hidden[0] + "/restore": "clerksync restore " + hidden[0],
		"/api/events/" + held[0] + "/retry":      "clerksync events retry " + held[0],
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.admin+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusConflict || !strings.Contains(string(body), command) {
				t.Errorf("answered %d %s, want 409 and %q", resp.StatusCode, body, command)
			}
		})
	}
}
