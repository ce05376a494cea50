package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// canary marks everything that is somebody's: whatever is written for others than the database must not hold it.
const canary = "Canaria"

// canaryUser is a user whose every member is marked.
func canaryUser(id string, more string) string {
	now := time.Now().UnixMilli()
	return fmt.Sprintf(`{"id":%q,"object":"user","created_at":%d,"updated_at":%d,"first_name":"Canaria","last_name":"Canaria-last","username":"canaria_name",`+
		`"external_id":"Canaria-external","image_url":"https://img.example.com/Canaria","primary_email_address_id":"idn_1",`+
		`"email_addresses":[{"id":"idn_1","email_address":"Canaria@example.com"}],"phone_numbers":[{"id":"idn_2","phone_number":"+49555Canaria"}],`+
		`"public_metadata":{"note":"Canaria"},"unsafe_metadata":{"Canaria":1},"private_metadata":{"diagnosis":"Canaria"}%s}`, id, now, now, more)
}

func canaryEvent(typ, data string, at time.Time) string {
	return fmt.Sprintf(`{"object":"event","type":%q,"timestamp":%d,"data":%s,"event_attributes":{"http_request":{"client_ip":"Canaria-ip","user_agent":"Canaria-agent"}}}`,
		typ, at.UnixMilli(), data)
}

// TestNothingTells leads a daemon with secrets and people that are marked through success, failure and poison, runs every command
// that operators run, and looks for the marks in everything that was written: logs, answers, metrics, pages and standard output.
func TestNothingTells(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{})
	people := make([]string, 5)
	for i := range people {
		id, err := clerk.CreateUser(clerktest.Fields{"first_name": canary, "last_name": canary, "email_address": []string{fmt.Sprintf("%s%d@example.com", canary, i)},
			"public_metadata": map[string]any{"note": canary}})
		if err != nil {
			t.Fatal(err)
		}
		people[i] = id
	}
	env := environment(clerk, strings.Replace(address, "@", ":Canaria-password@", 1), "CLERKSYNC_ADMIN_TOKEN=Canaria-token", "CLERKSYNC_DELETE_POLICY=hard",
		"CLERKSYNC_PRIVATE_METADATA=store", "CLERKSYNC_SESSION_ACTIVITY=full")
	d := serve(t, clerk, env)
	db := connect(t, address)
	var written strings.Builder
	see := func(code int, text string) int {
		written.WriteString(text)
		return code
	}
	ask := func(method, path string, want int) {
		t.Helper()
		code, text := request(t, method, d.admin+path, "Authorization", "Bearer Canaria-token")
		if see(code, text) != want {
			t.Errorf("%s %s: %d, want %d", method, path, code, want)
		}
	}
	numbered := 0
	deliver := func(header http.Header, body string, want int) {
		t.Helper()
		if header == nil {
			numbered++
			header = clerk.Sign(fmt.Sprint("msg_", numbered), time.Now(), []byte(body))
		}
		code, text := postTo(t, client, d.webhook, header, body)
		if see(code, text) != want {
			t.Errorf("a delivery was answered %d, want %d: %.100s", code, want, body)
		}
	}

	// Success: a pass, events, and what operators read.
	eventually(t, 20*time.Second, "the backfill is done", func() bool {
		return count(t, db, `SELECT count(*) FROM clerk.active_users WHERE first_name = 'Canaria' AND data::text LIKE '%Canaria%'`) == len(people)
	})
	now := time.Now()
	deliver(nil, canaryEvent("user.created", canaryUser("user_canary", ""), now), 204)
	deliver(nil, canaryEvent("session.created", `{"id":"sess_1","object":"session","user_id":"user_canary","status":"active","created_at":1,"updated_at":1,`+
		`"latest_activity":{"ip_address":"Canaria","city":"Canaria"},"user":`+canaryUser("user_canary", "")+`}`, now), 204)
	deliver(nil, canaryEvent("email.created", `{"id":"ema_1","to_email_address":"Canaria@example.com","body":"Canaria"}`, now), 204)

	// Failure: forgeries, bodies that are no events, rows that the database refuses, a Clerk that fails.
	deliver(http.Header{"Svix-Id": {"msg_x"}, "Svix-Timestamp": {fmt.Sprint(now.Unix())}, "Svix-Signature": {"v1,Canaria"}}, canaryEvent("user.created", canaryUser("user_x", ""), now), 401)
	deliver(http.Header{"Svix-Id": {"Canaria id"}}, "Canaria", 401)
	deliver(nil, `{"type":"user.created","data":{"id":"Canaria","ID":"Canaria"}}`, 400)
	deliver(nil, `Canaria`, 400)
	admin := pgtest.Superuser(t, db)
	admin.MustExec(`ALTER TABLE clerk.users ADD CONSTRAINT refused CHECK (id <> 'user_refused')`) // the detail of its error is the whole row
	admin.MustExec(`CREATE UNIQUE INDEX one_external_id ON clerk.users (external_id)`)            // and that of this one the value
	deliver(nil, canaryEvent("user.created", canaryUser("user_refused", ""), now), 204)
	deliver(nil, canaryEvent("user.created", canaryUser("user_twin", ""), now), 204)

	// Poison: no updated_at, metadata that cannot be stored, an event from tomorrow.
	deliver(nil, canaryEvent("user.updated", `{"id":"user_poison","object":"user","first_name":"Canaria"}`, now), 204)
	deliver(nil, canaryEvent("user.updated", canaryUser("user_odd", `,"x":"\u0000Canaria"`), now), 204)
	deliver(nil, canaryEvent("user.updated", canaryUser("user_late", ""), now.Add(time.Hour)), 204)
	ask(http.MethodGet, "/", 200)
	ask(http.MethodGet, "/api/status", 200)
	ask(http.MethodGet, "/metrics", 200)
	ask(http.MethodGet, "/readyz", 200)
	order(t, d, "Authorization", "Bearer Canaria-token")
	eventually(t, 30*time.Second, "two passes have ended", func() bool {
		return count(t, db, `SELECT count(*) FROM clerk.passes WHERE kind = 'full' AND finished_at IS NOT NULL`) == 2
	})
	for _, c := range []struct {
		code int
		args []string
	}{
		{0, []string{"status"}}, {0, []string{"status", "--json"}}, {0, []string{"events", "list"}}, {0, []string{"events", "list", "--json"}}, {0, []string{"events", "show", "msg_8"}},
		{0, []string{"doctor", "--url", d.webhook}}, {0, []string{"reconcile", "--json"}}, {0, []string{"resync", people[0]}}, {0, []string{"migrate", "status"}},
		{0, []string{"migrate", "print", "--roles"}}, {0, []string{"audit", "list"}}, {0, []string{"report", "deletions"}}, {0, []string{"serve", "--help"}},
	} {
		stdout, stderr := run(t, c.code, env, c.args...)
		written.WriteString(stdout + stderr)
	}
	if err := clerk.DeleteUser(people[1]); err != nil {
		t.Fatal(err)
	}
	for _, c := range []clerktest.Faults{{ErrorRate: 1}, {Unauthorized: true}, {WrongInstance: "ins_2other"}} {
		if err := clerk.SetFaults(c); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"resync", people[0]}, {"doctor"}} {
			p := start(t, env, args...)
			select {
			case <-p.exited:
			case <-time.After(4 * time.Second): // it tries again and again
				p.kill()
			}
			written.WriteString(p.stdout.String() + p.stderr.String())
		}
	}
	if err := clerk.SetFaults(clerktest.Faults{}); err != nil {
		t.Fatal(err)
	}
	for _, broken := range []string{"DATABASE_URL=postgres://Canaria:Canaria@127.0.0.1:1/Canaria", "DATABASE_URL=postgres://me:Canaria@db.example.com/app",
		"CLERK_SECRET_KEY=Canaria", "CLERK_WEBHOOK_SIGNING_SECRET=Canaria", "CLERK_API_URL=https://Canaria:Canaria@x"} {
		p := start(t, append(env[:len(env):len(env)], broken), "doctor")
		<-p.exited
		written.WriteString(p.stdout.String() + p.stderr.String())
	}
	d.signal(syscall.SIGTERM)
	d.wantExit(0, 25*time.Second)
	written.WriteString(d.stdout.String() + d.stderr.String())

	if n := count(t, db, `SELECT count(*) FROM clerk.events WHERE outcome = 'quarantined'`); n != 4 {
		t.Errorf("%d events in quarantine, want 4: the test has not tried what it should", n)
	}
	text := written.String()
	if len(text) < 20_000 || !strings.Contains(text, `"msg":"event committed"`) || !strings.Contains(text, "event quarantined") {
		t.Errorf("only %d bytes were written: the test looked at too little", len(text))
	}
	for _, mark := range []string{canary, strings.ToLower(canary), "diagnosis", clerk.SecretKey(), clerk.WebhookSecret()[6:]} {
		for line := range strings.Lines(text) {
			if strings.Contains(line, mark) {
				t.Errorf("%q is told: %.500s", mark, line)
			}
		}
	}
}
