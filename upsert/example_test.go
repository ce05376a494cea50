package upsert_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	clerk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/migrations"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
)

// The login handler of a site: a user who has just signed in is in the database, whether a webhook came or not. What is the
// emulator's address here is left out with a real Clerk account, and the database is the site's own.
func ExampleUpserter_UpsertOnLogin() {
	ctx := context.Background()
	there, db, end := site(ctx)
	defer end()

	mirror, err := clerksync.Open(ctx, db, clerksync.Config{})
	if err != nil {
		log.Fatal(err)
	}
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: there.SecretKey(), URL: there.URL()})
	if err != nil {
		log.Fatal(err)
	}
	users, err := upsert.New(upsert.Config{Mirror: mirror, Clerk: api})
	if err != nil {
		log.Fatal(err)
	}
	defer users.Close()

	login := func(w http.ResponseWriter, r *http.Request) {
		claims, ok := clerk.SessionClaimsFromContext(r.Context()) // verified by clerk-sdk-go's middleware
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
	}

	id, err := there.CreateUser(clerktest.Fields{"first_name": "Ada"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(signedIn(login, id))
	// Output: Hello Ada!
}

// The middleware of a site: every request of a signed-in user carries the user's row, and costs the database nothing once the
// session was seen.
func ExampleUpserter_Middleware() {
	ctx := context.Background()
	there, db, end := site(ctx)
	defer end()

	mirror, err := clerksync.Open(ctx, db, clerksync.Config{})
	if err != nil {
		log.Fatal(err)
	}
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: there.SecretKey(), URL: there.URL()})
	if err != nil {
		log.Fatal(err)
	}
	users, err := upsert.New(upsert.Config{Mirror: mirror, Clerk: api})
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
	handler := users.Middleware(mux) // behind clerkhttp.WithHeaderAuthorization()

	id, err := there.CreateUser(clerktest.Fields{"first_name": "Ada"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(signedIn(handler.ServeHTTP, id))
	fmt.Println(signedIn(handler.ServeHTTP, "user_whom_nobody_knows"))
	// Output:
	// Hello Ada!
	// this account is not known yet; sign in again
}

// site is a Clerk to try things with, and a database with the mirror's tables.
func site(ctx context.Context) (*clerktest.Server, *sqlx.DB, func()) {
	there, err := clerktest.Start(ctx, clerktest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "site")
	if err != nil {
		log.Fatal(err)
	}
	db, err := sqlx.Open("sqlite", "file:"+filepath.Join(dir, "clerksync.db")+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		log.Fatal(err)
	}
	if err := migrations.Up(ctx, db.DB, migrations.Options{Dialect: migrations.SQLite}); err != nil {
		log.Fatal(err)
	}
	return there, db, func() { db.Close(); there.Close(); os.RemoveAll(dir); http.DefaultClient.CloseIdleConnections() }
}

// signedIn makes a request as clerk-sdk-go's middleware passes it on, and returns the answer.
func signedIn(handler http.HandlerFunc, userID string) string {
	claims := &clerk.SessionClaims{}
	claims.Subject, claims.SessionID = userID, "sess_1"
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	handler(w, r.WithContext(clerk.ContextWithSessionClaims(r.Context(), claims)))
	return strings.TrimSpace(w.Body.String())
}
