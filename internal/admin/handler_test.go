package admin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func config() admin.Config {
	return admin.Config{
		Status:    func(context.Context) (admin.Status, error) { return admin.Status{InstanceID: "ins_1"}, nil },
		Health:    func(context.Context) admin.Health { return admin.Health{Ready: true} },
		Reconcile: func() error { return nil },
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
	locked.Token = "a-token"
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
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	ill, down, busy, keyless := config(), config(), config(), config()
	ill.Health = func(context.Context) admin.Health {
		return admin.Health{Reasons: []string{"it <burns>"}, Warnings: []string{"a clock"}}
	}
	down.Status = func(context.Context) (admin.Status, error) { return admin.Status{}, errors.New("no answer") }
	busy.Reconcile = func() error { return admin.ErrBusy }
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

// TestRead reads the status of a mirror in which something has happened.
func TestRead(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		ctx := t.Context()
		m, err := clerksync.Open(ctx, db, clerksync.Config{InstanceID: "ins_1"})
		if err != nil {
			t.Fatal(err)
		}
		empty, err := admin.Read(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		if empty.Users != (admin.Population{}) || empty.Events.LastAt != nil || len(empty.Passes) != 0 {
			t.Errorf("an empty mirror shows %+v", empty)
		}
		now := time.Now()
		event := func(id, instance, quarantine string) *clerksync.Event {
			return &clerksync.Event{ID: id, Type: "user.updated", InstanceID: instance, OccurredAt: now.Add(-time.Second), Quarantine: quarantine, Body: []byte("{}")}
		}
		user := []byte(`{"id":"user_1","object":"user","updated_at":1700000000000,"created_at":1700000000000}`)
		at := now.UnixMilli()
		_, err = m.Apply(ctx,
			clerksync.Evidence{Kind: clerksync.Users, Object: user, At: at, Source: clerksync.Webhook, Event: event("msg_1", "ins_1", "")},
			clerksync.Evidence{Kind: clerksync.Users, ID: "user_2", At: at, Source: clerksync.Webhook, Event: event("msg_2", "ins_1", "")},
			clerksync.Evidence{Kind: clerksync.Users, ID: "user_3", At: at, Source: clerksync.Webhook, Event: event("msg_3", "ins_1", "data has no id")},
			clerksync.Evidence{Kind: clerksync.Users, ID: "user_4", At: at, Source: clerksync.Webhook, Event: event("msg_4", "ins_other", "")},
		)
		if err != nil {
			t.Fatal(err)
		}
		begun := now.Add(-time.Hour).UTC().Truncate(time.Millisecond)
		for i, complete := range []bool{true, false} {
			_, err = db.ExecContext(ctx, m.SQL(`INSERT INTO {passes} (kind, started_at, finished_at, complete, error) VALUES ('full', $1, $1, $2, 'it broke')`),
				begun.Add(time.Duration(i)*time.Minute).Format("2006-01-02T15:04:05.000Z"), complete)
			if err != nil {
				t.Fatal(err)
			}
		}
		s, err := admin.Read(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		if s.InstanceID != "ins_1" || s.Users != (admin.Population{Visible: 1, Hidden: 1}) || s.Events.Quarantined != 1 {
			t.Errorf("status %+v", s)
		}
		if s.Events.Foreign == nil || s.Events.Foreign.Count != 1 || s.Events.Foreign.Last != "ins_other" {
			t.Errorf("foreign events %+v, want one of ins_other", s.Events.Foreign)
		}
		if s.Events.LastAt == nil || s.Events.LastType != "user.updated" || s.Events.LagSeconds == nil || *s.Events.LagSeconds < 0.9 {
			t.Errorf("last event %+v", s.Events)
		}
		full := s.Passes["full"]
		if full.Complete || full.LastCompleteAt == nil || !full.LastCompleteAt.Equal(begun) || full.Error == nil {
			t.Errorf("last pass %+v, want an incomplete one after a complete one at %s", full, begun)
		}
	})
}

// TestRecent counts once, however often it is asked within its time.
func TestRecent(t *testing.T) {
	t.Parallel()
	db := pgtest.SQLite(t)
	m, err := clerksync.Open(t.Context(), db, clerksync.Config{})
	if err != nil {
		t.Fatal(err)
	}
	recent, always := admin.Recent(m, time.Hour), admin.Recent(m, 0)
	for _, read := range []func(context.Context) (admin.Status, error){recent, always} {
		if _, err := read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := recent(t.Context()); err != nil {
		t.Errorf("a status read within the hour asked the database again: %v", err)
	}
	if _, err := always(t.Context()); err == nil {
		t.Error("a closed database told a status")
	}
}
