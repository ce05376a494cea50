package clerktest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
)

// pageOf returns ids and total of a listing.
func pageOf(t fatal, c *clerktest.Clerk, path string) (ids []string, total int) {
	t.Helper()
	status, raw := get(c, path)
	var page struct {
		Data  []listed
		Total int `json:"total_count"`
	}
	if status != http.StatusOK || json.Unmarshal(raw, &page) != nil {
		t.Fatalf("GET %s: %d %s", path, status, raw)
	}
	for _, r := range page.Data {
		ids = append(ids, r.ID)
	}
	return ids, page.Total
}

func TestHostileOrganizationListings(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 60, Organizations: 60, Members: 2, Invitations: 60})
	for path, size := range map[string]int{"/v1/organizations?limit=50": 60, "/v1/organization_memberships?limit=50": 120,
		"/v1/organization_invitations?limit=50": 60, "/v1/invitations?paginated=true&limit=50": 45} {
		check(t, c.SetFaults(clerktest.Faults{}))
		honest, total := pageOf(t, c, path)
		if len(honest) != min(50, size) || total != size {
			t.Fatalf("%s: got %d of %d rows, want %d", path, len(honest), total, size)
		}
		for name, try := range map[string]struct {
			faults clerktest.Faults
			ok     func(ids []string, total int) bool
		}{
			"empty":    {clerktest.Faults{Empty: true}, func(ids []string, total int) bool { return len(ids) == 0 && total == size }},
			"truncate": {clerktest.Faults{Truncate: 1}, func(ids []string, _ int) bool { return slices.Equal(ids, honest[:len(honest)/2]) }},
			"count":    {clerktest.Faults{CountDelta: -7}, func(ids []string, total int) bool { return slices.Equal(ids, honest) && total == size-7 }},
			"negative": {clerktest.Faults{CountDelta: -1000}, func(_ []string, total int) bool { return total == 0 }},
			"repeat": {clerktest.Faults{Repeat: 1}, func(ids []string, _ int) bool {
				return len(ids) == len(honest) && ids[len(ids)/2] == ids[len(ids)/2-1]
			}},
			"skip": {clerktest.Faults{SkipRows: 0.5}, func(ids []string, _ int) bool {
				return len(ids) > 0 && len(ids) <= 50 && !slices.Equal(ids, honest) && len(slices.Compact(slices.Sorted(slices.Values(ids)))) == len(ids)
			}},
		} {
			check(t, c.SetFaults(try.faults))
			if ids, total := pageOf(t, c, path); !try.ok(ids, total) {
				t.Errorf("%s, %s: got %d rows, total %d", path, name, len(ids), total)
			}
		}
	}
}

// A lagging replica does not know what is young.
func TestLagOfOrganizations(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := instance(t, clerktest.Config{Users: 1, Now: func() time.Time { return now }, Faults: clerktest.Faults{Lag: time.Second}})
	org := text(t)(c.CreateOrganization(clerktest.Fields{"name": "Acme", "created_by": someUsers(c)[0]}))
	text(t)(c.InviteToOrganization(org, clerktest.Fields{"email_address": "x@example.com", "role": "org:member"}))
	text(t)(c.Invite(clerktest.Fields{"email_address": "x@example.com"}))
	for _, want := range []int{0, 1} {
		for _, path := range []string{"organizations", "organization_memberships", "organization_invitations", "invitations?paginated=true"} {
			if ids, total := pageOf(t, c, "/v1/"+path); len(ids) != want || total != want {
				t.Errorf("%s: got %d of %d rows, want %d", path, len(ids), total, want)
			}
		}
		if status, _ := get(c, "/v1/organizations/"+org); (status == http.StatusOK) != (want == 1) {
			t.Errorf("got %d for the organization", status)
		}
		now = now.Add(time.Second)
	}
}

// ask sends a request with a JSON body and returns status and code.
func ask(c *clerktest.Clerk, method, path, body string) (int, string) {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+c.SecretKey())
	request.Header.Set("Clerk-API-Version", "2026-05-12")
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer := httptest.NewRecorder()
	c.ServeHTTP(answer, request)
	var failure struct {
		Errors []struct{ Code string }
	}
	_ = json.Unmarshal(answer.Body.Bytes(), &failure) // an array is no failure
	if len(failure.Errors) == 0 {
		return answer.Code, ""
	}
	return answer.Code, failure.Errors[0].Code
}

// What is refused changes nothing and announces nothing.
func TestOrganizationRefusals(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 3, Invitations: 4})
	r := receive(t, c)
	ids := someUsers(c)
	org := text(t)(c.CreateOrganization(clerktest.Fields{"name": "Acme", "slug": "acme", "created_by": ids[0], "max_allowed_memberships": 1}))
	other := text(t)(c.CreateOrganization(clerktest.Fields{"name": "Other"}))
	text(t)(c.CreateDomain(org, clerktest.Fields{"name": "acme.com"}))
	wait(t, c)
	before, events := snapshot(c), len(r.all())
	for _, try := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/v1/organizations", `{}`, 422, "form_param_missing"},
		{"POST", "/v1/organizations", `{"name":7}`, 422, "form_param_type_invalid"},
		{"POST", "/v1/organizations", `{"name":"x","slug":"Not A Slug"}`, 422, "form_param_format_invalid"},
		{"POST", "/v1/organizations", `{"name":"x","slug":"acme"}`, 422, "form_identifier_exists"},
		{"POST", "/v1/organizations", `{"name":"x","created_by":"user_none"}`, 400, "organization_creator_not_found"},
		{"POST", "/v1/organizations", `{"name":"x","public_metadata":[1]}`, 422, "form_param_value_invalid"},
		{"POST", "/v1/organizations", `{"name":"x","updated_at":1}`, 422, "form_param_unknown"},
		{"POST", "/v1/organizations", `{"name":"` + strings.Repeat("x", 257) + `"}`, 422, "form_param_max_length_exceeded"},
		{"PATCH", "/v1/organizations/" + org, `{"public_metadata":{}}`, 422, "form_param_unknown"},
		{"PATCH", "/v1/organizations/" + org, `{"slug":"other"}`, 422, "form_identifier_exists"},
		{"PATCH", "/v1/organizations/org_none", `{"name":"x"}`, 404, "resource_not_found"},
		{"DELETE", "/v1/organizations/org_none", "", 404, "resource_not_found"},
		{"POST", "/v1/organizations/" + org + "/memberships", `{"user_id":"` + ids[0] + `","role":"org:member"}`, 400, "already_a_member_in_organization"},
		{"POST", "/v1/organizations/" + org + "/memberships", `{"user_id":"` + ids[1] + `","role":"org:member"}`, 403, "organization_membership_quota_exceeded"},
		{"POST", "/v1/organizations/" + other + "/memberships", `{"user_id":"` + ids[1] + `","role":"org:king"}`, 404, "resource_not_found"},
		{"POST", "/v1/organizations/" + other + "/memberships", `{"user_id":"user_none","role":"org:member"}`, 404, "resource_not_found"},
		{"POST", "/v1/organizations/" + other + "/memberships", `{"role":"org:member"}`, 422, "form_param_missing"},
		{"PATCH", "/v1/organizations/" + org + "/memberships/" + ids[2], `{"role":"org:admin"}`, 404, "resource_not_found"},
		{"PATCH", "/v1/organizations/" + org + "/memberships/" + ids[0], `{}`, 422, "form_param_missing"},
		{"DELETE", "/v1/organizations/" + other + "/memberships/" + ids[0], "", 404, "resource_not_found"},
		{"POST", "/v1/organizations/" + org + "/invitations", `{"email_address":"x@example.com","role":"org:member"}`, 403, "organization_membership_quota_exceeded"},
		{"POST", "/v1/organizations/" + other + "/invitations", `{"email_address":"x","role":"org:member"}`, 422, "form_param_format_invalid"},
		{"POST", "/v1/organizations/" + other + "/invitations", `{"email_address":"x@example.com","role":"org:member","expires_in_days":366}`, 422, "form_param_value_invalid"},
		{"POST", "/v1/organizations/" + other + "/invitations", `{"email_address":"x@example.com","role":"org:member","inviter_user_id":"` + ids[0] + `"}`, 403, "not_a_member_in_organization"},
		{"POST", "/v1/organizations/" + other + "/invitations/orginv_none/revoke", "", 404, "resource_not_found"},
		{"POST", "/v1/organizations/" + other + "/domains", `{"name":"acme.com"}`, 422, "organization_domain_already_exists"},
		{"POST", "/v1/organizations/" + other + "/domains", `{"name":"b.com","enrollment_mode":"magic"}`, 422, "form_param_value_invalid"},
		{"POST", "/v1/invitations", `{}`, 422, "form_param_missing"},
		{"POST", "/v1/invitations/bulk", `{}`, 400, "request_body_invalid"},
		{"POST", "/v1/invitations/inv_none/revoke", "", 404, "resource_not_found"},
		{"POST", "/v1/organization_roles", `{"name":"x","key":"king"}`, 422, "form_param_format_invalid"},
		{"POST", "/v1/organization_roles", `{"name":"x","key":"org:admin"}`, 422, "form_identifier_exists"},
		{"POST", "/v1/organization_permissions", `{"name":"x","key":"org:sys_x:read"}`, 422, "form_param_format_invalid"},
		{"GET", "/v1/organizations?limit=501", "", 422, "form_param_value_invalid"},
		{"GET", "/v1/organizations?order_by=age", "", 422, "form_param_value_invalid"},
		{"GET", "/v1/organizations?" + strings.Repeat("&user_id=u", 101), "", 422, "form_param_duplicate"},
		{"GET", "/v1/organization_memberships?order_by=updated_at", "", 422, "form_param_value_invalid"},
		{"GET", "/v1/organization_invitations?status=lost", "", 422, "form_param_value_invalid"},
		{"GET", "/v1/organizations/org_none/memberships", "", 404, "resource_not_found"},
		{"GET", "/v1/organizations/" + org + "/memberships?user_id=user_none", "", 200, ""},
		{"GET", "/v1/users/user_none/organization_memberships", "", 404, "resource_not_found"},
	} {
		if status, code := ask(c, try.method, try.path, try.body); status != try.status || code != try.code {
			t.Errorf("%s %.60s %.80s: got %d %s, want %d %s", try.method, try.path, try.body, status, code, try.status, try.code)
		}
	}
	if diff := cmp.Diff(before, snapshot(c)); diff != "" {
		t.Errorf("what was refused changed (-before +after):\n%s", diff)
	}
	if wait(t, c); len(r.all()) != events {
		t.Errorf("what was refused sent %d events", len(r.all())-events)
	}
}

// snapshot returns everything an instance tells.
func snapshot(c *clerktest.Clerk) map[string]string {
	out := map[string]string{}
	for _, resource := range clerktest.Resources() {
		for id, raw := range c.Objects(resource) {
			out[id] = string(raw)
		}
	}
	return out
}

// Object and Objects tell what the listings tell.
func TestObjectsEqualListings(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 30, Organizations: 5, Members: 9, Invitations: 8})
	var org string
	for org = range c.Objects("organizations") {
		text(t)(c.CreateDomain(org, clerktest.Fields{"name": org + ".example"}))
	}
	for _, resource := range clerktest.Resources() {
		if resource == "sessions" {
			continue // has no instance-wide listing
		}
		path := "/v1/" + resource + "?limit=500&order_by=created_at"
		if resource == "invitations" {
			path += "&status=pending&status=accepted&status=revoked&status=expired"
		}
		_, raw := get(c, path)
		var page struct{ Data []json.RawMessage }
		if raw[0] == '[' {
			check(t, json.Unmarshal(raw, &page.Data))
		} else {
			check(t, json.Unmarshal(raw, &page))
		}
		var want, got []string
		for _, one := range page.Data {
			want = append(want, string(one))
		}
		for id, one := range c.Objects(resource) {
			if got = append(got, string(one)); string(c.Object(resource, id)) != string(one) {
				t.Errorf("%s: Object tells %s, Objects %s", id, c.Object(resource, id), one)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
			t.Errorf("%s (-listing +Objects):\n%s", resource, diff)
		}
		if c.Object(resource, "none") != nil {
			t.Errorf("%s has an object without id", resource)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("an unknown resource does not panic")
		}
	}()
	c.Objects("pets")
}

// A hundred thousand memberships are there at once, and no page of them is far
// away.
func TestHundredThousandMemberships(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 20_000, Organizations: 500, Members: 200})
	seen := map[string]bool{}
	for offset := 0; ; offset += 500 {
		ids, total := pageOf(t, c, "/v1/organization_memberships?limit=500&order_by=created_at&offset="+strconv.Itoa(offset))
		if total != 100_000 {
			t.Fatalf("got a total of %d", total)
		}
		for _, id := range ids {
			seen[id] = true
		}
		if offset += 24_500; len(ids) < 500 { // every fiftieth page
			break
		}
	}
	if len(seen) != 2000 {
		t.Errorf("saw %d memberships, want 2000", len(seen))
	}
	var org string
	for org = range c.Objects("organizations") {
		break
	}
	check(t, c.DeleteOrganization(org))
	if n := c.State().Resources["organization_memberships"]; n != 99_800 {
		t.Errorf("%d memberships are left", n)
	}
	first, again := instance(t, clerktest.Config{Users: 9, Organizations: 3, Members: 3, Invitations: 3, Seed: 4, Epoch: time.Unix(1.7e9, 0)}),
		instance(t, clerktest.Config{Users: 9, Organizations: 3, Members: 3, Invitations: 3, Seed: 4, Epoch: time.Unix(1.7e9, 0)})
	if diff := cmp.Diff(snapshot(first), snapshot(again)); diff != "" {
		t.Errorf("the same seed differs (-first +again):\n%s", diff)
	}
}
