package main_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	main "github.com/clerksync/clerksync/cmd/clerksync"
	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// keep puts an event into the log by hand, with a body that is the more recent the later it is kept.
func keep(t *testing.T, db *sqlx.DB, clerk *clerktest.Server, id, outcome, object, data string) {
	t.Helper()
	body := fmt.Sprintf(`{"object":"event","type":"user.updated","timestamp":%d,"instance_id":%q,"data":%s}`, time.Now().UnixMilli(), clerk.InstanceID(), data)
	typ, _, _ := strings.Cut(id, ":")
	if typ != "read" {
		typ = "user.updated"
	}
	var payload any
	if data != "" {
		payload = []byte(body)
	}
	db.MustExec(`INSERT INTO clerk.events (id, type, object_id, instance_id, received_at, outcome, error, attempts, payload)
VALUES ($1, $6, $2, $3, now() - interval '1 hour', $4, CASE WHEN $4 = 'quarantined' THEN 'data has no updated_at' END, 1, $5)`,
		id, object, clerk.InstanceID(), outcome, payload, typ)
}

// TestEvents looks at events, retries and drops them as an operator does.
func TestEvents(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{Users: 3})
	url := pgtest.URL(t)
	db := connect(t, url)
	env := environment(clerk, url)
	var users []string
	for id := range clerk.Users() {
		users = append(users, id)
	}
	run(t, 0, env, "reconcile")
	good := func(id string) string {
		return fmt.Sprintf(`{"id":%q,"object":"user","created_at":1,"updated_at":%d,"first_name":"Grace","email_addresses":[]}`, id, time.Now().UnixMilli())
	}
	keep(t, db, clerk, "msg_heals", "quarantined", users[0], good(users[0]))
	keep(t, db, clerk, "msg_waits", "quarantined", users[1], `{"id":"user_1","object":"user"}`)
	keep(t, db, clerk, "msg_empty", "quarantined", users[1], "")
	keep(t, db, clerk, "msg_done", "created", users[2], "")
	keep(t, db, clerk, "read:users:"+users[2], "quarantined", users[2], "{}")
	keep(t, db, clerk, "read:users:0123456789abcdef", "quarantined", "", "{}")

	stdout, _ := run(t, 0, env, "events", "list", "--outcome", "quarantined", "--type", "USER.*", "--since", "2h", "--until", "1m", "--json")
	var ids []string
	for line := range strings.Lines(stdout) {
		var e struct {
			ID, Outcome  string
			PayloadBytes int `json:"payload_bytes"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q is no JSON: %v", line, err)
		}
		ids = append(ids, e.ID)
		if (e.PayloadBytes > 0) != (e.ID != "msg_empty") {
			t.Errorf("%s has a payload of %d bytes", e.ID, e.PayloadBytes)
		}
	}
	if want := []string{"msg_empty", "msg_waits", "msg_heals"}; !slices.Equal(ids, want) {
		t.Errorf("the list shows %v, want %v", ids, want)
	}
	stdout, _ = run(t, 0, env, "events", "list", "--object", users[1])
	if lines := strings.Split(strings.TrimSpace(stdout), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "RECEIVED") || !strings.HasSuffix(lines[1], "  msg_empty") {
		t.Errorf("the table of one object's events:\n%s", stdout)
	}
	stdout, _ = run(t, 0, env, "events", "show", "msg_heals")
	if strings.Contains(stdout, "Grace") || !strings.Contains(stdout, "bytes, kept") || !strings.Contains(stdout, "data has no updated_at") {
		t.Errorf("the event shows as:\n%s", stdout)
	}
	stdout, _ = run(t, 0, env, "events", "show", "msg_done", "--json")
	if !strings.Contains(stdout, `"outcome":"created"`) || !strings.Contains(stdout, `"payload_bytes":0`) {
		t.Errorf("the event shows as:\n%s", stdout)
	}

	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"show", "msg_nowhere"}, 1, "", "no such event"},
		{[]string{"retry", "--json", "msg_heals"}, 0, `{"id":"msg_heals","outcome":"updated"}`, ""},
		{[]string{"retry", "msg_heals"}, 1, "", "waits for nothing: its outcome is updated"},
		{[]string{"retry", "msg_empty"}, 1, "", "clerksync resync " + users[1]},
		{[]string{"retry", "read:users:" + users[2]}, 0, users[2] + " unchanged", ""},
		{[]string{"retry", "msg_waits", "msg_nowhere"}, 1, "", "msg_waits is still quarantined"},
		{[]string{"retry", "--all"}, 1, "", "read:users:0123456789abcdef has no id"},
		{[]string{"drop", "msg_waits", "msg_done"}, 1, "msg_waits dropped", "msg_done is neither"},
		{[]string{"drop", "--json", "msg_empty", "read:users:0123456789abcdef"}, 0, `{"id":"msg_empty","outcome":"dropped"}`, ""},
		{[]string{"retry", "--all"}, 0, "", ""},
		{[]string{"list", "--outcome", "quarantined"}, 0, "RECEIVED  OUTCOME  TYPE  OBJECT  ID\n", ""},
		{[]string{"show"}, 2, "", "needs the id of one event"},
		{[]string{"retry"}, 2, "", "either the ids of events"},
		{[]string{"retry", "--all", "msg_1"}, 2, "", "either the ids of events"},
		{[]string{"drop"}, 2, "", "either the ids of events"},
		{[]string{"list", "msg_1"}, 2, "", "takes no arguments"},
		{[]string{"list", "--outcome", "lost"}, 2, "", "--outcome must be one of created, "},
		{[]string{"list", "--limit", "0"}, 2, "", "--limit must be"},
		{[]string{"list", "--since", "yesterday"}, 2, "", "--since must be like"},
		{nil, 2, "", "list, show, retry, drop"},
	} {
		stdout, stderr := run(t, c.code, env, append([]string{"events"}, c.args...)...)
		if !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("events %v: want %q and %q in\n%s\n%s", c.args, c.stdout, c.stderr, stdout, stderr)
		}
	}
	if n := count(t, db, `SELECT count(*) FROM clerk.active_users WHERE id = $1 AND first_name = 'Grace'`, users[0]); n != 1 {
		t.Error("the event that was retried did not reach its user")
	}
	if n := count(t, db, `SELECT count(*) FROM clerk.events WHERE type = 'read'`); n != 0 {
		t.Errorf("%d reads are still there", n)
	}
}

// TestEventsTable lets nothing steer the terminal.
func TestEventsTable(t *testing.T) {
	t.Parallel()
	events := []clerksync.Logged{{
		ID: "msg_2b6fcd92dvf96q05x8e4a8xvt6a", Type: "organizationMembership.created", ObjectID: "orgmem_2b6fcd92dvf96q05x8e4a8xvt6a",
		ReceivedAt: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), Outcome: clerksync.Created,
	}, {ID: "msg_1", Type: "evil\x1b[2J", ReceivedAt: time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC), Outcome: clerksync.Ignored}}
	want := `RECEIVED             OUTCOME  TYPE                            OBJECT                              ID
2026-01-31 12:00:00  created  organizationMembership.created  orgmem_2b6fcd92dvf96q05x8e4a8xvt6a  msg_2b6fcd92dvf96q05x8e4a8xvt6a
2026-01-30 12:00:00  ignored  evil�[2J                        -                                   msg_1
`
	var b strings.Builder
	if err := main.PrintEvents(&b, events); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAllOfQuarantineIsGivenUp runs the command by which the documentation frees a disk of what somebody with the signing secret has made,
// who chooses the names of his events, too.
func TestAllOfQuarantineIsGivenUp(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{})
	url := pgtest.URL(t)
	db := connect(t, url)
	env := environment(clerk, url)
	run(t, 0, env, "reconcile")
	for i := range 60 { // more than are listed without a limit
		keep(t, db, clerk, fmt.Sprintf("msg_%d", i), "quarantined", "user_1", "{}")
	}
	for _, id := range []string{"--held", "msg two", "$(touch made)", "'", "*"} {
		keep(t, db, clerk, id, "quarantined", "user_1", "{}")
	}
	keep(t, db, clerk, "msg_done", "created", "user_1", "{}")
	stdout, _ := run(t, 0, env, "events", "drop", "--all")
	var left []string
	if err := db.Select(&left, `SELECT id FROM clerk.events WHERE outcome = 'quarantined' OR outcome = 'ignored' AND payload IS NOT NULL`); err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 || strings.Count(stdout, "dropped") != 65 {
		t.Errorf("%q are left, and the command told:\n%s", left, stdout)
	}
}
