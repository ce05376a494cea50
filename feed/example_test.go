package feed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	svix "github.com/svix/svix-webhooks/go"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

// site is a mirror on an application's database. Ada has just signed up, and so has Bob, who is gone again.
func site() (ctx context.Context, mirror *clerksync.Mirror, end func()) {
	t, end := pgtest.Example()
	ctx = context.Background()
	mirror, err := clerksync.Open(ctx, pgtest.New(t), clerksync.Config{Unprepared: pgtest.Unprepared()})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	there := clerktest.NewServer(t, clerktest.Config{HTTPClient: client})
	app := httptest.NewServer(webhook.NewHandler(webhook.Config{Mirror: mirror, Secrets: []string{there.WebhookSecret()}}))
	defer app.Close()
	there.SetWebhookURL(app.URL)
	wait := func() {
		if _, err := there.Wait(ctx); err != nil {
			log.Fatal(err)
		}
	}
	there.MustCreateUser(clerktest.Person("Ada", "Lovelace").Email("ada@example.com"))
	wait()
	bob := there.MustCreateUser(clerktest.Fields{})
	wait()
	if err := there.DeleteUser(bob); err != nil {
		log.Fatal(err)
	}
	wait()
	return ctx, mirror, end
}

// A welcome mail after the commit of a sign-up: at least once, also after a crash, and to nobody who was there before the mirror.
func ExampleHooks() {
	ctx, mirror, end := site()
	defer end()

	relays, err := feed.New(feed.Config{Mirror: mirror, Relays: []feed.Relay{{
		Name: "welcome",
		Receiver: feed.Hooks{clerksync.Users: {OnCreated: func(ctx context.Context, m feed.Message) error {
			user, err := mirror.User(ctx, m.Change.ObjectID)
			switch {
			case errors.Is(err, clerksync.ErrDeleted):
				return nil // gone already: an error would bring the same message for ever
			case err != nil:
				return err // and the same message comes again
			case user.Email != nil: // who signs up by phone has none
				fmt.Println("mail to", *user.Email)
			}
			return nil
		}}},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(relays.RunOnce(ctx)) // an application calls Run in a goroutine
	fmt.Println(relays.RunOnce(ctx)) // nothing new
	// Output:
	// mail to ada@example.com
	// <nil>
	// <nil>
}

// Any function can be a receiver.
func ExampleReceiverFunc() {
	ctx, mirror, end := site()
	defer end()

	relays, err := feed.New(feed.Config{Mirror: mirror, Relays: []feed.Relay{{
		Name: "journal", Batch: 100, Data: true,
		Receiver: feed.ReceiverFunc(func(_ context.Context, messages ...feed.Message) error {
			for _, m := range messages {
				if m.Object == nil {
					fmt.Println(m.Type(), "of somebody who is gone")
					continue
				}
				var user struct {
					LastName string `json:"last_name"`
				}
				if err := json.Unmarshal(m.Object, &user); err != nil {
					return err
				}
				fmt.Println(m.Type(), user.LastName)
			}
			return nil
		}),
	}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := relays.RunOnce(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// user.created Lovelace
	// user.created of somebody who is gone
	// user.deleted of somebody who is gone
}

// Signed posts to another service, which verifies them with any library for Standard Webhooks.
func ExampleNewHTTP() {
	ctx, mirror, end := site()
	defer end()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	verifier, err := svix.NewWebhook(secret)
	if err != nil {
		log.Fatal(err)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || verifier.Verify(body, r.Header) != nil {
			http.Error(w, "not signed", http.StatusUnauthorized)
			return
		}
		var event struct{ Type string }
		fmt.Println(json.Unmarshal(body, &event), event.Type)
	}))
	defer other.Close()

	post, err := feed.NewHTTP(feed.HTTPConfig{URL: other.URL, Secrets: []string{secret}})
	if err != nil {
		log.Fatal(err)
	}
	defer post.Close()
	relays, err := feed.New(feed.Config{Mirror: mirror, Relays: []feed.Relay{{Name: "other", Receiver: post}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := relays.RunOnce(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// <nil> com.clerk.user.created
	// <nil> com.clerk.user.created
	// <nil> com.clerk.user.deleted
}

// The feed over HTTP, for programs that ask at their own pace. The route should be behind the application's own authentication.
func ExampleNewPull() {
	_, mirror, end := site()
	defer end()

	mux := http.NewServeMux()
	mux.Handle("GET /changes", feed.NewPull(feed.PullConfig{Mirror: mirror}))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/changes?after=0&limit=10", nil))
	var answer struct {
		Events []struct{ Type string }
		Next   int64
	}
	fmt.Println(json.Unmarshal(w.Body.Bytes(), &answer), answer.Events, answer.Next)
	// Output: <nil> [{com.clerk.user.created} {com.clerk.user.created} {com.clerk.user.deleted}] 3
}
