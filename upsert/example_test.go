package upsert_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/clerk/clerk-sdk-go/v2"
	clerkhttp "github.com/clerk/clerk-sdk-go/v2/http"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
)

// site is a Clerk, a mirror of it on an application's database, and what reads Clerk's Backend API.
func site(kinds ...clerksync.Kind) (there *clerktest.Server, mirror *clerksync.Mirror, api *clerksync.API, end func()) {
	t, end := pgtest.Example()
	there = clerktest.NewServer(t, clerktest.Config{})
	mirror, err := clerksync.Open(context.Background(), pgtest.New(t), clerksync.Config{Kinds: kinds, Unprepared: pgtest.Unprepared()})
	if err != nil {
		log.Fatal(err)
	}
	api, err = clerksync.NewAPI(clerksync.APIConfig{
		SecretKey: there.SecretKey(), URL: there.URL(), RateLimit: -1, Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		log.Fatal(err)
	}
	return there, mirror, api, end
}

// get makes a request with a session token to a handler, behind clerk-sdk-go's middleware which verifies the token.
func get(there *clerktest.Server, userID string, handler http.Handler) string {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+there.SessionToken(userID))
	w := httptest.NewRecorder()
	clerkhttp.WithHeaderAuthorization(clerkhttp.JSONWebKey(there.JWTKey()))(handler).ServeHTTP(w, r)
	return strings.TrimSpace(w.Body.String())
}

// The login handler of a site: a user who has just signed in is in the database, whether a webhook came or not.
func ExampleUpserter_UpsertOnLogin() {
	there, mirror, api, end := site()
	defer end()
	users, err := upsert.New(upsert.Config{Mirror: mirror, Clerk: api})
	if err != nil {
		log.Fatal(err)
	}
	defer users.Close()

	login := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, ok := clerk.SessionClaimsFromContext(r.Context())
		if !ok {
			http.Error(w, "please sign in", http.StatusUnauthorized)
			return
		}
		user, err := users.UpsertOnLogin(r.Context(), claims.Subject)
		switch {
		case errors.Is(err, upsert.ErrDeleted), errors.Is(err, upsert.ErrNotFound):
			http.Error(w, "please sign in again", http.StatusUnauthorized)
		case err != nil: // upsert.ErrUnavailable
			http.Error(w, "please try again", http.StatusServiceUnavailable)
		default:
			fmt.Fprintf(w, "Hello %s!", *user.FirstName)
		}
	})

	fmt.Println(get(there, there.MustCreateUser(clerktest.Person("Ada", "Lovelace")), login))
	fmt.Println(get(there, "user_whom_nobody_knows", login))
	// Output:
	// Hello Ada!
	// please sign in again
}

// The middleware of a site: every request of a signed-in user carries the user's row, and costs the database nothing once the
// session was seen.
func ExampleUpserter_Middleware() {
	there, mirror, api, end := site()
	defer end()
	users, err := upsert.New(upsert.Config{Mirror: mirror, Clerk: api, Issuer: there.Issuer()})
	if err != nil {
		log.Fatal(err)
	}
	defer users.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		user, ok := upsert.FromContext(r.Context())
		if !ok {
			fmt.Fprint(w, "Hello stranger!")
			return
		}
		fmt.Fprintf(w, "Hello %s!", *user.FirstName)
	})
	handler := users.Middleware(mux)

	fmt.Println(get(there, there.MustCreateUser(clerktest.Person("Ada", "Lovelace")), handler))
	fmt.Println(get(there, "user_whom_nobody_knows", handler))
	// Output:
	// Hello Ada!
	// this account is not known yet; sign in again
}

// The active organization of the session, and the user's role in it, as the mirror has them.
func ExampleMembershipFromContext() {
	there, mirror, api, end := site(clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships)
	defer end()
	users, err := upsert.New(upsert.Config{Mirror: mirror, Clerk: api})
	if err != nil {
		log.Fatal(err)
	}
	defer users.Close()

	handler := users.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, ok := upsert.MembershipFromContext(r.Context())
		if !ok {
			fmt.Fprint(w, "choose a team")
			return
		}
		fmt.Fprintf(w, "%s, admin: %t", *m.Organization.Name, m.HasRole("org:admin"))
	}))

	ada := there.MustCreateUser(clerktest.Person("Ada", "Lovelace"))
	fmt.Println(get(there, ada, handler))
	lab, err := there.CreateOrganization(clerktest.Fields{"name": "Lab", "created_by": ada})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := there.SignIn(ada, clerktest.SessionOptions{OrganizationID: lab}); err != nil {
		log.Fatal(err)
	}
	pass(mirror, api) // or the webhook, a second later
	fmt.Println(get(there, ada, handler))
	// Output:
	// choose a team
	// Lab, admin: true
}

// pass brings the mirror to what Clerk has.
func pass(mirror *clerksync.Mirror, api *clerksync.API) {
	if _, err := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api}).RunOnce(context.Background()); err != nil {
		log.Fatal(err)
	}
}
