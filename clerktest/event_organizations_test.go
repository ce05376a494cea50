package clerktest_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
)

// text unwraps the id that a write returns.
func text(t *testing.T) func(string, error) string { return must[string](t) }

// liveOnce makes an instance announce every event about organizations and
// invitations.
func liveOnce(t *testing.T, c *clerktest.Clerk) {
	t.Helper()
	ada := create(t, c, clerktest.Fields{"first_name": "Ada", "email_address": []string{"ada@example.com"}})
	bob := create(t, c, clerktest.Fields{"username": "bob"})
	org := text(t)(c.CreateOrganization(clerktest.Fields{"name": "Acme", "created_by": ada, "public_metadata": map[string]any{"a": 1}}))
	check(t, c.UpdateOrganization(org, clerktest.Fields{"name": "Acme & Sons"}))
	check(t, c.MergeOrganizationMetadata(org, clerktest.Fields{"private_metadata": map[string]any{"b": 2}}))
	text(t)(c.AddMember(org, bob, "org:member"))
	check(t, c.UpdateMember(org, bob, clerktest.Fields{"role": "org:admin"}))
	accepted := text(t)(c.InviteToOrganization(org, clerktest.Fields{"email_address": "new@example.com", "role": "org:member"}))
	text(t)(c.AcceptOrganizationInvitation(accepted, ""))
	revoked := text(t)(c.InviteToOrganization(org, clerktest.Fields{"email_address": "no@example.com", "role": "org:member"}))
	check(t, c.RevokeOrganizationInvitation(revoked))
	domain := text(t)(c.CreateDomain(org, clerktest.Fields{"name": "acme.com", "verified": false}))
	check(t, c.UpdateDomain(domain, clerktest.Fields{"verified": true}))
	check(t, c.DeleteDomain(domain))
	permission := text(t)(c.CreatePermission(clerktest.Fields{"name": "Read", "key": "org:posts:read"}))
	check(t, c.UpdatePermission(permission, clerktest.Fields{"description": "reads"}))
	role := text(t)(c.CreateRole(clerktest.Fields{"name": "Editor", "key": "org:editor", "permissions": []string{permission}}))
	check(t, c.UpdateRole(role, clerktest.Fields{"name": "Chief"}))
	check(t, c.DeleteRole(role))
	check(t, c.DeletePermission(permission))
	check(t, c.RemoveMember(org, bob))
	text(t)(c.AcceptInvitation(text(t)(c.Invite(clerktest.Fields{"email_address": "in@example.com"}))))
	check(t, c.RevokeInvitation(text(t)(c.Invite(clerktest.Fields{"email_address": "out@example.com"}))))
	check(t, c.DeleteOrganization(org))
	wait(t, c)
}

// Data has exactly the members of Clerk's published examples: all of those of
// its event type, and none that no example of the resource has.
func TestOrganizationEventsMatchPublishedExamples(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Concurrency: 1})
	r := receive(t, c)
	liveOnce(t, c)
	known, sent := map[string]map[string]any{}, map[string]any{}
	paths, err := filepath.Glob(filepath.Join("testdata", "events", "*.json"))
	check(t, err)
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		check(t, err)
		var example struct{ Data map[string]any }
		check(t, json.Unmarshal(raw, &example))
		resource, _, _ := strings.Cut(filepath.Base(path), ".")
		if known[resource] == nil {
			known[resource] = map[string]any{}
		}
		maps.Copy(known[resource], example.Data)
	}
	for _, a := range r.all() {
		sent[a.envelope.Type] = a.envelope.Data
		resource, _, _ := strings.Cut(a.envelope.Type, ".")
		for name := range a.envelope.Data {
			if _, ok := known[resource][name]; !ok && resource != "invitation" && resource != "user" {
				t.Errorf("%s has a member %s that no example has", a.envelope.Type, name)
			}
		}
	}
	for _, path := range paths {
		eventType := strings.TrimSuffix(filepath.Base(path), ".json")
		resource, _, _ := strings.Cut(eventType, ".")
		if !slices.Contains([]string{"organization", "organizationMembership", "organizationInvitation", "organizationDomain", "role", "permission"}, resource) {
			continue
		}
		raw, err := os.ReadFile(path)
		check(t, err)
		var example struct{ Data any }
		check(t, json.Unmarshal(raw, &example))
		if sent[eventType] == nil {
			t.Errorf("%s was not sent", eventType)
			continue
		}
		compatible(t, eventType, example.Data, sent[eventType])
	}
	for eventType, extra := range map[string][]string{"invitation.created": nil, "invitation.accepted": nil, "invitation.revoked": {"revoked"}} {
		want := append([]string{"created_at", "email_address", "expires_at", "id", "object", "public_metadata", "status", "updated_at", "url"}, extra...)
		slices.Sort(want)
		data, _ := sent[eventType].(map[string]any)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(data))); diff != "" {
			t.Errorf("members of %s (-want +got):\n%s", eventType, diff)
		}
	}
}

// Every object in an event has its members sorted, and times that move on.
func TestOrganizationEventsAreSorted(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Concurrency: 1})
	r := receive(t, c)
	liveOnce(t, c)
	last := map[string]float64{}
	for _, a := range r.all() {
		if strings.HasPrefix(a.envelope.Type, "user.") {
			continue // an address tells {"id","type"} in both, but not by sorting
		}
		var value any
		check(t, json.Unmarshal(a.body, &value))
		var sorted bytes.Buffer
		encoder := json.NewEncoder(&sorted)
		encoder.SetEscapeHTML(false)
		check(t, encoder.Encode(value))
		var want bytes.Buffer
		check(t, json.Indent(&want, sorted.Bytes(), "", ""))
		var got bytes.Buffer
		check(t, json.Indent(&got, a.body, "", ""))
		if diff := cmp.Diff(names(want.String()), names(got.String())); diff != "" {
			t.Errorf("%s (-sorted +got):\n%s", a.envelope.Type, diff)
		}
		id := a.envelope.Data["id"].(string)
		if at, ok := a.envelope.Data["updated_at"].(float64); ok && !strings.HasSuffix(a.envelope.Type, ".deleted") {
			if at <= last[id] || int64(at) > a.envelope.Timestamp {
				t.Errorf("%s: updated_at went from %.0f to %.0f at %d", a.envelope.Type, last[id], at, a.envelope.Timestamp)
			}
			last[id] = at
		}
	}
}

// names returns the member names of indented JSON in their order.
func names(indented string) (out []string) {
	for line := range strings.Lines(indented) {
		if name, _, ok := strings.Cut(line, `":`); ok {
			out = append(out, name)
		}
	}
	return out
}

func TestOrganizationEventsTellWhatHappened(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 3, Concurrency: 1})
	r := receive(t, c)
	ids := someUsers(c)
	org := text(t)(c.CreateOrganization(clerktest.Fields{"name": "Acme", "slug": "acme", "created_by": ids[0]}))
	member := text(t)(c.AddMember(org, ids[1], "org:member"))
	invited := text(t)(c.InviteToOrganization(org, clerktest.Fields{"email_address": "x@example.com", "role": "org:admin"}))
	joined := text(t)(c.AcceptOrganizationInvitation(invited, ids[2]))
	check(t, c.RemoveMember(org, ids[1]))
	check(t, c.DeleteOrganization(org))
	wait(t, c)
	type event struct {
		Type, ID string
		Members  any // of the organization that is told
	}
	var got []event
	for _, a := range r.all() {
		e := event{a.envelope.Type, a.envelope.Data["id"].(string), a.envelope.Data["members_count"]}
		if organization, ok := a.envelope.Data["organization"].(map[string]any); ok {
			e.Members = organization["members_count"]
		}
		got = append(got, e)
	}
	admin := got[1].ID
	want := []event{
		{"organization.created", org, 1.0}, {"organizationMembership.created", admin, 1.0}, {"organizationMembership.created", member, 2.0},
		{"organizationInvitation.created", invited, nil}, {"organizationInvitation.accepted", invited, nil}, {"organizationMembership.created", joined, 3.0},
		{"organizationMembership.deleted", member, 2.0}, {"organizationMembership.deleted", admin, 0.0}, {"organizationMembership.deleted", joined, 0.0},
		{"organization.deleted", org, nil},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if url, _ := r.byType("organizationInvitation.accepted")[0].Data["url"].(string); !strings.Contains(url, "?ticket=") {
		t.Errorf("got the URL %q", url)
	}
	if diff := cmp.Diff(map[string]any{"id": org, "object": "organization", "slug": "acme", "deleted": true}, r.byType("organization.deleted")[0].Data); diff != "" {
		t.Errorf("organization.deleted (-want +got):\n%s", diff)
	}
}

// A cascade leaves nothing behind, announced or not.
func TestCascades(t *testing.T) {
	t.Parallel()
	for _, silent := range []float64{0, 1} {
		c := instance(t, clerktest.Config{Users: 40, Organizations: 3, Members: 40, Invitations: 30, Concurrency: 1, Faults: clerktest.Faults{SilentCascade: silent}})
		r := receive(t, c)
		var org string
		for org = range c.Objects("organizations") {
			break
		}
		text(t)(c.CreateDomain(org, clerktest.Fields{"name": "acme.com"}))
		session := text(t)(c.SignIn(someUsers(c)[1], clerktest.SessionOptions{OrganizationID: org}))
		check(t, c.DeleteUser(someUsers(c)[0]))
		check(t, c.DeleteOrganization(org))
		counts := wait(t, c)
		want := map[string]int{"users": 39, "organizations": 2, "organization_memberships": 78, "organization_invitations": 20, "invitations": 30, "sessions": 1,
			"organization_domains": 0, "organization_roles": 2, "organization_permissions": 8}
		if diff := cmp.Diff(want, c.State().Resources); diff != "" {
			t.Errorf("resources (-want +got):\n%s", diff)
		}
		announced := len(r.byType("organizationMembership.deleted")) + len(r.byType("organizationDomain.deleted"))
		if announced != int(1-silent)*(3+39+1) || counts.Failed > 0 {
			t.Errorf("with SilentCascade %v, %d ends are announced", silent, announced)
		}
		if got := decode(t, c.Object("sessions", session)); got["last_active_organization_id"] != nil {
			t.Errorf("a session stays in a deleted organization: %v", got)
		}
	}
}
