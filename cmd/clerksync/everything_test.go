package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

const everything = "CLERKSYNC_RESOURCES=users,organizations,memberships,invitations,sessions"

// TestServeEverything lets the daemon mirror all that Clerk tells, and users alone.
func TestServeEverything(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		more      []string
		want      map[string]int // rows of views once everything is delivered
		addresses int            // sessions that keep one
	}{
		{"everything", []string{everything, "CLERKSYNC_SESSION_ACTIVITY=full"}, map[string]int{
			"active_organizations": 6, "active_organization_memberships": 17, "active_organization_invitations": 6,
			"active_organization_domains": 1, "active_roles": 3, "active_permissions": 9, "active_sessions": 1, "sign_ins": 2,
		}, 2},
		{"by default", nil, map[string]int{"active_organizations": 6, "active_roles": 3, "sign_ins": 2}, 0},
		{"without addresses", []string{"CLERKSYNC_RESOURCES=users,sessions"}, map[string]int{"sign_ins": 2, "active_organizations": 0}, 0},
		{"users", []string{"CLERKSYNC_RESOURCES=users"}, map[string]int{"active_organizations": 0, "sign_ins": 0}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			whole := c.name == "everything" || c.name == "by default"
			url := pgtest.URL(t)
			clerk := emulate(t, clerktest.Config{Users: 20, Organizations: 5, Members: 3, Invitations: 5})
			d := serve(t, clerk, environment(clerk, url, c.more...))
			db := connect(t, url)
			eventually(t, 20*time.Second, "the backfill is done", func() bool {
				return count(t, db, `SELECT count(*) FROM clerk.passes WHERE complete`) > 0
			})
			clerk.SetWebhookURL(d.webhook)
			happen(t, clerk)
			if _, err := clerk.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			for view, want := range c.want {
				if got := count(t, db, `SELECT count(*) FROM clerk.`+view); got != want {
					t.Errorf("%s has %d rows, want %d", view, got, want)
				}
			}
			invited := count(t, db, `SELECT count(*) FROM clerk.active_invitations WHERE email_address = 'b@example.com'`)
			if (invited == 1) != whole {
				t.Errorf("%d rows of the invitation to the application", invited)
			}
			if n := count(t, db, `SELECT count(*) FROM clerk.sign_ins WHERE ip_address IS NOT NULL`); n != c.addresses {
				t.Errorf("%d sessions keep an address, want %d", n, c.addresses)
			}
			stdout, _ := run(t, 0, environment(clerk, url, c.more...), "status")
			if got := strings.Contains(stdout, "\norganization memberships  17 visible, 0 deleted\n"); got != whole {
				t.Errorf("status shows memberships: %t\n%s", got, stdout)
			}
		})
	}
}

// happen lets something of every kind happen.
func happen(t *testing.T, clerk *clerktest.Server) {
	t.Helper()
	var people []string
	for id := range clerk.Users() {
		people = append(people, id)
	}
	made := func(id string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	org := made(clerk.CreateOrganization(clerktest.Fields{"name": "Acme", "created_by": people[0]}))
	made(clerk.AddMember(org, people[1], "org:member"))
	made(clerk.InviteToOrganization(org, clerktest.Fields{"email_address": "a@example.com", "role": "org:member"}))
	made(clerk.CreateDomain(org, clerktest.Fields{"name": "acme.example.com"}))
	permission := made(clerk.CreatePermission(clerktest.Fields{"name": "Read", "key": "org:posts:read"}))
	made(clerk.CreateRole(clerktest.Fields{"name": "Reader", "key": "org:reader", "permissions": []string{permission}}))
	made(clerk.Invite(clerktest.Fields{"email_address": "b@example.com"}))
	options := clerktest.SessionOptions{Activity: &clerktest.Activity{City: "Lyon", Country: "FR", IPAddress: "192.0.2.7"}}
	made(clerk.SignIn(people[2], options))
	if err := clerk.EndSession(made(clerk.SignIn(people[3], options))); err != nil {
		t.Fatal(err)
	}
}

// TestResyncKinds reads an object of every kind again that Clerk can be asked for.
func TestResyncKinds(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	clerk := emulate(t, clerktest.Config{Users: 10, Organizations: 1, Members: 2, Invitations: 8})
	env := environment(clerk, url, everything)
	var org string
	for org = range clerk.Objects("organizations") {
	}
	domain, err := clerk.CreateDomain(org, clerktest.Fields{"name": "acme.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	run(t, 0, env, "reconcile")
	first := func(resource, with string) string {
		for id, object := range clerk.Objects(resource) {
			if strings.Contains(string(object), with) {
				return id
			}
		}
		t.Fatalf("the emulator has none of %s with %s", resource, with)
		return ""
	}
	member := first("organization_memberships", "org:member")
	guest, stranger := first("organization_invitations", `"pending"`), first("invitations", `"pending"`)
	role, permission := first("organization_roles", ""), first("organization_permissions", "")
	all := []string{org, member, guest, stranger, domain, role, permission}
	stdout, _ := run(t, 0, env, append([]string{"resync"}, all...)...)
	for _, id := range all {
		if !strings.Contains(stdout, id+" unchanged\n") && !strings.Contains(stdout, id+" refreshed\n") {
			t.Errorf("resync of %s:\n%s", id, stdout)
		}
	}
	if err := clerk.UpdateOrganization(org, clerktest.Fields{"name": "Renamed"}); err != nil {
		t.Fatal(err)
	}
	db := connect(t, url)
	var user string
	if err := db.GetContext(t.Context(), &user, `SELECT user_id FROM clerk.organization_memberships WHERE id = $1`, member); err != nil {
		t.Fatal(err)
	}
	if err := clerk.RemoveMember(org, user); err != nil {
		t.Fatal(err)
	}
	stdout, _ = run(t, 0, env, "resync", org, member)
	if !strings.Contains(stdout, org+" updated\n") || !strings.Contains(stdout, member+" deleted\n") {
		t.Errorf("resync of a renamed organization and a former membership:\n%s", stdout)
	}
	if stdout, _ = run(t, 0, env, "resync", "--json", org); stdout != `{"id":"`+org+`","outcome":"unchanged"}`+"\n" {
		t.Errorf("resync --json of an organization that is as it was:\n%s", stdout)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"resync", "orgmem_nobody"}, 1, "which a full pass finds"},
		{[]string{"resync", "org_nobody"}, 1, "neither Clerk nor the mirror knows this organization"},
		{[]string{"resync", "sess_1"}, 2, "is no id that Clerk can be asked for"},
		{[]string{"resync", "--resources", "users", org}, 2, "CLERKSYNC_RESOURCES leaves organizations out"},
	} {
		if _, stderr := run(t, c.code, env, c.args...); !strings.Contains(stderr, c.want) {
			t.Errorf("%v: want %q in %s", c.args, c.want, stderr)
		}
	}
}
