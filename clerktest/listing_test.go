package clerktest_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/clerksync/clerksync/clerktest"
)

// person is a user as the test's own, naive listing sees it.
type person struct {
	ID           string  `json:"id"`
	CreatedAt    int64   `json:"created_at"`
	UpdatedAt    int64   `json:"updated_at"`
	FirstName    *string `json:"first_name"`
	LastSignInAt *int64  `json:"last_sign_in_at"`
	Banned       bool    `json:"banned"`
	created      int     // place in the order of creation
}

func people(t fatal, c *clerktest.Clerk) []person {
	var out []person
	for id, raw := range c.Users() {
		p := person{created: len(out)}
		if err := json.Unmarshal(raw, &p); err != nil || p.ID != id {
			t.Fatalf("%v in %s", err, raw)
		}
		if len(out) > 0 && p.CreatedAt < out[len(out)-1].CreatedAt {
			t.Fatalf("%s is out of order", id)
		}
		out = append(out, p)
	}
	if len(out) != c.Count() {
		t.Fatalf("Users yields %d users, Count says %d", len(out), c.Count())
	}
	return out
}

// disturb makes a random history: users of the past, of the present, of the
// same instant, changed, moved and deleted ones.
func disturb(t *rapid.T, c *clerktest.Clerk, epoch time.Time) {
	ids := []string{}
	for id := range c.Users() {
		ids = append(ids, id)
	}
	for range rapid.IntRange(0, 40).Draw(t, "writes") {
		some := func() string { return rapid.SampledFrom(ids).Draw(t, "user") }
		past := func() any {
			if len(ids) > 0 && rapid.Bool().Draw(t, "tie") {
				var p person
				check(t, json.Unmarshal(c.User(some()), &p))
				return time.UnixMilli(p.CreatedAt)
			}
			return epoch.Add(-time.Duration(rapid.Int64Range(0, int64(1000*24*time.Hour)).Draw(t, "ago")))
		}
		switch kind := rapid.IntRange(0, 4).Draw(t, "kind"); {
		case kind == 0 || len(ids) == 0:
			ids = append(ids, create(t, c, clerktest.Fields{"first_name": rapid.StringN(0, 3, 9).Draw(t, "name")}))
		case kind == 1:
			ids = append(ids, create(t, c, clerktest.Fields{"created_at": past()}))
		case kind == 2:
			check(t, c.UpdateUser(some(), clerktest.Fields{"first_name": "changed"}))
		case kind == 3:
			check(t, c.UpdateUser(some(), clerktest.Fields{"created_at": past()}))
		default:
			id := some()
			check(t, c.DeleteUser(id))
			ids = slices.DeleteFunc(ids, func(other string) bool { return other == id })
		}
	}
}

func check(t fatal, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// expected is the naive listing: filter, sort, cut.
func expected(all []person, q url.Values) []string {
	number := func(name string, ifNone int64) int64 {
		if n, err := strconv.ParseInt(q.Get(name), 10, 64); err == nil {
			return n
		}
		return ifNone
	}
	list := slices.DeleteFunc(slices.Clone(all), func(p person) bool {
		return p.CreatedAt <= number("created_at_after", -1) || p.CreatedAt >= number("created_at_before", 1<<60) ||
			q.Get("banned") != "" && strconv.FormatBool(p.Banned) != q.Get("banned") ||
			q.Has("user_id") && !slices.Contains(q["user_id"], p.ID)
	})
	order := strings.TrimLeft(q.Get("order_by"), "+-")
	slices.SortFunc(list, func(a, b person) int {
		switch order {
		case "updated_at":
			return cmp.Or(cmp.Compare(a.UpdatedAt, b.UpdatedAt), 0)
		case "first_name":
			if a.FirstName != nil && b.FirstName != nil {
				return cmp.Or(cmp.Compare(*a.FirstName, *b.FirstName), cmp.Compare(a.created, b.created))
			}
			return cmp.Or(cmp.Compare(btoi(a.FirstName == nil), btoi(b.FirstName == nil)), cmp.Compare(a.created, b.created))
		}
		return cmp.Compare(a.created, b.created)
	})
	if q.Get("order_by")[0] == '-' {
		slices.Reverse(list)
	}
	if after := q.Get("starting_after"); after != "" {
		at := slices.IndexFunc(all, func(p person) bool { return p.ID == after })
		list = slices.DeleteFunc(list, func(p person) bool {
			if q.Get("order_by")[0] == '-' {
				return p.created >= at
			}
			return p.created <= at
		})
	}
	offset := min(int(number("offset", 0)), len(list))
	list = list[offset:min(offset+int(number("limit", 10)), len(list))]
	ids := []string{}
	for _, p := range list {
		ids = append(ids, p.ID)
	}
	return ids
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestListingEqualsNaiveListing(t *testing.T) {
	t.Parallel()
	epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		ticks := epoch
		c := instance(t, clerktest.Config{Users: rapid.IntRange(0, 60).Draw(t, "users"), Seed: rapid.Uint64().Draw(t, "seed"), Epoch: epoch,
			Now: func() time.Time { ticks = ticks.Add(time.Millisecond); return ticks }})
		disturb(t, c, epoch)
		all := people(t, c)
		for range 8 {
			q := url.Values{"limit": {strconv.Itoa(rapid.IntRange(1, 30).Draw(t, "limit"))}}
			q.Set("order_by", rapid.SampledFrom([]string{"+created_at", "-created_at", "+updated_at", "-updated_at", "+first_name", "-first_name"}).Draw(t, "order"))
			if len(all) > 0 {
				any := func() person { return rapid.SampledFrom(all).Draw(t, "any") }
				optional := func(name string, value func() string) {
					if rapid.IntRange(0, 3).Draw(t, name) == 0 {
						q.Add(name, value())
					}
				}
				optional("created_at_after", func() string { return fmt.Sprint(any().CreatedAt + int64(rapid.IntRange(-1, 1).Draw(t, "d"))) })
				optional("created_at_before", func() string { return fmt.Sprint(any().CreatedAt + int64(rapid.IntRange(-1, 1).Draw(t, "d"))) })
				optional("banned", func() string { return fmt.Sprint(rapid.Bool().Draw(t, "banned")) })
				for range rapid.SampledFrom([]int{0, 0, 0, 5}).Draw(t, "ids") {
					q.Add("user_id", any().ID)
				}
				if strings.HasSuffix(q.Get("order_by"), "created_at") && rapid.Bool().Draw(t, "cursor") {
					q.Set("starting_after", any().ID)
				} else {
					optional("offset", func() string { return strconv.Itoa(rapid.IntRange(0, 70).Draw(t, "offset")) })
				}
			}
			compare(t, c, all, q)
		}
	})
}

func compare(t *rapid.T, c *clerktest.Clerk, all []person, q url.Values) {
	want, got := expected(all, q), list(t, c, q.Encode())
	if strings.HasSuffix(q.Get("order_by"), "updated_at") {
		want, got = sameInstant(all, want), sameInstant(all, got)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("%v (-want +got):\n%s", q, diff)
	}
	q.Set("limit", "500")
	q.Del("offset")
	q.Del("starting_after")
	_, raw := get(c, "/v1/users/count?"+q.Encode())
	if want := fmt.Sprintf(`{"object":"total_count","total_count":%d}`, len(expected(all, q))); string(raw) != want {
		t.Fatalf("%v: got the count %s, want %s", q, raw, want)
	}
}

// sameInstant replaces ids by updated_at: among users of the same instant the
// order is open.
func sameInstant(all []person, ids []string) []string {
	var out []string
	for _, id := range ids {
		at := slices.IndexFunc(all, func(p person) bool { return p.ID == id })
		out = append(out, fmt.Sprint(all[at].UpdatedAt))
	}
	return out
}

func TestCursorWalkMeetsEveryUserOnce(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 500, Seed: 3})
	create(t, c, clerktest.Fields{})
	for _, order := range []string{"%2Bcreated_at", "+created_at", "created_at", "-created_at", ""} {
		seen := map[string]bool{}
		for last := ""; ; {
			query := "limit=7"
			if order != "" {
				query += "&order_by=" + order
			}
			if last != "" {
				query += "&starting_after=" + last
			}
			page := list(t, c, query)
			for _, id := range page {
				if seen[id] {
					t.Fatalf("order %q tells %s twice", order, id)
				}
				seen[id] = true
			}
			if len(page) < 7 {
				break
			}
			last = page[len(page)-1]
		}
		if len(seen) != 501 {
			t.Errorf("order %q: saw %d users, want 501", order, len(seen))
		}
	}
}

func TestUnusualQueries(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 20})
	deleted := create(t, c, clerktest.Fields{})
	check(t, c.DeleteUser(deleted))
	some := list(t, c, "limit=1")[0]
	many := strings.Repeat("&user_id=user_x", 101)
	for query, want := range map[string]string{
		"":                                     "",
		"limit=500":                            "",
		"limit=501":                            "form_param_value_invalid",
		"limit=0":                              "form_param_value_invalid",
		"limit=ten":                            "form_param_type_invalid",
		"offset=-1":                            "form_param_value_invalid",
		"offset=1000000":                       "",
		"order_by=age":                         "form_param_value_invalid",
		"order_by=-":                           "form_param_value_invalid",
		"order_by=last_name&order_by=age":      "",
		"starting_after=" + some:               "",
		"starting_after=" + some + "&offset=0": "",
		"starting_after=" + some + "&offset=1": "form_conditional_param_disallowed",
		"starting_after=" + some + "&order_by=updated_at":     "form_conditional_param_disallowed",
		"starting_after=" + deleted:                           "form_resource_not_found",
		"starting_after=user_nobody":                          "form_resource_not_found",
		many[1:]:                                              "form_param_duplicate",
		strings.Replace(many, "user_x", some, 1)[1:]:          "form_param_duplicate",
		"banned=maybe":                                        "form_param_type_invalid",
		"created_at_after=yesterday":                          "form_param_type_invalid",
		"provider=oauth_google":                               "form_param_missing",
		"unknown=1":                                           "",
		"created_at_after=9000000000000&created_at_before=-1": "",
	} {
		status, raw := get(c, "/v1/users?"+query)
		var failure struct{ Errors []struct{ Code string } }
		_ = json.Unmarshal(raw, &failure) // a page has no errors
		switch {
		case want == "" && status != http.StatusOK:
			t.Errorf("%.60s: got %d %s", query, status, raw)
		case want != "" && (status != http.StatusUnprocessableEntity || len(failure.Errors) != 1 || failure.Errors[0].Code != want):
			t.Errorf("%.60s: got %d %s, want 422 %s", query, status, raw, want)
		}
	}
}

func TestSelection(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 3000})
	ada := create(t, c, clerktest.Fields{"first_name": "Ada", "last_name": "Zuse", "username": "ada-zuse", "external_id": "ext_ada",
		"email_address": []string{"ada@z.example", "second@z.example"}, "phone_number": []string{"+888777000111"}, "web3_wallet": []string{"0xabc"}})
	bob := create(t, c, clerktest.Fields{"first_name": "Bob", "external_id": "-odd"})
	check(t, c.BanUser(bob))
	for query, want := range map[string][]string{
		"user_id=" + ada + "&user_id=user_gone&user_id=" + bob: {bob, ada},
		"external_id=ext_ada":                                            {ada},
		"external_id=%2Bext_ada":                                         {ada},
		"email_address=SECOND@z.example":                                 {ada},
		"email_address=ada@z.example&username=nobody":                    {},
		"email_address=ada@z.example&username=ada-zuse":                  {ada},
		"phone_number=%2B888777000111":                                   {ada},
		"phone_number=+888777000111":                                     {ada},
		"web3_wallet=0xabc":                                              {ada},
		"name_query=ada%20zuse":                                          {ada},
		"query=D@Z.EXAM":                                                 {ada},
		"email_address_query=second@z":                                   {ada},
		"phone_number_query=777000111":                                   {ada},
		"username_query=DA-ZU":                                           {ada},
		"user_id=" + ada + "&user_id=-" + ada:                            {},
		"user_id=" + bob + "&banned=true":                                {bob},
		"user_id=" + ada + "&user_id=" + bob + "&organization_id=org_1":  {},
		"user_id=" + ada + "&user_id=" + bob + "&organization_id=-org_1": {bob, ada},
		"user_id=" + ada + "&user_id=" + bob + "&order_by=first_name":    {ada, bob},
	} {
		if diff := gocmp.Diff(want, list(t, c, query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

// Every identifier of a generated user leads back to him, although nothing of
// him is in memory.
func TestGeneratedUsersAreFoundByEverything(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 400, Seed: 11})
	var lookups int
	for id, raw := range c.Users() {
		var u struct {
			ExternalID *string          `json:"external_id"`
			Username   *string          `json:"username"`
			Emails     []map[string]any `json:"email_addresses"`
			Phones     []map[string]any `json:"phone_numbers"`
			Wallets    []map[string]any `json:"web3_wallets"`
		}
		if err := json.Unmarshal(raw, &u); err != nil {
			t.Fatal(err)
		}
		q := url.Values{"user_id": {id}}
		for _, group := range []struct {
			name string
			list []map[string]any
		}{{"email_address", u.Emails}, {"phone_number", u.Phones}, {"web3_wallet", u.Wallets}} {
			for _, item := range group.list {
				q.Add(group.name, item[group.name].(string))
			}
		}
		if u.ExternalID != nil {
			q.Add("external_id", *u.ExternalID)
		}
		if u.Username != nil {
			q.Add("username", *u.Username)
		}
		for name, values := range q {
			for _, value := range values {
				lookups++
				if diff := gocmp.Diff([]string{id}, list(t, c, url.Values{name: {value}}.Encode())); diff != "" {
					t.Errorf("%s=%s (-want +got):\n%s", name, value, diff)
				}
			}
		}
	}
	if lookups < 1000 {
		t.Errorf("only %d lookups: the users are too plain", lookups)
	}
}
