package admin_test

import (
	"bufio"
	"context"
	"errors"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/clerksync/clerksync/internal/admin"
	clerksync "github.com/clerksync/clerksync/sync"
	"testing/synctest"
)

// whole is a configuration that offers everything.
func whole() admin.Config {
	cfg := config()
	now := time.Now()
	do := func(what string) func(context.Context, string) (string, error) {
		return func(_ context.Context, id string) (string, error) { return id + " " + what, nil }
	}
	cfg.Acts = admin.Acts{Retry: do("retried"), Drop: do("dropped"), Restore: do("restored")}
	cfg.Samples = &admin.Samples{}
	cfg.Samples.Add(admin.Totals{At: now.Add(-2 * time.Second)})
	cfg.Samples.Add(admin.Totals{At: now, Events: 5, Lag: 3, Lags: 2, Replicas: 2})
	cfg.Board = func(context.Context) (admin.Board, error) {
		return admin.Board{
			Waiting: []clerksync.Logged{{ID: "read:users:user_1", Type: "read", ObjectID: "user_1", ReceivedAt: now, Error: "it has <no> id"}},
			Events:  []clerksync.Logged{{ID: "msg_1", Type: "user.updated", ObjectID: "user_1", ReceivedAt: now, Outcome: clerksync.Updated}},
			Changes: []clerksync.Change{{Kind: clerksync.Users, ObjectID: "user_1", Op: clerksync.Created, WrittenAt: now, Version: 7}},
			Passes:  []admin.PassRow{{Kind: "full", StartedAt: now, FinishedAt: now.Add(time.Second), Complete: true, Seen: 11, Drift: 3}},
			Hidden:  []clerksync.Hidden{{Kind: clerksync.Users, ID: "user_2", DeletedAt: now, Source: clerksync.Webhook}, {Kind: clerksync.Sessions, ID: "sess_3", DeletedAt: now}},
		}, nil
	}
	cfg.Object = func(_ context.Context, k clerksync.Kind, id string) (admin.Object, bool, error) {
		switch id {
		case "user_1":
			return admin.Object{Stored: clerksync.Stored{Kind: k, ID: id, Data: []byte(`{"first_name":"<Ada>"}`), Source: clerksync.Webhook, SyncedAt: now, Version: 7}}, true, nil
		case "user_2":
			return admin.Object{Stored: clerksync.Stored{Kind: k, ID: id, DeletedAt: &now}, Audit: []clerksync.AuditEntry{{Action: clerksync.AuditDeleted, At: now}}}, true, nil
		case "user_3":
			return admin.Object{}, false, clerksync.ErrUnavailable
		}
		return admin.Object{}, false, nil
	}
	return cfg
}

// TestRoutes asks for every page, and for what each must show and must not.
func TestRoutes(t *testing.T) {
	t.Parallel()
	h := admin.NewHandler(whole())
	for _, c := range []struct {
		path string
		code int
		want []string
		not  string
	}{
		{"/", 200, []string{
			`hx-post="/api/events/read:users:user_1/retry"`, `hx-post="/api/events/read:users:user_1/drop"`, `it has &lt;no&gt; id`,
			`hx-post="/api/objects/user_2/restore"`, `<a href="/objects/users/user_1">user_1</a>`, `data-drift="3"`, `hx-post="/api/reconcile"`,
		}, `/api/objects/sess_3/restore`},
		{"/", 200, []string{`hx-sse:connect="/live"`, `<h1 id="verdict"><span role="status">Needs attention</span></h1>`}, "style="},
		{"/objects/users/user_1", 200, []string{"&lt;Ada&gt;", "Personal data.", "Visible."}, "Restore</button>"},
		{"/objects/users/user_2", 200, []string{"Deleted at", `action="/api/objects/user_2/restore"`, "In the audit log"}, "<script"},
		{"/objects/users/user_3", 503, []string{"temporarily unavailable", "<h1>No answer</h1>"}, "Not found"},
		{"/objects/users/user_4", 404, []string{"knows nothing of it", "<h1>Not found</h1>"}, ""},
		{"/objects/organizations/user_1", 404, []string{"no such page"}, "Ada"},
		{"/objects/users/passwd", 404, []string{"no such page"}, ""},
		{"/objects?id=+user_1", 303, nil, ""},
		{"/objects?id=whoever", 404, []string{"no id of anything"}, ""},
		{"/api/samples", 200, []string{`"events":2.5,"lag":1.5,"batch":null,"replicas":2`}, ""},
		{"/api/status", 200, []string{`"healthy":false`, `{"name":"leader","ok":false,"value":"none"`, `"instance_id":"ins_1"`}, ""},
	} {
		w := ask(h, "GET", here+c.path)
		if w.Code != c.code {
			t.Errorf("%s: %d, want %d", c.path, w.Code, c.code)
		}
		for _, want := range c.want {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s lacks %s:\n%s", c.path, want, w.Body)
			}
		}
		if c.not != "" && strings.Contains(w.Body.String(), c.not) {
			t.Errorf("%s has %s", c.path, c.not)
		}
	}
}

// TestAssets asks for the page's files under the addresses that the page names.
func TestAssets(t *testing.T) {
	t.Parallel()
	h := admin.NewHandler(whole())
	page := ask(h, "GET", here+"/").Body.String()
	found := 0
	for part := range strings.SplitSeq(page, `"/assets/`) {
		name, _, quoted := strings.Cut(part, `"`)
		if !quoted || strings.HasPrefix(part, "<!doctype") {
			continue
		}
		found++
		w := ask(h, "GET", here+"/assets/"+name)
		if w.Code != 200 || w.Body.Len() < 100 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %d bytes, %v", name, w.Code, w.Body.Len(), w.Header())
		}
	}
	if found < 7 {
		t.Errorf("the page names %d files", found)
	}
	for _, name := range []string{"LICENSE-htmx.txt", "LICENSE-uPlot.txt"} {
		if w := ask(h, "GET", here+"/assets/1/"+name); w.Code != 200 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	for _, path := range []string{"/assets/", "/assets/1/", "/assets/1/../handler.go", "/assets/1/%2e%2e%2fview%2fpage.html"} {
		if w := ask(h, "GET", here+path); w.Code == 200 {
			t.Errorf("%s is answered", path)
		}
	}
}

// TestActs posts as curl, as the open page and as a browser without script.
func TestActs(t *testing.T) {
	t.Parallel()
	cfg := whole()
	cfg.Acts.Drop = func(context.Context, string) (string, error) { return "", errors.New("it is <gone>") }
	cfg.Acts.Restore = nil
	h := admin.NewHandler(cfg)
	htmx, browser := []string{"HX-Request", "true"}, []string{"Accept", "text/html,*/*"}
	for _, c := range []struct {
		path   string
		header []string
		code   int
		want   string
	}{
		{"/api/events/msg_1/retry", nil, 200, `{"id":"msg_1","told":"msg_1 retried"}`},
		{"/api/events/read:users:user_1/retry", nil, 200, `read:users:user_1 retried`},
		{"/api/events/msg_1/retry", htmx, 200, `<p class="fine">msg_1 retried</p>`},
		{"/api/events/msg_1/retry", browser, 200, `<h1>Done</h1><p>msg_1 retried</p>`},
		{"/api/events/msg_1/drop", nil, 409, `{"error":"it is \u003cgone\u003e"}`},
		{"/api/events/msg_1/drop", htmx, 409, `<p class="amiss">it is &lt;gone&gt;</p>`},
		{"/api/events/msg_1/drop", browser, 409, `<h1>Not done</h1>`},
		{"/api/objects/user_1/restore", nil, 409, "CLERK_SECRET_KEY"},
		{"/api/reconcile", htmx, 202, `<p class="fine">a full pass begins</p>`},
	} {
		if w := ask(h, "POST", here+c.path, c.header...); w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %v: %d %s, want %d and %s", c.path, c.header, w.Code, w.Body, c.code, c.want)
		}
		if w := ask(h, "GET", here+c.path); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d: nothing may change by GET", c.path, w.Code)
		}
		if w := ask(h, "POST", here+c.path, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden {
			t.Errorf("%s for another site's page: %d", c.path, w.Code)
		}
	}
}

// TestFormsOfOddIDs presses every button beside ids that a browser would read as other addresses. What is done is done to that id.
func TestFormsOfOddIDs(t *testing.T) {
	t.Parallel()
	const odd = "user_/../../events/msg_held/retry?x=#"
	cfg := whole()
	done := map[string]bool{}
	do := func(what string) func(context.Context, string) (string, error) {
		return func(_ context.Context, id string) (string, error) { done[what+" "+id] = true; return what, nil }
	}
	cfg.Acts = admin.Acts{Retry: do("retry"), Drop: do("drop"), Restore: do("restore")}
	now := time.Now()
	cfg.Board = func(context.Context) (admin.Board, error) {
		return admin.Board{
			Waiting: []clerksync.Logged{{ID: "read:users:" + odd, ObjectID: odd, ReceivedAt: now}},
			Hidden:  []clerksync.Hidden{{Kind: clerksync.Users, ID: odd, DeletedAt: now}},
		}, nil
	}
	cfg.Object = func(context.Context, clerksync.Kind, string) (admin.Object, bool, error) {
		return admin.Object{Stored: clerksync.Stored{DeletedAt: &now}}, true, nil
	}
	h := admin.NewHandler(cfg)
	pressed := 0
	for _, page := range []string{here + "/", here + "/objects/users/" + url.PathEscape(odd)} {
		for _, found := range regexp.MustCompile(`(?:action|hx-post)="([^"]*/(?:retry|drop|restore))"`).FindAllStringSubmatch(ask(h, "GET", page).Body.String(), -1) {
			from, err := url.Parse(page)
			if err != nil {
				t.Fatal(err)
			}
			to, err := from.Parse(html.UnescapeString(found[1]))
			if err != nil {
				t.Fatal(err)
			}
			pressed++
			if w := ask(h, "POST", to.String()); w.Code != http.StatusOK {
				t.Errorf("%s is answered %d", to, w.Code)
			}
		}
	}
	want := map[string]bool{"retry read:users:" + odd: true, "drop read:users:" + odd: true, "restore " + odd: true}
	if !maps.Equal(done, want) || pressed != 7 {
		t.Errorf("%d addresses did %v, want %v", pressed, done, want)
	}
}

// TestLive reads the updates of an open page: at once, when something has changed, and until the daemon stops.
func TestLive(t *testing.T) {
	t.Parallel()
	cfg := whole()
	closing := make(chan struct{})
	cfg.Closing = closing
	server := httptest.NewServer(admin.NewHandler(cfg))
	defer server.Close()
	resp, err := server.Client().Get(server.URL + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	lines := bufio.NewScanner(resp.Body)
	next := func(prefix string) {
		t.Helper()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), prefix) {
				return
			}
		}
		t.Fatalf("the stream ended without %q: %v", prefix, lines.Err())
	}
	next(`data: <hx-partial hx-target="#glance"`)
	next(`data: <hx-partial hx-target="#board"`)
	cfg.Samples.Add(admin.Totals{At: time.Now().Add(5 * time.Second), Events: 6})
	next("event: samples")
	next(`data: [{"at":`)
	close(closing)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "#board") {
			t.Error("what has not changed is sent again")
		}
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
}

// openPage is the connection of an open page. It notes whether anything was written after its deadline, which a real one would not send.
type openPage struct {
	*httptest.ResponseRecorder
	deadline time.Time
	late     bool
}

func (*openPage) SetReadDeadline(time.Time) error { return nil }

func (p *openPage) SetWriteDeadline(t time.Time) error {
	p.deadline = t
	return nil
}

func (p *openPage) Write(b []byte) (int, error) {
	p.late = p.late || time.Now().After(p.deadline)
	return p.ResponseRecorder.Write(b)
}

// live sends an open page its first update.
func live(t *testing.T, cfg admin.Config) *openPage {
	t.Helper()
	closing := make(chan struct{})
	close(closing)
	cfg.Closing = closing
	p := &openPage{ResponseRecorder: httptest.NewRecorder()}
	admin.NewHandler(cfg).ServeHTTP(p, httptest.NewRequestWithContext(t.Context(), "GET", here+"/live", nil))
	return p
}

// TestLiveOfSlowDatabase has a database take longer to not answer than a browser may take to read: the page is told so in time.
func TestLiveOfSlowDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := whole()
		cfg.Status = func(context.Context) (admin.Status, error) {
			time.Sleep(15 * time.Second)
			return admin.Status{}, errors.New("the database does not answer")
		}
		if p := live(t, cfg); p.late || !strings.Contains(p.Body.String(), "the database does not answer") {
			t.Errorf("after its deadline: %t; the page is told\n%s", p.late, p.Body)
		}
	})
}

// TestCarriageReturnStaysWithinItsEvent has an event whose type would end the lines of the stream and begin others.
func TestCarriageReturnStaysWithinItsEvent(t *testing.T) {
	t.Parallel()
	cfg := whole()
	cfg.Board = func(context.Context) (admin.Board, error) {
		return admin.Board{Events: []clerksync.Logged{{ID: "msg_1", Type: "a\r\revent: samples\r\ndata: 1\r\rb", ReceivedAt: time.Now(), Outcome: clerksync.Ignored}}}, nil
	}
	if text := live(t, cfg).Body.String(); strings.Contains(text, "\r") || strings.Contains(text, "\nevent: samples\ndata: 1") || !strings.Contains(text, "\ndata: event: samples\n") {
		t.Errorf("the stream is\n%q", text)
	}
}
