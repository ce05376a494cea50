package clerktest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
)

func TestHostileListings(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 300})
	honest := list(t, c, "limit=100")
	for name, try := range map[string]struct {
		faults clerktest.Faults
		query  string
		lies   func(page []string) bool
	}{
		"skip":      {clerktest.Faults{SkipRows: 0.1}, "limit=100", func(page []string) bool { return len(page) == 100 && !cmp.Equal(page, honest) }},
		"repeat":    {clerktest.Faults{Repeat: 1}, "limit=100", func(page []string) bool { return len(page) == 100 && page[49] == page[50] }},
		"truncate":  {clerktest.Faults{Truncate: 1}, "limit=100", func(page []string) bool { return cmp.Equal(page, honest[:50]) }},
		"empty":     {clerktest.Faults{Empty: true}, "limit=100", func(page []string) bool { return len(page) == 0 }},
		"faultless": {clerktest.Faults{}, "limit=100", func(page []string) bool { return cmp.Equal(page, honest) }},
	} {
		check(t, c.SetFaults(try.faults))
		if page := list(t, c, try.query); !try.lies(page) {
			t.Errorf("%s: got %d users %v", name, len(page), page)
		}
	}
	check(t, c.SetFaults(clerktest.Faults{CountDelta: -7, CursorRefused: true, WrongInstance: "ins_other"}))
	if _, raw := get(c, "/v1/users/count"); string(raw) != `{"object":"total_count","total_count":293}` {
		t.Errorf("got the count %s", raw)
	}
	if status, raw := get(c, "/v1/users?starting_after="+honest[0]); status != http.StatusUnprocessableEntity {
		t.Errorf("the cursor got %d %s", status, raw)
	}
	if _, raw := get(c, "/v1/instance"); !strings.Contains(string(raw), `"id":"ins_other"`) {
		t.Errorf("got the instance %s", raw)
	}
	check(t, c.SetFaults(clerktest.Faults{LostCursor: "empty"}))
	check(t, c.DeleteUser(honest[0]))
	if page := list(t, c, "starting_after="+honest[0]); len(page) != 0 {
		t.Errorf("after a deleted user came %v", page)
	}
	if c.SetFaults(clerktest.Faults{Drop: 1.5}) == nil || c.SetFaults(clerktest.Faults{LostCursor: "?"}) == nil {
		t.Error("impossible faults were accepted")
	}
}

// A replica that is behind does not know a fresh user.
func TestLag(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	c := instance(t, clerktest.Config{Users: 2, Now: func() time.Time { return now }, Faults: clerktest.Faults{Lag: time.Minute}})
	id := create(t, c, clerktest.Fields{})
	for _, wait := range []time.Duration{0, 59 * time.Second, time.Second} {
		now = now.Add(wait)
		known := wait == time.Second
		status, _ := get(c, "/v1/users/"+id)
		_, count := get(c, "/v1/users/count")
		_, byID := get(c, "/v1/users?user_id="+id)
		if (status == http.StatusOK) != known || strings.HasSuffix(string(count), ":3}") != known || (len(byID) > 2) != known || (len(list(t, c, "")) == 3) != known {
			t.Errorf("after %v: got %d, count %s, list %v", wait, status, count, list(t, c, ""))
		}
	}
}

// Sessions are listed and read with the faults of everything else.
func TestFaultsOfSessions(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 2})
	users := someUsers(c)
	var ids []string // newest first, as they are listed
	for range 4 {
		ids = append([]string{text(t)(c.CreateSession(users[0]))}, ids...)
	}
	other := text(t)(c.CreateSession(users[1]))
	page := func(query string) (got []string) {
		status, raw := get(c, "/v1/sessions?"+query)
		if status != http.StatusOK {
			t.Fatalf("%s: got %d %s", query, status, raw)
		}
		var page []struct{ ID string }
		check(t, json.Unmarshal(raw, &page))
		for _, s := range page {
			got = append(got, s.ID)
		}
		return got
	}
	for name, try := range map[string]struct {
		faults clerktest.Faults
		want   []string
	}{
		"none":     {clerktest.Faults{}, ids[:3]},
		"empty":    {clerktest.Faults{Empty: true}, nil},
		"truncate": {clerktest.Faults{Truncate: 1}, ids[:1]},
		"repeat":   {clerktest.Faults{Repeat: 1}, []string{ids[0], ids[0], ids[1]}},
		"skip":     {clerktest.Faults{SkipRows: 1}, nil},
		"lag":      {clerktest.Faults{Lag: time.Hour}, nil},
	} {
		check(t, c.SetFaults(try.faults))
		if diff := cmp.Diff(try.want, page("limit=3&user_id="+users[0])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if status, _ := get(c, "/v1/sessions/"+other); (status == http.StatusOK) != (try.faults.Lag == 0) {
			t.Errorf("%s: got %d for one", name, status)
		}
	}
	check(t, c.SetFaults(clerktest.Faults{CountDelta: 5}))
	if _, raw := get(c, "/v1/sessions?paginated=true&limit=1&offset=3&status=active&user_id="+users[0]); !strings.HasPrefix(string(raw), `{"data":[{"object":"session","id":"`+ids[3]) ||
		!strings.HasSuffix(string(raw), `],"total_count":9}`) {
		t.Errorf("got the page %s", raw)
	}
}

// A test can change users in the middle of a walk.
func TestOnRequest(t *testing.T) {
	t.Parallel()
	var c *clerktest.Clerk
	calls := 0
	c = instance(t, clerktest.Config{Users: 10, OnRequest: func(r *http.Request) {
		if calls++; calls == 2 {
			create(t, c, clerktest.Fields{})
		}
	}})
	if n := len(list(t, c, "limit=500")); n != 10 {
		t.Errorf("got %d users", n)
	}
	if n := len(list(t, c, "limit=500")); n != 11 {
		t.Errorf("got %d users after the second request", n)
	}
}

func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Faults: clerktest.Faults{ErrorRate: 1}})
	seen := map[int]string{}
	for range 60 {
		status, raw := get(c, "/v1/users")
		seen[status] = string(raw[:9])
	}
	want := map[int]string{500: `{"errors"`, 502: "<html><bo", 503: `{"errors"`}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	check(t, c.SetFaults(clerktest.Faults{Unauthorized: true}))
	if status, raw := get(c, "/v1/users"); status != http.StatusUnauthorized || !strings.Contains(string(raw), "clerk_key_invalid") {
		t.Errorf("got %d %s", status, raw)
	}
}

func TestAuthorization(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 1})
	for header, want := range map[string]string{
		"": "authentication_invalid", "Basic x": "authentication_invalid", "Bearer ": "authentication_invalid",
		"Bearer sk_test_x": "clerk_key_invalid", "bearer " + c.SecretKey(): "authentication_invalid",
	} {
		for _, path := range []string{"/v1/users", "/v1/instance", "/v1/users/count", "/v1/nothing", "/v1/jwks"} {
			request := httptest.NewRequest(http.MethodGet, path, nil)
			request.Header.Set("Authorization", header)
			answer := httptest.NewRecorder()
			c.ServeHTTP(answer, request)
			if answer.Code != http.StatusUnauthorized || !strings.Contains(answer.Body.String(), `"code":"`+want+`"`) {
				t.Errorf("%q %s: got %d %s, want 401 %s", header, path, answer.Code, answer.Body, want)
			}
		}
	}
	if status, raw := get(c, "/v1/nothing"); status != http.StatusNotFound || !strings.Contains(string(raw), "resource_not_found") ||
		!strings.Contains(string(raw), "clerktest does not emulate GET /v1/nothing") {
		t.Errorf("got %d %s for an unknown route", status, raw)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := instance(t, clerktest.Config{Faults: clerktest.Faults{RateLimit: 3}})
		ask := func() (int, string) {
			request := httptest.NewRequest(http.MethodGet, "/v1/users", nil)
			request.Header.Set("Authorization", "Bearer "+c.SecretKey())
			answer := httptest.NewRecorder()
			c.ServeHTTP(answer, request)
			if answer.Code == http.StatusTooManyRequests && !strings.Contains(answer.Body.String(), "too_many_requests") {
				t.Errorf("got %s", answer.Body)
			}
			return answer.Code, answer.Header().Get("Retry-After")
		}
		for i := range 3 {
			if status, _ := ask(); status != http.StatusOK {
				t.Fatalf("request %d got %d", i, status)
			}
		}
		time.Sleep(3500 * time.Millisecond)
		status, wait := ask()
		if status != http.StatusTooManyRequests || wait != "7" {
			t.Errorf("got %d, Retry-After %q, want 429 and 7", status, wait)
		}
		seconds, err := strconv.Atoi(wait)
		check(t, err)
		time.Sleep(time.Duration(seconds) * time.Second)
		if status, _ := ask(); status != http.StatusOK {
			t.Errorf("got %d after Retry-After", status)
		}
	})
}

func TestLatencyAndHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := instance(t, clerktest.Config{Faults: clerktest.Faults{Latency: 250 * time.Millisecond}})
		start := time.Now()
		if status, _ := get(c, "/v1/users"); status != http.StatusOK || time.Since(start) != 250*time.Millisecond {
			t.Errorf("got %d after %v", status, time.Since(start))
		}
		check(t, c.SetFaults(clerktest.Faults{Hang: 1}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		request := httptest.NewRequest(http.MethodGet, "/v1/users", nil).WithContext(ctx)
		func() {
			defer func() {
				if recover() != http.ErrAbortHandler {
					t.Error("the connection was not cut")
				}
			}()
			c.ServeHTTP(httptest.NewRecorder(), request)
		}()
		if time.Since(start) < time.Hour {
			t.Errorf("the request hung for %v only", time.Since(start))
		}
	})
}

// The clock of the instance stands in every Date header and timestamp.
func TestClock(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 2, 3, 4, 5, 6, 789e6, time.UTC)
	s := clerktest.NewServer(t, clerktest.Config{Users: 2, Now: func() time.Time { return at }})
	check(t, s.SetFaults(clerktest.Faults{Skew: 90 * time.Second}))
	answer, err := http.Get(s.URL() + "/v1/users")
	check(t, err)
	check(t, answer.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	if got := answer.Header.Get("Date"); got != "Sun, 03 Feb 2030 04:06:36 GMT" {
		t.Errorf("got Date %s", got)
	}
	var u struct {
		Created int64 `json:"created_at"`
		Updated int64 `json:"updated_at"`
	}
	id := create(t, s.Clerk, clerktest.Fields{})
	for range 3 { // the clock stands, updated_at goes on
		check(t, s.UpdateUser(id, clerktest.Fields{}))
	}
	check(t, json.Unmarshal(s.User(id), &u))
	if want := at.Add(90 * time.Second).UnixMilli(); u.Created != want || u.Updated != want+3 {
		t.Errorf("got created_at %d, updated_at %d, want %d and %d", u.Created, u.Updated, want, want+3)
	}
	check(t, s.UpdateUser(id, clerktest.Fields{"updated_at": 1000}))
	check(t, json.Unmarshal(s.User(id), &u))
	if u.Updated != 1000 {
		t.Errorf("got updated_at %d after a roll-back to 1000", u.Updated)
	}
}

func TestControlEndpoints(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{Users: 3, Faults: clerktest.Faults{Drop: 1}})
	r := receive(t, s.Clerk)
	create(t, s.Clerk, clerktest.Fields{})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	ask := func(method, path, contentType, body string) (int, string) {
		request, err := http.NewRequest(method, s.URL()+path, strings.NewReader(body))
		check(t, err)
		request.Header.Set("Content-Type", contentType)
		answer, err := client.Do(request)
		check(t, err)
		defer answer.Body.Close()
		raw, err := io.ReadAll(answer.Body)
		check(t, err)
		return answer.StatusCode, string(raw)
	}
	const plain = "application/json"
	for _, step := range []struct {
		method, path, contentType, body string
		status                          int
		contains                        string
	}{
		{"GET", "/_emulator/state", "", "", 200, `"users":4`},
		{"GET", "/_emulator/state", "", "", 200, `"dropped":1`},
		{"GET", "/_emulator/state", "", "", 200, `"status":"missing"`},
		{"POST", "/_emulator/faults", "text/plain", `{"drop":0}`, 415, "application/json"},
		{"POST", "/_emulator/faults", plain, `{"drop":2}`, 422, "between 0 and 1"},
		{"POST", "/_emulator/faults", plain, `{"drops":1}`, 422, "drops"},
		{"POST", "/_emulator/faults", plain, `{"drop":0,"latency":"2ms","skew":"-1m30s"}`, 200, `"latency":"2ms"`},
		{"POST", "/_emulator/faults", plain, `{"latency":"0s"}`, 200, `"skew":"-1m30s"`},
		{"POST", "/_emulator/resend", plain, `{"which":"some"}`, 422, "failed"},
		{"POST", "/_emulator/resend", plain, `{}`, 200, `{"resent":0}`},
		{"POST", "/_emulator/resend", plain, `{"which":"missing","since":"2020-01-01T00:00:00Z"}`, 200, `{"resent":1}`},
	} {
		status, raw := ask(step.method, step.path, step.contentType, step.body)
		if status != step.status || !strings.Contains(raw, step.contains) {
			t.Errorf("%s %s %s: got %d %s, want %d and %s", step.method, step.path, step.body, status, raw, step.status, step.contains)
		}
	}
	check(t, s.SetFaults(clerktest.Faults{}))
	wait(t, s.Clerk)
	if len(r.all()) != 1 {
		t.Errorf("got %d arrivals after resending", len(r.all()))
	}
}

func TestRequestLog(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 3})
	get(c, "/v1/users?limit=2&order_by=-updated_at")
	get(c, "/v1/users/user_none")
	all := c.Requests()
	if len(all) != 2 || all[0].Path != "/v1/users" || all[0].Query.Get("order_by") != "-updated_at" || all[0].Status != 200 || all[1].Status != 404 {
		t.Errorf("got %+v", all)
	}
	want := map[string]int{"GET /v1/users": 1, "GET /v1/users/{id}": 1}
	if diff := cmp.Diff(want, c.State().Requests); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	c.ResetRequests()
	if n := len(c.Requests()); n != 0 {
		t.Errorf("%d requests after the reset", n)
	}
}
