package clerktest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	clerksdk "github.com/clerk/clerk-sdk-go/v2"
	clerkhttp "github.com/clerk/clerk-sdk-go/v2/http"
	"github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"github.com/clerksync/clerksync/clerktest"
)

// An application under test receives the events of an emulated instance, and
// clerk-sdk-go talks to it.
func Example() {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("received a webhook, signed:", r.Header.Get("svix-signature") != "")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer app.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, err := clerktest.Start(ctx, clerktest.Config{WebhookURL: app.URL})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	users := user.NewClient(&clerksdk.ClientConfig{BackendConfig: clerksdk.BackendConfig{
		HTTPClient: &http.Client{Transport: transport}, URL: new(server.APIURL()), Key: new(server.SecretKey()),
	}})
	ada, err := users.Create(ctx, &user.CreateParams{FirstName: new("Ada"), EmailAddresses: &[]string{"ada@example.com"}})
	if err != nil {
		log.Fatal(err)
	}
	counts, err := server.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(*ada.FirstName, counts.Delivered)
	// Output:
	// received a webhook, signed: true
	// Ada 1
}

// inbox is an application that receives events.
func inbox(told func(eventType string)) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var event struct{ Type string }
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			log.Fatal(err)
		}
		told(event.Type)
	}))
}

// start starts an emulator that posts one event after the other.
func start(ctx context.Context, cfg clerktest.Config) *clerktest.Server {
	cfg.Concurrency, cfg.RetryScale = 1, 0.001
	cfg.HTTPClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	server, err := clerktest.Start(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	return server
}

// Users are built of what Clerk's Backend API knows.
func ExamplePerson() {
	clerk, err := clerktest.New(clerktest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer clerk.Close()

	id := clerk.MustCreateUser(clerktest.Person("Ada", "Lovelace").
		Email("ada@example.com", "countess@example.com").
		With("external_id", "42").
		With("public_metadata", map[string]any{"plan": "pro"}))

	var user struct {
		FirstName string `json:"first_name"`
		Emails    []struct {
			Address string `json:"email_address"`
		} `json:"email_addresses"`
		Metadata map[string]any `json:"public_metadata"`
	}
	fmt.Println(json.Unmarshal(clerk.User(id), &user), user)
	_, err = clerk.CreateUser(clerktest.Person("Eve", "").Email("ada@example.com"))
	fmt.Println(err)
	// Output:
	// <nil> {Ada [{ada@example.com} {countess@example.com}] map[plan:pro]}
	// clerktest: 422 form_identifier_exists: That email_address is taken. Please try another.
}

// Events are withheld, and sent when the test wants them.
func ExampleClerk_Hold() {
	ctx := context.Background()
	app := inbox(func(eventType string) { fmt.Println("told of", eventType) })
	defer app.Close()
	clerk := start(ctx, clerktest.Config{WebhookURL: app.URL})
	defer clerk.Close()

	clerk.Hold()
	id := clerk.MustCreateUser(clerktest.Person("Ada", "Lovelace"))
	fmt.Println("signed up, and nobody has been told")
	clerk.Release()
	if _, err := clerk.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	if err := clerk.DeleteUser(id); err != nil {
		log.Fatal(err)
	}
	if _, err := clerk.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// signed up, and nobody has been told
	// told of user.created
	// told of user.deleted
}

// Events are lost, and sent again as Clerk's dashboard does.
func ExampleClerk_Resend() {
	ctx := context.Background()
	app := inbox(func(eventType string) { fmt.Println("told of", eventType) })
	defer app.Close()
	clerk := start(ctx, clerktest.Config{WebhookURL: app.URL, Faults: clerktest.Faults{Drop: 1}})
	defer clerk.Close()

	clerk.MustCreateUser(clerktest.Person("Ada", "Lovelace"))
	counts, err := clerk.Wait(ctx)
	fmt.Println(counts.Dropped, "lost", err)
	fmt.Println(clerk.Resend("missing", time.Time{}), "sent again")
	if _, err := clerk.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// 1 lost <nil>
	// 1 sent again
	// told of user.created
}

// Clerk is down, and then it is well again.
func ExampleClerk_SetFaults() {
	ctx := context.Background()
	clerk := start(ctx, clerktest.Config{})
	defer clerk.Close()
	transport := &http.Transport{DisableKeepAlives: true}
	users := user.NewClient(&clerksdk.ClientConfig{BackendConfig: clerksdk.BackendConfig{
		HTTPClient: &http.Client{Transport: transport}, URL: new(clerk.APIURL()), Key: new(clerk.SecretKey()),
	}})

	if err := clerk.SetFaults(clerktest.Faults{Unauthorized: true}); err != nil {
		log.Fatal(err)
	}
	_, err := users.Count(ctx, &user.ListParams{})
	fmt.Println("refused:", err != nil)
	if err := clerk.SetFaults(clerktest.Faults{}); err != nil {
		log.Fatal(err)
	}
	count, err := users.Count(ctx, &user.ListParams{})
	fmt.Println(count.TotalCount, err)
	// Output:
	// refused: true
	// 0 <nil>
}

// Time is what the test makes of it: a session token lives for a minute.
func ExampleClock() {
	ctx := context.Background()
	var clock clerktest.Clock
	clerk := start(ctx, clerktest.Config{Now: clock.Now})
	defer clerk.Close()
	verify := func(token string) error {
		key, err := clerksdk.JSONWebKeyFromPEM(clerk.JWTKey())
		if err != nil {
			return err
		}
		_, err = jwt.Verify(ctx, &jwt.VerifyParams{Token: token, JWK: key, Clock: &clock})
		return err
	}

	id := clerk.MustCreateUser(clerktest.Person("Ada", "Lovelace"))
	token := clerk.SessionToken(id)
	fmt.Println("now:", verify(token))
	clock.Advance(2 * time.Minute)
	fmt.Println("later:", verify(token) != nil)
	// Output:
	// now: <nil>
	// later: true
}

// A session token names the active organization, the role in it, and who acts in the user's place.
func ExampleClerk_SessionToken() {
	ctx := context.Background()
	clerk := start(ctx, clerktest.Config{})
	defer clerk.Close()
	id := clerk.MustCreateUser(clerktest.Person("Ada", "Lovelace"))
	lab, err := clerk.CreateOrganization(clerktest.Fields{"name": "Lab", "created_by": id})
	if err != nil {
		log.Fatal(err)
	}
	_, err = clerk.SignIn(id, clerktest.SessionOptions{OrganizationID: lab, Actor: []byte(`{"sub":"user_support"}`)})
	if err != nil {
		log.Fatal(err)
	}

	site := clerkhttp.RequireHeaderAuthorization(clerkhttp.JSONWebKey(clerk.JWTKey()))(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			claims, _ := clerksdk.SessionClaimsFromContext(r.Context())
			fmt.Println(claims.Subject == id, claims.ActiveOrganizationSlug, claims.ActiveOrganizationRole, string(claims.Actor))
		}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+clerk.SessionToken(id))
	site.ServeHTTP(httptest.NewRecorder(), r)
	// Output: true lab org:admin {"sub":"user_support"}
}
