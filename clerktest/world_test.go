package clerktest_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/clerksync/clerksync/clerktest"
)

// world is the test's own, naive idea of an instance: facts only.
type world struct {
	c       *clerktest.Clerk
	users   map[string]bool
	orgs    map[string]bool
	members map[[2]string]string // organization, user: role
	guests  map[string][3]string // organization invitation: organization, address, status
	invited map[string][2]string // invitation: address, status
	hosts   map[string]string    // domain: organization
	emails  map[string]bool      // of users who signed up
	named   int                  // domains so far
}

func newWorld(t fatal, c *clerktest.Clerk) *world {
	w := &world{c, map[string]bool{}, map[string]bool{}, map[[2]string]string{}, map[string][3]string{}, map[string][2]string{}, map[string]string{}, map[string]bool{}, 0}
	for id := range c.Users() {
		w.users[id] = true
	}
	for id := range c.Objects("organizations") {
		w.orgs[id] = true
	}
	for _, raw := range c.Objects("organization_memberships") {
		m := row(t, raw)
		w.members[[2]string{m.Organization.ID, m.User.UserID}] = m.Role
	}
	for id, raw := range c.Objects("organization_invitations") {
		i := row(t, raw)
		w.guests[id] = [3]string{i.OrganizationID, i.Email, i.Status}
	}
	for id, raw := range c.Objects("invitations") {
		i := row(t, raw)
		w.invited[id] = [2]string{i.Email, i.Status}
	}
	return w
}

// listed is any row of any listing.
type listed struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	Slug           string `json:"slug"`
	Role           string `json:"role"`
	Email          string `json:"email_address"`
	Status         string `json:"status"`
	OrganizationID string `json:"organization_id"`
	Organization   struct{ ID string }
	User           struct {
		UserID    string  `json:"user_id"`
		FirstName *string `json:"first_name"`
	} `json:"public_user_data"`
	CreatedAt int64 `json:"created_at"`
	UpdatedAt int64 `json:"updated_at"`
	place     int   // in the order of creation
}

func row(t fatal, raw []byte) (out listed) {
	t.Helper()
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return out
}

// some draws a key of a map, "" from an empty one.
func some[V any](t *rapid.T, from map[string]V) string {
	keys := slices.Sorted(maps.Keys(from))
	if len(keys) == 0 {
		return "none"
	}
	return rapid.SampledFrom(keys).Draw(t, "some")
}

func (w *world) status(t *rapid.T, err error, allowed bool) {
	t.Helper()
	if (err == nil) != allowed {
		t.Fatalf("got error %v, want success %t", err, allowed)
	}
}

// step makes one random write, which may be a forbidden one, and keeps what
// must be true afterwards.
func (w *world) step(t *rapid.T) {
	address := fmt.Sprintf("guest%d@example.com", rapid.IntRange(0, 5).Draw(t, "address"))
	role := rapid.SampledFrom([]string{"org:admin", "org:member"}).Draw(t, "role")
	org, user := some(t, w.orgs), some(t, w.users)
	pair := [2]string{org, user}
	switch rapid.IntRange(0, 13).Draw(t, "kind") {
	case 0:
		fields := clerktest.Fields{"name": rapid.SampledFrom([]string{"Acme", "Zeta", "Äpfel"}).Draw(t, "name")}
		if rapid.Bool().Draw(t, "by") && w.users[user] {
			fields["created_by"] = user
		}
		id, err := w.c.CreateOrganization(fields)
		w.status(t, err, true)
		if w.orgs[id] = true; fields["created_by"] != nil {
			w.members[[2]string{id, user}] = "org:admin"
		}
	case 1:
		w.status(t, w.c.UpdateOrganization(org, clerktest.Fields{"name": "Renamed", "public_metadata": map[string]any{"a": 1}}), w.orgs[org])
	case 2, 3, 4:
		_, err := w.c.AddMember(org, user, role)
		w.status(t, err, w.orgs[org] && w.users[user] && w.members[pair] == "")
		if err == nil {
			w.members[pair] = role
		}
	case 5:
		err := w.c.UpdateMember(org, user, clerktest.Fields{"role": role})
		w.status(t, err, w.members[pair] != "")
		if err == nil {
			w.members[pair] = role
		}
	case 6:
		w.status(t, w.c.RemoveMember(org, user), w.members[pair] != "")
		delete(w.members, pair)
	case 7:
		w.inviteGuest(t, org, address, role)
	case 8:
		w.acceptGuest(t, some(t, w.guests), user)
	case 9:
		id := some(t, w.guests)
		w.status(t, w.c.RevokeOrganizationInvitation(id), w.guests[id][2] == "pending")
		if i := w.guests[id]; i[2] == "pending" {
			w.guests[id] = [3]string{i[0], i[1], "revoked"}
		}
	case 10:
		w.invite(t, address)
	case 11:
		w.endInvitation(t, some(t, w.invited), rapid.Bool().Draw(t, "accept"))
	case 12:
		w.named++
		id, err := w.c.CreateDomain(org, clerktest.Fields{"name": fmt.Sprintf("d%d.example", w.named)})
		if w.status(t, err, w.orgs[org]); err == nil {
			w.hosts[id] = org
		}
	default:
		w.end(t, org, user)
	}
}

func (w *world) inviteGuest(t *rapid.T, org, address, role string) {
	open := false
	for _, i := range w.guests {
		open = open || i == [3]string{org, address, "pending"}
	}
	id, err := w.c.InviteToOrganization(org, clerktest.Fields{"email_address": address, "role": role})
	member := false
	for pair := range w.members {
		member = member || pair[0] == org && strings.Contains(string(w.c.User(pair[1])), `"`+address+`"`)
	}
	if w.status(t, err, w.orgs[org] && !open && !member); err == nil {
		w.guests[id] = [3]string{org, address, "pending"}
	}
}

func (w *world) acceptGuest(t *rapid.T, id, user string) {
	i := w.guests[id]
	pair := [2]string{i[0], user}
	_, err := w.c.AcceptOrganizationInvitation(id, user)
	if w.status(t, err, i[2] == "pending" && w.users[user] && w.members[pair] == ""); err == nil {
		w.guests[id] = [3]string{i[0], i[1], "accepted"}
		w.members[pair] = row(t, w.c.Object("organization_invitations", id)).Role
	}
}

func (w *world) invite(t *rapid.T, address string) {
	open := w.emails[address]
	for _, i := range w.invited {
		open = open || i == [2]string{address, "pending"}
	}
	id, err := w.c.Invite(clerktest.Fields{"email_address": address})
	if w.status(t, err, !open); err == nil {
		w.invited[id] = [2]string{address, "pending"}
	}
}

func (w *world) endInvitation(t *rapid.T, id string, accept bool) {
	i := w.invited[id]
	if accept {
		user, err := w.c.AcceptInvitation(id)
		if w.status(t, err, i[1] == "pending" && !w.emails[i[0]]); err == nil {
			w.users[user], w.emails[i[0]] = true, true
			w.invited[id] = [2]string{i[0], "accepted"}
		}
		return
	}
	if err := w.c.RevokeInvitation(id); err == nil {
		w.invited[id] = [2]string{i[0], "revoked"}
	}
}

// end deletes an organization or a user with everything that goes with it.
func (w *world) end(t *rapid.T, org, user string) {
	at, id := 0, org
	if rapid.Bool().Draw(t, "which") {
		at, id = 1, user
		if strings.Contains(string(w.c.User(id)), "guest") {
			return // its address would be free again
		}
		w.status(t, w.c.DeleteUser(id), w.users[id])
		delete(w.users, id)
	} else {
		w.status(t, w.c.DeleteOrganization(id), w.orgs[id])
		delete(w.orgs, id)
		maps.DeleteFunc(w.guests, func(_ string, i [3]string) bool { return i[0] == id })
		maps.DeleteFunc(w.hosts, func(_, org string) bool { return org == id })
	}
	maps.DeleteFunc(w.members, func(pair [2]string, _ string) bool { return pair[at] == id })
}

// compareFacts compares what is told with what must be true.
func (w *world) compareFacts(t *rapid.T) {
	got := newWorld(t, w.c)
	for id, raw := range w.c.Objects("organization_domains") {
		got.hosts[id] = row(t, raw).OrganizationID
	}
	for name, pair := range map[string][2]any{"users": {w.users, got.users}, "organizations": {w.orgs, got.orgs}, "members": {w.members, got.members},
		"guests": {w.guests, got.guests}, "invited": {w.invited, got.invited}, "domains": {w.hosts, got.hosts}} {
		if diff := gocmp.Diff(pair[0], pair[1]); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", name, diff)
		}
	}
	want := map[string]int{"users": len(w.users), "organizations": len(w.orgs), "organization_memberships": len(w.members),
		"organization_invitations": len(w.guests), "invitations": len(w.invited), "organization_domains": len(w.hosts),
		"organization_roles": 2, "organization_permissions": 8, "sessions": 0}
	if diff := gocmp.Diff(want, w.c.State().Resources); diff != "" {
		t.Fatalf("State (-want +got):\n%s", diff)
	}
}

// rows returns a resource in the order of creation.
func rows(t fatal, c *clerktest.Clerk, resource string) (out []listed) {
	for id, raw := range c.Objects(resource) {
		r := row(t, raw)
		if r.place = len(out); r.ID != id {
			t.Fatalf("%s yields %s with %s", resource, id, raw)
		}
		if len(out) > 0 && r.CreatedAt < out[len(out)-1].CreatedAt {
			t.Fatalf("%s: %s is out of order", resource, id)
		}
		out = append(out, r)
	}
	return out
}

// kept returns those rows that keep keeps.
func kept(all []listed, keep func(listed) bool) []listed {
	return slices.DeleteFunc(slices.Clone(all), func(r listed) bool { return !keep(r) })
}

// comparePage compares a random page of a listing with sorting and cutting.
func comparePage(t *rapid.T, c *clerktest.Clerk, path string, all []listed, q url.Values, orders order) {
	limit, offset := rapid.IntRange(1, 12).Draw(t, "limit"), rapid.IntRange(0, 20).Draw(t, "offset")
	order := rapid.SampledFrom(slices.Sorted(maps.Keys(orders))).Draw(t, "order")
	sign := rapid.SampledFrom([]string{"", "+", "-"}).Draw(t, "sign")
	q.Set("limit", strconv.Itoa(limit))
	q.Set("offset", strconv.Itoa(offset))
	q.Set("order_by", sign+order)
	all = slices.Clone(all)
	slices.SortStableFunc(all, orders[order])
	if sign == "-" {
		slices.Reverse(all)
	}
	want := []string{}
	for _, r := range all[min(offset, len(all)):min(offset+limit, len(all))] {
		want = append(want, r.ID)
	}
	status, raw := get(c, path+"?"+q.Encode())
	var page struct {
		Data  []listed
		Total int `json:"total_count"`
	}
	if status != http.StatusOK || json.Unmarshal(raw, &page) != nil {
		t.Fatalf("GET %s?%s: %d %s", path, q.Encode(), status, raw)
	}
	got := []string{}
	for _, r := range page.Data {
		got = append(got, r.ID)
	}
	if diff := gocmp.Diff(want, got); diff != "" || page.Total != len(all) {
		t.Fatalf("GET %s?%s: total %d, want %d (-want +got):\n%s", path, q.Encode(), page.Total, len(all), diff)
	}
}

func byName(a, b listed) int  { return cmp.Compare(a.Name, b.Name) }
func byEmail(a, b listed) int { return cmp.Compare(a.Email, b.Email) }
func byPlace(a, b listed) int { return cmp.Compare(a.place, b.place) }
func byFirstName(a, b listed) int {
	x, y := a.User.FirstName, b.User.FirstName
	if x == nil || y == nil {
		return cmp.Compare(btoi(x == nil), btoi(y == nil))
	}
	return cmp.Compare(*x, *y)
}

// A random history ends in the state that follows from it, and every listing
// tells it.
func TestRandomWorld(t *testing.T) {
	t.Parallel()
	epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		ticks, slow := epoch, rapid.Bool().Draw(t, "slow")
		c := instance(t, clerktest.Config{Users: rapid.IntRange(0, 12).Draw(t, "users"), Organizations: rapid.IntRange(0, 4).Draw(t, "organizations"),
			Members: rapid.IntRange(0, 6).Draw(t, "members"), Invitations: rapid.IntRange(0, 6).Draw(t, "invitations"), Epoch: epoch,
			Now: func() time.Time { ticks = ticks.Add(time.Duration(btoi(slow)) * time.Millisecond); return ticks }})
		w := newWorld(t, c)
		for range rapid.IntRange(0, 45).Draw(t, "steps") {
			w.step(t)
		}
		w.compareFacts(t)
		pages(t, w)
	})
}

// order is what rows are compared by.
type order = map[string]func(a, b listed) int

func pages(t *rapid.T, w *world) {
	c, created := w.c, order{"created_at": byPlace}
	members, guests, invited := rows(t, c, "organization_memberships"), rows(t, c, "organization_invitations"), rows(t, c, "invitations")
	organizations := rows(t, c, "organizations")
	for range 2 {
		user, org := some(t, w.users), some(t, w.orgs)
		size := func(a, b listed) int { return cmp.Compare(w.size(a.ID), w.size(b.ID)) }
		comparePage(t, c, "/v1/organizations", organizations, url.Values{}, order{"created_at": byPlace, "name": byName, "members_count": size})
		comparePage(t, c, "/v1/organizations", kept(organizations, func(r listed) bool { return w.members[[2]string{r.ID, user}] != "" }),
			url.Values{"user_id": {user}}, created)
		comparePage(t, c, "/v1/organization_memberships", members, url.Values{}, order{"created_at": byPlace, "first_name": byFirstName})
		status := rapid.SampledFrom([]string{"pending", "accepted", "revoked", "expired"}).Draw(t, "status")
		withStatus := func(r listed) bool { return r.Status == status }
		mailed := order{"created_at": byPlace, "email_address": byEmail}
		comparePage(t, c, "/v1/organization_invitations", kept(guests, withStatus), url.Values{"status": {status}}, mailed)
		comparePage(t, c, "/v1/invitations", kept(invited, withStatus), url.Values{"status": {status}, "paginated": {"true"}}, mailed)
		comparePage(t, c, "/v1/invitations", kept(invited, func(r listed) bool { return r.Status != "revoked" }), url.Values{"paginated": {"true"}}, mailed)
		if w.orgs[org] {
			path, inOrg := "/v1/organizations/"+org, func(r listed) bool { return r.Organization.ID == org }
			comparePage(t, c, path+"/memberships", kept(members, inOrg), url.Values{}, order{"created_at": byPlace, "first_name": byFirstName})
			comparePage(t, c, path+"/memberships", kept(members, func(r listed) bool { return inOrg(r) && r.User.UserID == user }), url.Values{"user_id": {user}}, created)
			comparePage(t, c, path+"/memberships", kept(members, func(r listed) bool { return inOrg(r) && r.Role == "org:admin" }), url.Values{"role": {"org:admin"}}, created)
			comparePage(t, c, path+"/invitations", kept(guests, func(r listed) bool { return r.OrganizationID == org }), url.Values{}, mailed)
		}
		if w.users[user] {
			comparePage(t, c, "/v1/users/"+user+"/organization_memberships", kept(members, func(r listed) bool { return r.User.UserID == user }), url.Values{}, created)
		}
	}
}

// size counts the members of an organization.
func (w *world) size(org string) (n int) {
	for pair := range w.members {
		n += btoi(pair[0] == org)
	}
	return n
}

// Many use organizations at once: the race detector watches, and the counts
// agree in the end.
func TestConcurrentOrganizations(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 20, Organizations: 4, Members: 5, Invitations: 8, Faults: clerktest.Faults{SilentCascade: 0.5, SkipRows: 0.1}})
	receive(t, c)
	users := someUsers(c)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			try := func(id string, err error) string {
				if err != nil {
					t.Error(err)
				}
				return id
			}
			for i := range 25 {
				org := try(c.CreateOrganization(clerktest.Fields{"name": "Acme", "created_by": users[worker]}))
				try(c.AddMember(org, users[10+i%5], "org:member"))
				try(c.SignIn(users[worker], clerktest.SessionOptions{OrganizationID: org}))
				invited := try(c.InviteToOrganization(org, clerktest.Fields{"email_address": fmt.Sprintf("%d.%d@example.com", worker, i), "role": "org:member"}))
				try(c.AcceptOrganizationInvitation(invited, ""))
				if i%2 == 0 {
					try("", c.DeleteOrganization(org))
				}
			}
		})
		all.Go(func() {
			for _, resource := range clerktest.Resources() {
				for id := range c.Objects(resource) {
					c.Object(resource, id)
				}
				get(c, "/v1/"+resource+"?limit=500")
				for range c.Sessions() {
				}
			}
		})
	}
	all.Wait()
	wait(t, c)
	want := map[string]int{"users": 120, "organizations": 4 + 4*12, "organization_memberships": 20 + 4*12*3, "organization_invitations": 8 + 4*12, "invitations": 8,
		"sessions": 100, "organization_domains": 0, "organization_roles": 2, "organization_permissions": 8}
	if diff := gocmp.Diff(want, c.State().Resources); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
}
