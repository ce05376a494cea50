package upsert_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	clerkhttp "github.com/clerk/clerk-sdk-go/v2/http"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
)

// present tells the membership that the middleware found, and who it was found for.
var present = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	m, ok := upsert.MembershipFromContext(r.Context())
	user, signedIn := upsert.FromContext(r.Context())
	switch {
	case !signedIn:
		fmt.Fprint(w, "nobody")
	case !ok:
		fmt.Fprint(w, "in none")
	case m.User.ID != user.ID:
		fmt.Fprintf(w, "in the place of %s", m.User.ID)
	default:
		fmt.Fprintf(w, "%s of %s", strings.TrimPrefix(*m.Role, "org:"), *m.Organization.Name)
	}
})

// team makes an organization with one admin, of which both know.
func (h *house) team(name, admin string) (id string) {
	h.t.Helper()
	id, err := h.clerk.CreateOrganization(clerktest.Fields{"name": name, "created_by": admin})
	if err != nil {
		h.t.Fatal(err)
	}
	h.tellObjects(clerksync.Organizations)
	h.tellObjects(clerksync.OrganizationMemberships)
	return id
}

// tellObjects merges all objects of a kind as events would tell them now.
func (h *house) tellObjects(k clerksync.Kind) {
	h.t.Helper()
	for id, object := range h.clerk.Objects(string(k)) {
		h.apply(clerksync.Evidence{Kind: k, ID: id, Object: object, At: time.Now().UnixMilli()})
	}
}

func TestMiddlewareFindsTheMembership(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		handler := h.logins.Middleware(present)
		ada, bob := h.mirrored(young), h.mirrored(young)
		lab, club := h.team("Lab", ada), h.team("Club", bob)
		if _, err := h.clerk.AddMember(club, ada, "org:member"); err != nil {
			t.Fatal(err)
		}
		visit := func(what, user, organization, want string) {
			t.Helper()
			t.Log(what)
			expect(t, switched(handler, "sess_"+user, user, organization), want)
		}
		visit("none is active", ada, "", "in none")
		visit("her own", ada, lab, "admin of Lab")
		visit("one that she joined a moment ago", ada, club, "in none")
		h.tellObjects(clerksync.OrganizationMemberships)
		visit("the same, which has arrived", ada, club, "member of Club")
		visit("back again", ada, lab, "admin of Lab")
		visit("somebody else's", bob, lab, "in none")
		visit("one that nobody knows", bob, "org_never", "in none")

		if err := h.clerk.UpdateMember(club, ada, clerktest.Fields{"role": "org:admin"}); err != nil {
			t.Fatal(err)
		}
		visit("with a role that has not arrived", ada, club, "member of Club")
		h.tellObjects(clerksync.OrganizationMemberships)
		visit("promoted", ada, club, "admin of Club")
		if err := h.clerk.UpdateOrganization(club, clerktest.Fields{"name": "Society"}); err != nil {
			t.Fatal(err)
		}
		h.tellObjects(clerksync.Organizations)
		visit("renamed", ada, club, "admin of Society")
		h.faults(clerktest.Faults{ErrorRate: 1})
		visit("while Clerk is down", ada, club, "admin of Society")
		h.apply(clerksync.Evidence{Kind: clerksync.Organizations, ID: club, At: time.Now().UnixMilli()})
		visit("dissolved", ada, club, "in none")

		visit("the other one", ada, lab, "admin of Lab")
		db.Close()
		visit("remembered, without a database", ada, lab, "admin of Lab")
		visit("not remembered, without a database", ada, "org_other", unavailable)
		visit("none is active, without a database", ada, "", "in none")
	})
}

// TestMiddlewareOfUsersAlone is a mirror that keeps no organizations.
func TestMiddlewareOfUsersAlone(t *testing.T) {
	t.Parallel()
	h := build(t, pgtest.SQLite(t), loopback)
	alone, err := clerksync.Open(t.Context(), h.db, clerksync.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ada := h.mirrored(young)
	lab := h.team("Lab", ada)
	logins := h.loginsTo(h.net, h.told, func(c *upsert.Config) { c.Mirror = alone })
	expect(t, switched(logins.Middleware(present), "sess_1", ada, lab), "in none")
}

// bearer makes a request with a session token to a handler behind the SDK's middleware.
func bearer(n network, token string, handler http.Handler, options ...clerkhttp.AuthorizationOption) *httptest.ResponseRecorder {
	keys := jwks.NewClient(&clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
		HTTPClient: &http.Client{Transport: n.transport}, URL: clerk.String(n.url + "/v1"), Key: clerk.String(n.clerk.SecretKey()),
	}})
	r := httptest.NewRequest("GET", "/", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	clerkhttp.WithHeaderAuthorization(append(options, clerkhttp.JWKSClient(keys))...)(handler).ServeHTTP(w, r)
	return w
}

// TestImpersonation is somebody of the support in a user's place: the user is let in, as long as he is there, and not his actor.
func TestImpersonation(t *testing.T) {
	t.Parallel()
	h := build(t, pgtest.New(t), loopback)
	support, ada := h.mirrored(old), h.signUp()
	session, err := h.clerk.SignIn(ada, clerktest.SessionOptions{Actor: fmt.Appendf(nil, `{"sub":%q}`, support)})
	if err != nil {
		t.Fatal(err)
	}
	lab := h.team("Lab", ada)
	if err := h.clerk.SwitchOrganization(session, lab); err != nil {
		t.Fatal(err)
	}
	actor := ""
	handler := h.logins.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := clerk.SessionClaimsFromContext(r.Context())
		actor = string(claims.Actor)
		greet(w, r)
		present(w, r)
	}))
	h.leave(support) // the session is Ada's
	expect(t, bearer(h.net, h.clerk.SessionToken(ada), handler), ada+"admin of Lab")
	if want := fmt.Sprintf(`{"sub":%q}`, support); actor != want {
		t.Errorf("the claims name the actor %s, want %s", actor, want)
	}
	token := h.clerk.SessionToken(ada)
	h.leave(ada)
	h.tellGone(ada, 0)
	expect(t, bearer(h.net, token, handler), unauthorized)
	if rows := h.rows(); !h.row(support).Visible || len(rows) != 2 {
		t.Errorf("a login of an impersonator touches his own row: %+v", rows)
	}
}

// TestPendingSession is of a user who has not chosen an organization yet: the SDK and the middleware let him in, and a site that reads the
// session's status can refuse him.
func TestPendingSession(t *testing.T) {
	t.Parallel()
	h := build(t, pgtest.SQLite(t), loopback)
	ada := h.signUp()
	if _, err := h.clerk.SignIn(ada, clerktest.SessionOptions{Pending: true}); err != nil {
		t.Fatal(err)
	}
	handler := h.logins.Middleware(greet)
	expect(t, bearer(h.net, h.clerk.SessionToken(ada), handler), ada)

	type status struct {
		Status string `json:"sts"`
	}
	strict := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := clerk.SessionClaimsFromContext(r.Context())
		if claims != nil && claims.Custom.(*status).Status == "pending" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	})
	read := clerkhttp.CustomClaimsConstructor(func(context.Context) any { return &status{} })
	visit := func() *httptest.ResponseRecorder { return bearer(h.net, h.clerk.SessionToken(ada), strict, read) }
	expect(t, visit(), unauthorized)
	if _, err := h.clerk.CreateSession(ada); err != nil {
		t.Fatal(err)
	}
	expect(t, visit(), ada)
}

// TestTokenInACookie is of a browser, which sends no header: the SDK finds its token only where it is told to.
func TestTokenInACookie(t *testing.T) {
	t.Parallel()
	h := build(t, pgtest.SQLite(t), loopback)
	ada := h.signUp()
	signIn := func(origin string) {
		if _, err := h.clerk.SignIn(ada, clerktest.SessionOptions{Claims: clerktest.Fields{"azp": origin}}); err != nil {
			t.Fatal(err)
		}
	}
	signIn("https://app.example.com")
	ask := func(options ...clerkhttp.AuthorizationOption) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(&http.Cookie{Name: "__session", Value: h.clerk.SessionToken(ada)})
		w := httptest.NewRecorder()
		clerkhttp.WithHeaderAuthorization(append(options, clerkhttp.JSONWebKey(h.clerk.JWTKey()))...)(h.logins.Middleware(greet)).ServeHTTP(w, r)
		return w
	}
	expect(t, ask(), "nobody")
	cookies := clerkhttp.AuthorizationJWTExtractor(func(r *http.Request) string {
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			return token
		}
		if cookie, err := r.Cookie("__session"); err == nil {
			return cookie.Value
		}
		return ""
	})
	expect(t, ask(cookies), ada)
	own := clerkhttp.AuthorizedPartyMatches("https://app.example.com", "https://admin.example.com")
	expect(t, ask(cookies, own), ada)
	signIn("https://other.example.com")
	expect(t, ask(cookies, own), unauthorized)
}

// TestTokenOfNoSession is of tokens that are verified like a session's and are none: a user's is looked up each time, a machine's is nobody's.
func TestTokenOfNoSession(t *testing.T) {
	t.Parallel()
	h := build(t, pgtest.SQLite(t), loopback)
	handler, ada := h.logins.Middleware(greet), h.signUp()
	with := func(claims clerktest.Fields) string {
		if _, err := h.clerk.SignIn(ada, clerktest.SessionOptions{Claims: claims}); err != nil {
			t.Fatal(err)
		}
		return h.clerk.SessionToken(ada)
	}
	for range 2 {
		expect(t, bearer(h.net, with(clerktest.Fields{"sid": nil}), handler), ada)
	}
	if diff := cmp.Diff([]string{"read", "fresh"}, h.told.take()); diff != "" {
		t.Errorf("observed of a user's (-want +got):\n%s", diff)
	}
	asked := h.asks("")
	expect(t, bearer(h.net, with(clerktest.Fields{"sid": nil, "sub": "mch_123"}), handler), unauthorized)
	if n := h.asks("") - asked; n != 0 {
		t.Errorf("Clerk was asked %d times for a machine", n)
	}
	for _, opaque := range []string{"mt_123", "ak_123", "oat_123"} {
		expect(t, bearer(h.net, opaque, handler), "nobody")
	}
}

// TestTokenOfAnotherInstance has two instances in one process: clerk-sdk-go remembers the keys of both, and lets both their tokens pass.
func TestTokenOfAnotherInstance(t *testing.T) {
	t.Parallel()
	other := loopback(t, clerktest.Config{Seed: 2})
	stranger, err := other.clerk.CreateUser(clerktest.Fields{})
	if err != nil {
		t.Fatal(err)
	}
	for name, issuer := range map[string]bool{"issuer": true, "no issuer": false} {
		t.Run(name, func(t *testing.T) {
			h := build(t, pgtest.SQLite(t), loopback, func(c *upsert.Config) {
				if issuer {
					c.Issuer = clerktestIssuer(t) + "/" // as a browser copies it
				}
			})
			handler := h.logins.Middleware(greet)
			ada := h.signUp()
			expect(t, bearer(h.net, h.clerk.SessionToken(ada), handler), ada)
			token, admitted := other.clerk.SessionToken(stranger), false
			bearer(other, token, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // the SDK learns the key
			w := bearer(h.net, token, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, admitted = clerk.SessionClaimsFromContext(r.Context())
				handler.ServeHTTP(w, r)
			}))
			if !admitted {
				t.Error("the SDK refuses the token by itself: is the issuer still worth checking?")
			}
			expect(t, w, unauthorized)
			claims := &clerk.SessionClaims{}
			claims.Subject, claims.Issuer = stranger, other.clerk.Issuer()
			_, err := h.logins.UpsertOnLogin(clerk.ContextWithSessionClaims(t.Context(), claims), stranger)
			mustBe(t, err, upsert.ErrNotFound)
			if asked := h.asks("/v1/users/" + stranger); issuer != (asked == 0) {
				t.Errorf("Clerk was asked %d times for the stranger", asked)
			}
			if diff := cmp.Diff([]string{"read", "not_found", "not_found"}, h.told.take()); diff != "" {
				t.Errorf("observed (-want +got):\n%s", diff)
			}
			if rows := h.rows(); len(rows) != 1 || !h.row(ada).Visible {
				t.Errorf("rows: %+v", rows)
			}
		})
	}
}

// clerktestIssuer is the issuer of the houses' Clerk.
func clerktestIssuer(t *testing.T) string {
	t.Helper()
	there, err := clerktest.New(clerktest.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	return there.Issuer()
}

// TestKeysWhileClerkIsDown is of a site that begins while Clerk is down: the SDK refuses everybody, unless it was given the key.
func TestKeysWhileClerkIsDown(t *testing.T) {
	t.Parallel()
	h := build(t, pgtest.SQLite(t), loopback)
	handler, ada := h.logins.Middleware(greet), h.mirrored(old)
	h.faults(clerktest.Faults{ErrorRate: 1})
	expect(t, bearer(h.net, h.clerk.SessionToken(ada), handler), unauthorized)
	expect(t, bearer(h.net, h.clerk.SessionToken(ada), handler, clerkhttp.JSONWebKey(h.clerk.JWTKey())), ada)
	if diff := cmp.Diff([]string{"stale"}, h.told.take()); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

// at is a clock of the SDK's that stands still.
type at time.Time

func (a at) Now() time.Time { return time.Time(a) }

// TestKeysThatAreKept is why a site is to be restarted once keys were rolled: whatever names a key, verified or not, has the SDK keep it for
// another hour. Once it asks anew, Clerk, which is down here, does not tell.
func TestKeysThatAreKept(t *testing.T) {
	t.Parallel()
	h := build(t, pgtest.SQLite(t), loopback)
	handler, ada := h.logins.Middleware(greet), h.mirrored(old)
	token, now := h.clerk.SessionToken(ada), time.Now()
	visit := func(after time.Duration, token string) *httptest.ResponseRecorder {
		return bearer(h.net, token, handler, clerkhttp.Clock(at(now.Add(after))), clerkhttp.Leeway(24*time.Hour))
	}
	expect(t, visit(0, token), ada)
	h.faults(clerktest.Faults{ErrorRate: 1})
	unsigned := token[:strings.LastIndex(token, ".")] + ".AAAA"
	expect(t, visit(50*time.Minute, unsigned), unauthorized)
	expect(t, visit(100*time.Minute, unsigned), unauthorized)
	expect(t, visit(150*time.Minute, token), ada)
	expect(t, visit(220*time.Minute, token), unauthorized)
}
