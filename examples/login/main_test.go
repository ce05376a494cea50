package main

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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

// TestLargeTokens sends a token whose header is nested as deep as Go's own bound of headers allows: clerk-sdk-go, which reads that by recursion
// before it verifies anything, does not get it.
func TestLargeTokens(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	site := server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("a token of %d bytes is read", len(r.Header.Get("Authorization")))
	}))
	left := make(chan struct{}, 1)
	site.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			left <- struct{}{}
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = site.Serve(listener) // ends with Close
	}()
	defer func() {
		<-left
		site.Close()
		<-done
	}()
	deep := strings.Repeat("[", 380_000) + strings.Repeat("]", 380_000)
	token := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"x","deep":`+deep+`}`)) + ".e30.AAAA"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+listener.Addr().String()+"/login", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return // the server has closed the connection before all had come
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("answered %d", resp.StatusCode)
	}
}

// TestSitesBoundTokens is of all examples that have clerk-sdk-go verify tokens.
func TestSitesBoundTokens(t *testing.T) {
	t.Parallel()
	sites, err := filepath.Glob("../*/main.go")
	if err != nil || len(sites) < 4 {
		t.Fatal(sites, err)
	}
	for _, name := range sites {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if site := string(text); strings.Contains(site, "clerkhttp.") && (!strings.Contains(site, "MaxHeaderBytes: 16 << 10") || strings.Contains(site, "http.ListenAndServe")) {
			t.Errorf("%s takes tokens of any size", name)
		}
	}
}

// TestMadeUpKeys sends tokens that name keys which there are not to a site that was given the key: Clerk is not asked for others.
func TestMadeUpKeys(t *testing.T) {
	var asked atomic.Int64
	there := clerktest.NewServer(t, clerktest.Config{OnRequest: func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/jwks") {
			asked.Add(1)
		}
	}})
	cfg := clerksync.APIConfig{SecretKey: there.SecretKey(), URL: there.URL()}
	for _, c := range []struct {
		key  string
		want int64
	}{{"", 3}, {there.JWTKey(), 0}} { // without it each of them has Clerk asked, as the comments and the documentation say
		t.Setenv("CLERK_JWT_KEY", c.key)
		site := verify(cfg)(http.NotFoundHandler())
		asked.Store(0)
		for _, kid := range []string{"a", "b", "c"} {
			r := httptest.NewRequest(http.MethodPost, "/login", nil)
			r.Header.Set("Authorization", "Bearer "+base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"`+kid+`"}`))+".e30.AAAA")
			w := httptest.NewRecorder()
			site.ServeHTTP(w, r)
			if w.Code != http.StatusUnauthorized {
				t.Errorf("answered %d", w.Code)
			}
		}
		if got := asked.Load(); got != c.want {
			t.Errorf("with the key %t: Clerk was asked %d times, want %d", c.key != "", got, c.want)
		}
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
