package clerktest_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
)

// A session carries what the test gives it, in webhooks and in the API.
func TestSignInCarriesItsOptions(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 1, Concurrency: 1})
	r := receive(t, c)
	user := someUsers(c)[0]
	at := time.Now().Add(-time.Hour)
	id := text(t)(c.SignIn(user, clerktest.SessionOptions{
		Activity: &clerktest.Activity{City: "Lyon", Country: "FR", DeviceType: "iPhone", IsMobile: true, IPAddress: "192.0.2.7"},
		Actor:    json.RawMessage(`{"sub":"user_support"}`), At: at, ExpiresIn: 2 * time.Hour,
	}))
	text(t)(c.SignIn(user, clerktest.SessionOptions{NoActivity: true, Pending: true}))
	wait(t, c)
	data := r.byType("session.created")[0].Data
	activity := data["latest_activity"].(map[string]any)
	delete(activity, "id")
	want := map[string]any{"object": "session_activity", "city": "Lyon", "country": "FR", "device_type": "iPhone", "is_mobile": true, "ip_address": "192.0.2.7"}
	if diff := cmp.Diff(want, activity); diff != "" {
		t.Errorf("latest_activity (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"sub": "user_support"}, data["actor"]); diff != "" {
		t.Errorf("actor (-want +got):\n%s", diff)
	}
	if data["created_at"] != float64(at.UnixMilli()) || data["expire_at"] != float64(at.Add(2*time.Hour).UnixMilli()) {
		t.Errorf("got the times %v and %v", data["created_at"], data["expire_at"])
	}
	if pending := r.byType("session.pending"); len(pending) != 1 || pending[0].Data["latest_activity"] != nil || pending[0].Data["status"] != "pending" {
		t.Errorf("got %v as session.pending", pending)
	}
	if got := decode(t, c.Object("sessions", id)); got["user"] != nil || got["status"] != "active" {
		t.Errorf("the API tells %v", got)
	}
}

// A session that has ended, by whatever way, stays as it is.
func TestEndedSessionStays(t *testing.T) {
	t.Parallel()
	var clock clerktest.Clock
	c := instance(t, clerktest.Config{Users: 1, Now: clock.Now})
	receive(t, c)
	user := someUsers(c)[0]
	ends := map[string]func(string) error{"revoked": c.RevokeSession, "ended": c.EndSession, "removed": c.RemoveSession,
		"expired": func(string) error { clock.Advance(time.Hour); return nil }}
	for status, end := range ends {
		id := text(t)(c.SignIn(user, clerktest.SessionOptions{ExpiresIn: time.Minute}))
		check(t, end(id))
		before, sent := string(c.Object("sessions", id)), len(c.Messages())
		for _, again := range ends {
			check(t, again(id))
		}
		if after := string(c.Object("sessions", id)); after != before || decode(t, []byte(after))["status"] != status || len(c.Messages()) != sent {
			t.Errorf("%s: %s became %s with %d events", status, before, after, len(c.Messages())-sent)
		}
	}
	wait(t, c)
}

// A browser whose session has ended switches to no organization, nor does anybody to one that does not exist.
func TestSwitchToNothing(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 1})
	user := someUsers(c)[0]
	lab := text(t)(c.CreateOrganization(clerktest.Fields{"name": "Lab", "created_by": user}))
	id := text(t)(c.CreateSession(user))
	if err := c.SwitchOrganization(id, "org_nowhere"); err == nil {
		t.Error("an organization that does not exist is active")
	}
	if _, err := c.SignIn(user, clerktest.SessionOptions{OrganizationID: "org_nowhere"}); err == nil {
		t.Error("an organization that does not exist is active from the start")
	}
	check(t, c.SwitchOrganization(id, lab))
	check(t, c.SwitchOrganization(id, ""))
	check(t, c.EndSession(id))
	ended := string(c.Object("sessions", id))
	if err := c.SwitchOrganization(id, lab); err == nil || string(c.Object("sessions", id)) != ended {
		t.Errorf("%s became %s (%v)", ended, c.Object("sessions", id), err)
	}
}

// Sessions tells every session as the last webhook about it did.
func TestSessionsAreToldAsByWebhooks(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 3, Concurrency: 1})
	r := receive(t, c)
	for _, user := range someUsers(c) {
		text(t)(c.CreateSession(user))
		check(t, c.EndSession(text(t)(c.CreateSession(user))))
	}
	wait(t, c)
	want := map[string]map[string]any{}
	for _, a := range r.all() {
		want[a.envelope.Data["id"].(string)] = a.envelope.Data
	}
	got := map[string]map[string]any{}
	for id, raw := range c.Sessions() {
		got[id] = decode(t, raw)
	}
	for _, all := range []map[string]map[string]any{want, got} {
		for _, session := range all {
			if session["user"].(map[string]any)["id"] != session["user_id"] {
				t.Errorf("got another user in %v", session)
			}
			delete(session, "user") // has signed in again meanwhile
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sessions (-webhooks +Sessions):\n%s", diff)
	}
}

// The clock ends sessions and invitations, without events and without a new
// updated_at.
func TestClockEndsSessionsAndInvitations(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := instance(t, clerktest.Config{Users: 1, Concurrency: 1, Now: func() time.Time { return now }})
	r := receive(t, c)
	user := someUsers(c)[0]
	org := text(t)(c.CreateOrganization(clerktest.Fields{"name": "Acme"}))
	expires := text(t)(c.SignIn(user, clerktest.SessionOptions{}))
	abandoned := text(t)(c.SignIn(user, clerktest.SessionOptions{AbandonsIn: time.Hour}))
	invited := text(t)(c.Invite(clerktest.Fields{"email_address": "x@example.com"}))
	toOrganization := text(t)(c.InviteToOrganization(org, clerktest.Fields{"email_address": "x@example.com", "role": "org:member"}))
	wait(t, c)
	before := len(r.all())
	status := func(resource, id string) any { return decode(t, c.Object(resource, id))["status"] }
	for _, step := range []struct {
		pass time.Duration
		want []any
	}{
		{time.Hour - time.Millisecond, []any{"active", "active", "pending", "pending"}},
		{2 * time.Millisecond, []any{"active", "abandoned", "pending", "pending"}},
		{7 * 24 * time.Hour, []any{"expired", "abandoned", "pending", "pending"}},
		{30 * 24 * time.Hour, []any{"expired", "abandoned", "expired", "expired"}},
	} {
		now = now.Add(step.pass)
		got := []any{status("sessions", expires), status("sessions", abandoned), status("invitations", invited), status("organization_invitations", toOrganization)}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", step.pass, diff)
		}
	}
	if _, err := c.AcceptInvitation(invited); err == nil {
		t.Error("an expired invitation was accepted")
	}
	if err := c.RevokeOrganizationInvitation(toOrganization); err == nil {
		t.Error("an expired invitation was revoked")
	}
	if wait(t, c); len(r.all()) != before {
		t.Errorf("the clock sent %d events", len(r.all())-before)
	}
}
