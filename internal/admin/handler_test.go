package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/clerksync/clerksync/internal/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config() admin.Config {
	return admin.Config{
		Status:    func(context.Context) (admin.Status, error) { return admin.Status{InstanceID: "ins_1", Term: 3}, nil },
		Health:    func(context.Context) admin.Health { return admin.Health{Ready: true} },
		Reconcile: func(context.Context) error { return nil },
		Metrics:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }),
	}
}

func ask(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const here = "http://127.0.0.1:8081"

func TestGuard(t *testing.T) {
	t.Parallel()
	open, locked := config(), config()
	token := "a-token"
	locked.Token = func() *string { return &token }
	refused := 0
	locked.Refused = func() { refused++ }
	for _, c := range []struct {
		name   string
		cfg    admin.Config
		method string
		url    string
		header []string
		want   int
	}{
		{"no token on loopback", open, "GET", here + "/api/status", nil, 200},
		{"localhost", open, "GET", "http://localhost:8081/api/status", nil, 200},
		{"IPv6", open, "GET", "http://[::1]:8081/api/status", nil, 200},
		{"a name that was rebound", open, "GET", "http://evil.example.com:8081/api/status", nil, 403},
		{"a page elsewhere that posts", open, "POST", here + "/api/reconcile", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"an old browser's page", open, "POST", here + "/api/reconcile", []string{"Origin", "https://evil.example.com"}, 403},
		{"curl", open, "POST", here + "/api/reconcile", nil, 202},
		{"no token given", locked, "GET", here + "/api/status", nil, 401},
		{"another token", locked, "GET", here + "/api/status", []string{"Authorization", "Bearer a-toke"}, 401},
		{"an empty token", locked, "GET", here + "/metrics", []string{"Authorization", "Bearer "}, 401},
		{"the token", locked, "GET", "http://pod:8081/metrics", []string{"Authorization", "Bearer a-token"}, 200},
		{"the token in the URL", locked, "GET", "http://pod:8081/metrics?token=a-token&access_token=a-token", nil, 401},
		{"the token as a password", locked, "GET", "http://pod:8081/", []string{"Authorization", "Basic eDphLXRva2Vu"}, 200},
		{"health for everybody", locked, "GET", "http://pod:8081/livez", nil, 200},
		{"readiness for everybody", locked, "GET", "http://pod:8081/readyz", nil, 200},
		{"nothing changes by GET", open, "GET", here + "/api/reconcile", nil, 405},
		{"no such page", open, "GET", here + "/debug/pprof/", nil, 404},
	} {
		if w := ask(admin.NewHandler(c.cfg), c.method, c.url, c.header...); w.Code != c.want {
			t.Errorf("%s: %d, want %d: %s", c.name, w.Code, c.want, w.Body)
		}
	}
	if refused != 2 {
		t.Errorf("%d requests brought a wrong token, want 2", refused)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	ill, down, busy, keyless := config(), config(), config(), config()
	ill.Health = func(context.Context) admin.Health {
		return admin.Health{Reasons: []string{"it <burns>"}, Warnings: []string{"a clock"}}
	}
	down.Status = func(context.Context) (admin.Status, error) { return admin.Status{}, errors.New("no answer") }
	busy.Reconcile = func(context.Context) error { return admin.ErrBusy }
	keyless.Reconcile = nil
	for _, c := range []struct {
		name, method, path string
		cfg                admin.Config
		code               int
		want               string
	}{
		{"ready", "GET", "/readyz", config(), 200, `{"ready":true,"reasons":[]}`},
		{"not ready", "GET", "/readyz", ill, 503, `"ready":false`},
		{"warnings", "GET", "/readyz", ill, 503, `"warnings":["a clock"]`},
		{"alive though not ready", "GET", "/livez", ill, 200, `"ready":true`},
		{"the page tells why", "GET", "/", ill, 200, "it &lt;burns&gt;"},
		{"status", "GET", "/api/status", config(), 200, `"instance_id":"ins_1"`},
		{"no status", "GET", "/api/status", down, 503, `{"error":"no answer"}`},
		{"the page without status", "GET", "/", down, 200, "no answer"},
		{"a pass", "POST", "/api/reconcile", config(), 202, `{"started":true}`},
		{"another pass", "POST", "/api/reconcile", busy, 409, "a pass is running"},
		{"no key", "POST", "/api/reconcile", keyless, 409, "CLERK_SECRET_KEY"},
	} {
		w := ask(admin.NewHandler(c.cfg), c.method, here+c.path)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %s, want %d and %s", c.name, w.Code, w.Body, c.code, c.want)
		}
	}
}

// TestPageHeaders looks at what browsers are told about the page, the JSON and a refusal.
func TestPageHeaders(t *testing.T) {
	t.Parallel()
	for path, contentType := range map[string]string{
		"/": "text/html; charset=utf-8", "/api/status": "application/json", "/readyz": "application/json", "/nowhere": "text/plain; charset=utf-8",
	} {
		header := ask(admin.NewHandler(config()), "GET", here+path).Header()
		for name, want := range map[string]string{"Content-Type": contentType, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		want := map[string]string{"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
		if path == "/" {
			for _, of := range []string{"script-src", "style-src", "img-src", "connect-src", "form-action"} {
				want[of] = "'self'"
			}
		}
		got := map[string]string{}
		for directive := range strings.SplitSeq(header.Get("Content-Security-Policy"), "; ") {
			name, value, _ := strings.Cut(directive, " ")
			got[name] = value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the policy (-want +got):\n%s", path, diff)
		}
	}
}

// TestPage shows every kind in its order.
func TestPage(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Status = func(context.Context) (admin.Status, error) {
		return admin.Status{
			Order:     []string{"users", "organization_memberships"},
			Resources: map[string]admin.Population{"organization_memberships": {}, "users": {Visible: 5, Hidden: 2}},
		}, nil
	}
	page := ask(admin.NewHandler(cfg), "GET", here+"/").Body.String()
	kind := `<div><dt>%s</dt><dd class="value">%d</dd><dd class="detail">%d deleted</dd></div>`
	users, others := strings.Index(page, fmt.Sprintf(kind, "Users", 5, 2)), strings.Index(page, fmt.Sprintf(kind, "Organization memberships", 0, 0))
	if users < 0 || others < users {
		t.Errorf("the page does not show users and then memberships:\n%s", page)
	}
}
