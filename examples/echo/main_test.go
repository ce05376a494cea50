package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestSite visits the site as a member of an organization, as a user alone, as somebody whom Clerk does not have, and as nobody.
func TestSite(t *testing.T) {
	there := clerktest.NewServer(t, clerktest.Config{})
	ada, bob := there.MustCreateUser(clerktest.Person("Ada", "Lovelace")), there.MustCreateUser(clerktest.Person("Bob", "Hope"))
	eve := there.MustCreateUser(clerktest.Fields{"email_address": []string{"eve@example.com"}}) // has not told a name
	lab, err := there.CreateOrganization(clerktest.Fields{"name": "Lab", "created_by": ada})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := there.SignIn(ada, clerktest.SessionOptions{OrganizationID: lab}); err != nil {
		t.Fatal(err)
	}
	db := pgtest.New(t)
	cfg := clerksync.APIConfig{SecretKey: there.SecretKey(), URL: there.URL(), RateLimit: -1, Transport: &http.Transport{DisableKeepAlives: true}}
	fill(t, db, cfg)
	users, err := open(t.Context(), db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer users.Close()
	site := routes(verify(cfg), users)
	for _, c := range []struct {
		token, want string
		code        int
	}{
		{there.SessionToken(ada), "Hello Ada of Lab!", 200},
		{there.SessionToken(bob), "Hello Bob!", 200},
		{there.SessionToken(eve), "Hello " + eve + "!", 200},
		{there.SessionToken("user_unknown"), "this account is not known yet; sign in again\n", 401},
		{"", "Hello stranger!", 200},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		if w.Code != c.code || w.Body.String() != c.want {
			t.Errorf("%d %q, want %d %q", w.Code, w.Body, c.code, c.want)
		}
	}
}

// fill has a pass read what Clerk has.
func fill(t *testing.T, db *sqlx.DB, cfg clerksync.APIConfig) {
	t.Helper()
	mirror, err := clerksync.Open(t.Context(), db, clerksync.Config{
		Kinds: []clerksync.Kind{clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships},
	})
	if err != nil {
		t.Fatal(err)
	}
	api, err := clerksync.NewAPI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api}).RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}
