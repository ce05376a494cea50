package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestLogin signs somebody in with a session token, and nobody without one.
func TestLogin(t *testing.T) {
	t.Parallel()
	there := clerktest.NewServer(t, clerktest.Config{})
	id, err := there.CreateUser(clerktest.Fields{"first_name": "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := clerksync.APIConfig{SecretKey: there.SecretKey(), URL: there.URL(), Transport: &http.Transport{DisableKeepAlives: true}}
	users, err := open(t.Context(), pgtest.New(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer users.Close()
	site := httptest.NewServer(verify(cfg)(login(users)))
	defer site.Close()

	for _, c := range []struct {
		token, want string
		code        int
	}{
		{there.SessionToken(id), "You are " + id + ".\n", 200},
		{there.SessionToken("user_nobody"), "please sign in again\n", 401},
		{"", "please sign in\n", 401},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, site.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		resp, err := site.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.code || string(body) != c.want {
			t.Errorf("%d %q (%v), want %d %q", resp.StatusCode, body, err, c.code, c.want)
		}
	}
}

// TestLoginWhileClerkIsDown begins while Clerk tells nothing, not even the key of its tokens: whom the database has is let in.
func TestLoginWhileClerkIsDown(t *testing.T) {
	there := clerktest.NewServer(t, clerktest.Config{})
	t.Setenv("CLERK_JWT_KEY", there.JWTKey())
	id := there.MustCreateUser(clerktest.Person("Ada", "Lovelace"))
	cfg := clerksync.APIConfig{SecretKey: there.SecretKey(), URL: there.URL(), Transport: &http.Transport{DisableKeepAlives: true}}
	users, err := open(t.Context(), pgtest.New(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer users.Close()
	if _, err := users.UpsertOnLogin(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := there.SetFaults(clerktest.Faults{ErrorRate: 1}); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/login", nil)
	r.Header.Set("Authorization", "Bearer "+there.SessionToken(id))
	w := httptest.NewRecorder()
	verify(cfg)(login(users)).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

// TestManyLogins is of more logins at once than a server takes connections.
func TestManyLogins(t *testing.T) {
	t.Parallel()
	const many = 300
	there := clerktest.NewServer(t, clerktest.Config{})
	cfg := clerksync.APIConfig{SecretKey: there.SecretKey(), URL: there.URL(), RateLimit: -1, Transport: &http.Transport{DisableKeepAlives: true}}
	db, err := sqlx.Open("postgres", pgtest.Own(t, pgtest.Options{Settings: []string{"max_connections=50"}}).URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	users, err := open(t.Context(), db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer users.Close()
	ids := make([]string, many)
	for i := range ids {
		ids[i] = there.MustCreateUser(clerktest.Fields{})
	}
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			if _, err := users.UpsertOnLogin(t.Context(), id); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
