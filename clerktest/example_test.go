package clerktest_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
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
	users := user.NewClient(&clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
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
