package upsert_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
)

// greet tells whom the middleware let in.
var greet = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	user, ok := upsert.FromContext(r.Context())
	if !ok {
		fmt.Fprint(w, "nobody")
		return
	}
	fmt.Fprint(w, user.ID)
	if user.Banned != nil && *user.Banned {
		fmt.Fprint(w, " banned")
	}
})

// visit makes a request of a session to a handler behind the middleware.
func visit(handler http.Handler, sessionID, userID string) *httptest.ResponseRecorder {
	return switched(handler, sessionID, userID, "")
}

// switched makes a request of a session in which an organization is active.
func switched(handler http.Handler, sessionID, userID, organizationID string) *httptest.ResponseRecorder {
	claims := &clerk.SessionClaims{}
	claims.SessionID, claims.Subject, claims.ActiveOrganizationID = sessionID, userID, organizationID
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r.WithContext(clerk.ContextWithSessionClaims(r.Context(), claims)))
	return w
}

// expect checks the answer to a visit: the user let in, or the status.
func expect(t *testing.T, w *httptest.ResponseRecorder, want string) {
	t.Helper()
	got := strings.TrimSpace(w.Body.String())
	if w.Code != http.StatusOK {
		got = http.StatusText(w.Code)
	}
	if got != want {
		t.Errorf("the visit got %q, want %q", got, want)
	}
}

const (
	unauthorized = "Unauthorized"
	unavailable  = "Service Unavailable"
)

// TestMiddlewareBehindTheSDK puts the middleware where it belongs: behind the SDK's own, which verifies real tokens.
func TestMiddlewareBehindTheSDK(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		handler := h.logins.Middleware(greet)
		ask := func(token string) *httptest.ResponseRecorder { return bearer(h.net, token, handler) }
		ada, bob, gone := h.signUp(), h.signUp(), h.mirrored(old)
		for _, id := range []string{ada, bob} {
			if _, err := h.clerk.CreateSession(id); err != nil {
				t.Fatal(err)
			}
		}
		h.leave(gone)

		for range 2 {
			expect(t, ask(h.clerk.SessionToken(ada)), ada)
			expect(t, ask(h.clerk.SessionToken(bob)), bob)
		}
		expect(t, ask(""), "nobody")
		expect(t, ask("not.a.token"), "nobody") // the SDK lets it pass without claims
		expect(t, ask(h.clerk.SessionToken(gone)), unauthorized)
		expect(t, ask(h.clerk.SessionToken("user_never")), unauthorized)
		token := h.clerk.SessionToken(ada)
		expect(t, ask(token[:len(token)-8]+"AAAAAAAA"), unauthorized) // by the SDK
		if diff := cmp.Diff([]string{"read", "read", "seen", "seen", "deleted", "not_found"}, h.told.take()); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
	})
}

func TestMiddlewareAnswers(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		deleted, unknown, known := h.mirrored(old), h.signUp(), h.signUp()
		h.leave(deleted)
		h.leave(unknown)
		handler := h.logins.Middleware(greet)

		for _, id := range []string{deleted, unknown, "", "org_1"} {
			w := visit(handler, "sess_1", id)
			expect(t, w, unauthorized)
			if w.Header().Get("WWW-Authenticate") == "" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("a 401 without its headers: %v", w.Header())
			}
			if id != "" && strings.Contains(w.Body.String(), id) {
				t.Errorf("the answer tells the user's id: %s", w.Body)
			}
		}
		h.faults(clerktest.Faults{ErrorRate: 1})
		w := visit(handler, "sess_2", known)
		expect(t, w, unavailable)
		if w.Header().Get("Retry-After") == "" {
			t.Error("a 503 without Retry-After")
		}
		h.faults(clerktest.Faults{})
		expect(t, visit(handler, "sess_2", known), known)

		r := httptest.NewRequest("GET", "/", nil)
		w = httptest.NewRecorder()
		handler.ServeHTTP(w, r.WithContext(clerk.ContextWithSessionClaims(r.Context(), (*clerk.SessionClaims)(nil))))
		expect(t, w, "nobody")
		h.logins.Close()
		expect(t, visit(handler, "sess_2", known), unavailable)
	})
}

// TestMiddlewareRemembersSessions takes the database away: a session that was seen needs none.
func TestMiddlewareRemembersSessions(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback, func(c *upsert.Config) { c.CacheSize = 2 })
		handler := h.logins.Middleware(greet)
		ada, bob := h.mirrored(young), h.signUp()
		expect(t, visit(handler, "sess_forgotten", ada), ada)
		expect(t, visit(handler, "sess_ada", ada), ada)
		expect(t, visit(handler, "sess_bob", bob), bob) // one whom the login itself creates
		expect(t, visit(handler, "", bob), bob)
		db.Close()
		expect(t, visit(handler, "sess_ada", ada), ada)
		expect(t, visit(handler, "sess_bob", bob), bob)
		expect(t, visit(handler, "sess_forgotten", ada), unavailable)
		expect(t, visit(handler, "", bob), unavailable)         // a session without an id is never remembered
		expect(t, visit(handler, "sess_ada", bob), unavailable) // nor is one remembered for somebody else
	})
}

func TestMiddlewareShowsChanges(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		handler := h.logins.Middleware(greet)
		ada, bob := h.mirrored(young), h.mirrored(young)
		expect(t, visit(handler, "sess_1", ada), ada)
		expect(t, visit(handler, "sess_2", ada), ada)
		expect(t, visit(handler, "sess_3", bob), bob)
		h.told.take()

		if err := h.clerk.BanUser(ada); err != nil {
			t.Fatal(err)
		}
		h.tell(ada, 0)
		expect(t, visit(handler, "sess_1", ada), ada+" banned")
		expect(t, visit(handler, "sess_2", ada), ada+" banned")
		expect(t, visit(handler, "sess_3", bob), bob)
		if diff := cmp.Diff([]string{"fresh", "fresh", "seen"}, h.told.take()); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}

		h.leave(ada)
		h.tellGone(ada, 0)
		expect(t, visit(handler, "sess_1", ada), unauthorized)
		expect(t, visit(handler, "sess_2", ada), unauthorized)
		expect(t, visit(handler, "sess_3", bob), bob)
	})
}

// TestMiddlewareDoesNotMissAChange commits a deletion after the user's row was read and before the session is remembered.
func TestMiddlewareDoesNotMissAChange(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		var h *house
		var id string
		var once sync.Once
		h = build(t, db, loopback, func(c *upsert.Config) {
			c.Observe = func(string) { once.Do(func() { h.tellGone(id, 0) }) }
		})
		id = h.mirrored(young)
		handler := h.logins.Middleware(greet)
		expect(t, visit(handler, "sess_1", id), id)
		expect(t, visit(handler, "sess_1", id), unauthorized)
	})
}

// TestMiddlewareUnderLoad changes users while they visit; the visit after the last change shows it.
func TestMiddlewareUnderLoad(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		handler := h.logins.Middleware(greet)
		id := h.mirrored(young)
		done := make(chan struct{})
		var visitors sync.WaitGroup
		for i := range 4 {
			visitors.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						visit(handler, fmt.Sprint("sess_", i%2), id)
					}
				}
			})
		}
		for i := range 40 {
			write, want := h.clerk.BanUser, id+" banned"
			if i%2 == 1 {
				write, want = h.clerk.UnbanUser, id
			}
			if err := write(id); err != nil {
				t.Fatal(err)
			}
			h.tell(id, 0)
			expect(t, visit(handler, "sess_0", id), want)
		}
		close(done)
		visitors.Wait()
	})
}

// BenchmarkSeenSession is a request of a session that was seen.
func BenchmarkSeenSession(b *testing.B) {
	db := pgtest.SQLite(b)
	clerkThere, err := clerktest.New(clerktest.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer clerkThere.Close()
	mirror, err := clerksync.Open(b.Context(), db, clerksync.Config{InstanceID: clerkThere.InstanceID()})
	if err != nil {
		b.Fatal(err)
	}
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: clerkThere.SecretKey(), RateLimit: -1, Transport: near{clerkThere}})
	if err != nil {
		b.Fatal(err)
	}
	logins, err := upsert.New(upsert.Config{Mirror: mirror, Clerk: api})
	if err != nil {
		b.Fatal(err)
	}
	defer logins.Close()
	id, err := clerkThere.CreateUser(clerktest.Fields{"first_name": "Ada"})
	if err != nil {
		b.Fatal(err)
	}
	handler := logins.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	claims := &clerk.SessionClaims{}
	claims.SessionID, claims.Subject = "sess_1", id
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(clerk.ContextWithSessionClaims(r.Context(), claims))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatal(w.Code)
	}
	b.Run("Middleware", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				handler.ServeHTTP(w, r)
			}
		})
	})
	b.Run("UpsertOnLogin", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := logins.UpsertOnLogin(r.Context(), id); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A deletion whose commit was not answered is told again by its sender, and then changes nothing more: the session of its user must not
// be remembered until it is looked at again.
func TestMiddlewareAfterALostAnswer(t *testing.T) {
	t.Parallel()
	pgtest.BothFaulty(t, func(t *testing.T, db *pgtest.Faulty) {
		h := build(t, db.DB, loopback)
		handler := h.logins.Middleware(greet)
		for n, struck := 1, true; struck; n++ {
			id := h.mirrored(young)
			expect(t, visit(handler, "sess_"+id, id), id)
			gone := clerksync.Evidence{Kind: clerksync.Users, ID: id, At: time.Now().UnixMilli(), Source: clerksync.Webhook,
				Event: &clerksync.Event{ID: "msg_" + id, Type: "user.deleted", InstanceID: h.clerk.InstanceID()}}
			db.Fail(n, pgtest.Lost)
			_, err := h.mirror.Apply(t.Context(), gone)
			call := db.Heal()
			struck = call != ""
			if err != nil {
				_, err = h.mirror.Apply(t.Context(), gone)
			}
			if w := visit(handler, "sess_"+id, id); err != nil || w.Code == http.StatusOK {
				t.Errorf("after call %d (%s) got lost: %v, and the middleware lets %s in", n, call, err, id)
			}
		}
	})
}

// TestMiddlewareClosedMeanwhile closes between a login's answer and the session's being remembered: nobody hears of changes any more,
// so nobody is let in from memory.
func TestMiddlewareClosedMeanwhile(t *testing.T) {
	t.Parallel()
	var h *house
	h = build(t, pgtest.SQLite(t), loopback, func(c *upsert.Config) { c.Observe = func(string) { h.logins.Close() } })
	id := h.mirrored(young)
	handler := h.logins.Middleware(greet)
	expect(t, visit(handler, "sess_1", id), id)
	expect(t, visit(handler, "sess_1", id), unavailable)
}
