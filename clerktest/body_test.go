package clerktest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
)

// send makes a write as an SDK of the given API version does.
func send(c *clerktest.Clerk, method, path, version, contentType, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+c.SecretKey())
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Clerk-API-Version", version)
	answer := httptest.NewRecorder()
	c.ServeHTTP(answer, request)
	return answer
}

func TestBodies(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{})
	id := create(t, c, clerktest.Fields{"email_address": []string{"a@example.com"}})
	const plain, current, old = "application/json; charset=utf-8", "2026-05-12", "2025-11-10"
	for _, try := range []struct {
		method, path, version, contentType, body, want string
	}{
		{"POST", "/v1/users", current, "text/plain", `{}`, "415 unsupported_content_type"},
		{"POST", "/v1/users", current, plain, `{`, "400 request_body_invalid"},
		{"POST", "/v1/users", current, plain, `[]`, "400 request_body_invalid"},
		{"POST", "/v1/users", current, plain, `{"name":"x"}`, "422 form_param_unknown"},
		{"POST", "/v1/users", current, plain, `{"deprovisioned":true}`, "422 form_param_unknown"},
		{"POST", "/v1/users", current, plain, `{"first_name":1}`, "422 form_param_type_invalid"},
		{"POST", "/v1/users", current, plain, `{"password":"short"}`, "422 form_password_length_too_short"},
		{"POST", "/v1/users", current, plain, `{"created_at":"yesterday"}`, "422 form_param_invalid_time"},
		{"POST", "/v1/users", current, plain, `{"phone_number":["12"]}`, "422 form_param_format_invalid"},
		{"POST", "/v1/users", current, plain, `{"banned":true,"locked":true,"totp_secret":"x","backup_codes":["y"]}`, "200 "},
		{"PATCH", "/v1/users/" + id, current, plain, `{"public_metadata":{}}`, "422 form_param_unknown"},
		{"PATCH", "/v1/users/" + id, old, plain, `{"public_metadata":{"a":1}}`, "200 "},
		{"PATCH", "/v1/users/" + id, current, plain, `{"primary_email_address_id":"idn_other"}`, "422 form_resource_not_found"},
		{"PATCH", "/v1/users/" + id, current, plain, `{"email_address":["b@example.com"]}`, "422 form_param_unknown"},
		{"PATCH", "/v1/users/" + id + "/metadata", current, plain, `{"first_name":"x"}`, "422 form_param_unknown"},
		{"PATCH", "/v1/users/" + id + "/metadata", current, plain, `{"public_metadata":1}`, "422 form_param_value_invalid"},
		{"POST", "/v1/users/" + id + "/ban", current, plain, "null", "200 "},
		{"DELETE", "/v1/users/user_none", current, plain, "", "404 resource_not_found"},
		{"POST", "/v1/sessions", current, plain, `{}`, "422 form_param_missing"},
		{"POST", "/v1/sessions", current, plain, `{"user_id":1}`, "422 form_param_type_invalid"},
		{"POST", "/v1/sessions", current, plain, `{"user_id":"user_none"}`, "404 resource_not_found"},
		{"POST", "/v1/sessions/sess_none/revoke", current, plain, ``, "404 resource_not_found"},
		{"GET", "/v1/sessions", current, plain, ``, "422 form_param_missing"},
	} {
		answer := send(c, try.method, try.path, try.version, try.contentType, try.body)
		var failure struct{ Errors []struct{ Code string } }
		_ = json.Unmarshal(answer.Body.Bytes(), &failure) // a user has no errors
		got := fmt.Sprint(answer.Code, " ")
		for _, e := range failure.Errors {
			got += e.Code
		}
		if got != try.want {
			t.Errorf("%s %s %s: got %s, want %s", try.method, try.path, try.body, got, try.want)
		}
	}
}

// What was refused left no trace.
func TestRefusedWriteChangesNothing(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{})
	receive(t, c)
	id := create(t, c, clerktest.Fields{"first_name": "Ada"})
	before := c.User(id)
	if c.UpdateUser(id, clerktest.Fields{"first_name": "Bob", "username": 7}) == nil {
		t.Error("a number was accepted as a username")
	}
	if !bytes.Equal(before, c.User(id)) || c.State().Events.Sent != 1 {
		t.Errorf("the refused update left %s and %d events", c.User(id), c.State().Events.Sent)
	}
	if c.UnlockUser("user_none") == nil || c.UpdateUser(id, clerktest.Fields{"first_name": make(chan int)}) == nil {
		t.Error("an impossible write succeeded")
	}
}

// Orders and windows over values that may be missing.
func TestOrdersAndWindows(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{})
	one := create(t, c, clerktest.Fields{"last_name": "B", "username": "x", "email_address": []string{"b@x.example"}, "last_sign_in_at": 1000, "last_active_at": 5000})
	two := create(t, c, clerktest.Fields{"last_name": "A", "username": "y", "phone_number": []string{"+8881234567"}, "last_sign_in_at": 2000})
	bare := create(t, c, clerktest.Fields{"web3_wallet": []string{"0x1"}, "last_active_at": 4000})
	for query, want := range map[string][]string{
		"order_by=last_name":             {two, one, bare},
		"order_by=-last_name":            {bare, one, two},
		"order_by=username":              {one, two, bare},
		"order_by=email_address":         {one, two, bare},
		"order_by=phone_number":          {two, one, bare},
		"order_by=web3wallet":            {bare, one, two},
		"order_by=last_sign_in_at":       {one, two, bare},
		"order_by=-last_active_at":       {two, one, bare},
		"last_sign_in_at_after=1000":     {two},
		"last_sign_in_at_after=999":      {two, one},
		"last_sign_in_at_before=2000":    {one},
		"last_active_at_after=4000":      {one},
		"last_active_at_since=4000":      {bare, one},
		"last_active_at_before=5000":     {bare},
		"external_id=-x&user_id=-" + one: {bare, two},
		"username=y&order_by=updated_at": {two},
	} {
		if diff := cmp.Diff(want, list(t, c, query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestProvider(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 50})
	for id, raw := range c.Users() {
		var u struct {
			Accounts []struct {
				Subject string `json:"provider_user_id"`
			} `json:"external_accounts"`
		}
		check(t, json.Unmarshal(raw, &u))
		for _, a := range u.Accounts {
			if got := list(t, c, "provider=oauth_google&provider_user_id="+a.Subject); !slices.Equal(got, []string{id}) {
				t.Errorf("%s leads to %v, want %s", a.Subject, got, id)
			}
		}
	}
}

// trip answers without a network.
type trip func(*http.Request) (*http.Response, error)

func (t trip) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// A long history keeps its counts and its order, not every message and every
// state of a user.
func TestLongHistory(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 3, WebhookURL: "http://receiver.example", HTTPClient: &http.Client{
		Transport: trip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		})}})
	ids := list(t, c, "")
	const writes = 45_000
	for n := range writes {
		check(t, c.UpdateUser(ids[n%2], clerktest.Fields{}))
		if n%1000 == 0 {
			wait(t, c)
		}
	}
	if counts := wait(t, c); counts != (clerktest.Counts{Sent: writes, Delivered: writes, Attempts: writes}) {
		t.Errorf("got %+v, want %d delivered", counts, writes)
	}
	if n := len(c.Messages()); n < 20_000 || n >= 40_000 {
		t.Errorf("the log has %d messages", n)
	}
	if n := c.Resend("all", time.Now().Add(time.Hour)); n != 0 {
		t.Errorf("resent %d messages of the future", n)
	}
	check(t, c.UpdateUser(ids[1], clerktest.Fields{"updated_at": time.Now().Add(time.Hour).UnixMilli()}))
	if diff := cmp.Diff([]string{ids[1], ids[0], ids[2]}, list(t, c, "order_by=-updated_at")); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
