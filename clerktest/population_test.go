package clerktest_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
)

// Generated users are as uneven as people: each of these occurs.
func TestPopulationIsUneven(t *testing.T) {
	t.Parallel()
	epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := instance(t, clerktest.Config{Users: 1000, Epoch: epoch})
	found := map[string]int{}
	id := regexp.MustCompile(`^user_[0-9A-Za-z]{27}$`)
	var before int64
	for _, raw := range c.Users() {
		var u struct {
			ID           string
			FirstName    *string `json:"first_name"`
			LastName     *string `json:"last_name"`
			PrimaryEmail *string `json:"primary_email_address_id"`
			Emails       []struct {
				ID           string
				Verification struct{ Status string }
			} `json:"email_addresses"`
			Phones     []any          `json:"phone_numbers"`
			Wallets    []any          `json:"web3_wallets"`
			Accounts   []any          `json:"external_accounts"`
			Public     map[string]any `json:"public_metadata"`
			Unsafe     map[string]any `json:"unsafe_metadata"`
			Private    map[string]any `json:"private_metadata"`
			Banned     bool
			Locked     bool
			ExternalID *string `json:"external_id"`
			LastSignIn *int64  `json:"last_sign_in_at"`
			CreatedAt  int64   `json:"created_at"`
		}
		if err := json.Unmarshal(raw, &u); err != nil {
			t.Fatal(err)
		}
		if !id.MatchString(u.ID) {
			t.Fatalf("%s does not look like an id of Clerk", u.ID)
		}
		if age := epoch.Sub(time.UnixMilli(u.CreatedAt)); age < 0 || age > 3*366*24*time.Hour {
			t.Errorf("%s signed up %v before the epoch", u.ID, age)
		}
		for name, is := range map[string]bool{
			"nameless": u.FirstName == nil && u.LastName == nil, "mononymous": u.FirstName != nil && u.LastName == nil,
			"other script": u.FirstName != nil && regexp.MustCompile(`[^\x00-\x{024f}]`).MatchString(*u.FirstName),
			"no e-mail":    len(u.Emails) == 0 && u.PrimaryEmail == nil,
			"primary last": len(u.Emails) > 1 && *u.PrimaryEmail != u.Emails[0].ID,
			"unverified":   len(u.Emails) > 1 && u.Emails[1].Verification.Status == "unverified",
			"phone":        len(u.Phones) > 0, "wallet": len(u.Wallets) > 0, "google": len(u.Accounts) > 0,
			"public": len(u.Public) > 0, "unsafe": len(u.Unsafe) > 0, "private": len(u.Private) > 0,
			"banned": u.Banned, "locked": u.Locked, "external id": u.ExternalID != nil, "never signed in": u.LastSignIn == nil,
			"same millisecond": u.CreatedAt == before,
		} {
			if found[name] += 0; is {
				found[name]++
			}
		}
		before = u.CreatedAt
	}
	for name, n := range found {
		if n < 3 || n > 700 {
			t.Errorf("%s: %d of 1000 users", name, n)
		}
	}
}

// The same seed and day give the same users; another seed gives others.
func TestPopulationIsSeeded(t *testing.T) {
	t.Parallel()
	users := func(seed uint64) map[string]string {
		c := instance(t, clerktest.Config{Users: 50, Seed: seed, Epoch: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
		out := map[string]string{"key": c.SecretKey(), "secret": c.WebhookSecret(), "instance": c.InstanceID()}
		for id, raw := range c.Users() {
			out[id] = string(raw)
		}
		return out
	}
	first, again, other := users(1), users(1), users(2)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same seed differs (-first +again):\n%s", diff)
	}
	for id := range first {
		if first[id] == other[id] {
			t.Errorf("seeds 1 and 2 share %s", id)
		}
	}
}

// Ten million users cost no memory, and no page of them is far away.
func TestTenMillionUsers(t *testing.T) {
	t.Parallel()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	c := instance(t, clerktest.Config{Users: 10_000_000})
	if n := c.Count(); n != 10_000_000 {
		t.Fatalf("got %d users", n)
	}
	last := list(t, c, "limit=1&offset=9999999")[0]
	if page := list(t, c, "limit=5&starting_after="+last); len(page) != 0 {
		t.Errorf("after the last user come %v", page)
	}
	middle := list(t, c, "limit=1&order_by=created_at&offset=5000000")[0]
	check(t, c.DeleteUser(middle))
	check(t, c.UpdateUser(last, clerktest.Fields{"first_name": "Ada"}))
	if got := list(t, c, "limit=1&order_by=-updated_at"); got[0] != last {
		t.Errorf("got %s as the last changed user, want %s", got[0], last)
	}
	if status, _ := get(c, "/v1/users/"+middle); status != http.StatusNotFound {
		t.Errorf("got %d for a deleted user", status)
	}
	if status, raw := get(c, "/v1/users?order_by=last_name"); status != http.StatusUnprocessableEntity {
		t.Errorf("sorting ten million users by name got %d %.200s", status, raw)
	}
	if _, raw := get(c, "/v1/users/count"); string(raw) != `{"object":"total_count","total_count":9999999}` {
		t.Errorf("got %s", raw)
	}
	// Other tests run beside this one; ten million pointers alone would be 80 MB.
	if after := heap(); after > before+60<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
}
