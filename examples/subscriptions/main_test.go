package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/erasure"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/webhook"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestErasure deletes one of three colleagues at Clerk, and another one by a forged event. Only the one loses his subscription, and only
// when he is erased; a notice that fails comes again. Those of an organization that he left a year ago are told nothing.
func TestErasure(t *testing.T) {
	t.Parallel()
	var calls []string
	fail := true
	there := clerktest.NewServer(t, clerktest.Config{RetryScale: 0.001})
	db := pgtest.New(t)
	a, err := open(t.Context(), db, clerksync.APIConfig{
		SecretKey: there.SecretKey(), URL: there.URL(), RateLimit: -1, Transport: &http.Transport{DisableKeepAlives: true},
	}, outside{
		cancel: func(_ context.Context, user string) error { calls = append(calls, "cancel "+user); return nil },
		notify: func(_ context.Context, member, gone string) error {
			if fail {
				fail = false
				return errors.New("the mail server is away")
			}
			calls = append(calls, "tell "+member+" of "+gone)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(webhook.NewHandler(webhook.Config{Mirror: a.mirror, Secrets: []string{there.WebhookSecret()}}))
	defer site.Close()
	there.SetWebhookURL(site.URL)
	wait := func() {
		t.Helper()
		if _, err := there.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	organization, err := there.CreateOrganization(clerktest.Fields{"name": "Analytical Engines"})
	if err != nil {
		t.Fatal(err)
	}
	var users []string
	for _, name := range []string{"Ada", "Charles", "Luigi"} {
		id, err := there.CreateUser(clerktest.Fields{"first_name": name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := there.AddMember(organization, id, "org:member"); err != nil {
			t.Fatal(err)
		}
		users = append(users, id)
	}
	wait()
	gone, stays, forged := users[0], users[1], users[2]
	former, err := there.CreateOrganization(clerktest.Fields{"name": "Difference Engines", "created_by": there.MustCreateUser(clerktest.Person("Mary", ""))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := there.AddMember(former, gone, "org:member"); err != nil {
		t.Fatal(err)
	}
	wait()
	if err := there.RemoveMember(former, gone); err != nil {
		t.Fatal(err)
	}
	wait()
	db.MustExec(`UPDATE clerk.organization_memberships SET deleted_at = deleted_at - interval '1 year' WHERE user_id = $1 AND organization_id = $2`, gone, former)
	if err := there.DeleteUser(gone); err != nil {
		t.Fatal(err)
	}
	wait()
	_, err = a.mirror.Apply(t.Context(), clerksync.Evidence{
		Kind: clerksync.Users, ID: forged, At: time.Now().UnixMilli(), Source: clerksync.Webhook, Event: &clerksync.Event{ID: "msg_forged"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.relays.RunOnce(t.Context()); err != nil || len(calls) > 0 {
		t.Errorf("on hearsay: %v, %v", calls, err)
	}
	report, err := erasure.New(erasure.Config{Mirror: a.mirror, Clerk: a.api, After: -1}).RunOnce(t.Context())
	if err != nil || report.Objects[clerksync.Users] != 1 {
		t.Fatalf("the erasure: %+v, %v", report, err)
	}
	for range 2 {
		if err := a.relays.RunOnce(t.Context()); err != nil {
			t.Error(err)
		}
	}
	others := []string{stays, forged}
	if forged < stays {
		others = []string{forged, stays}
	}
	want := []string{"cancel " + gone, "cancel " + gone, "tell " + others[0] + " of " + gone, "tell " + others[1] + " of " + gone}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
}

// TestServe ends as a whole: with its context, and where its endpoint is gone.
func TestServe(t *testing.T) {
	t.Parallel()
	there := clerktest.NewServer(t, clerktest.Config{Users: 2})
	a, err := open(t.Context(), pgtest.New(t), clerksync.APIConfig{
		SecretKey: there.SecretKey(), URL: there.URL(), RateLimit: -1, Transport: &http.Transport{DisableKeepAlives: true},
	}, outside{})
	if err != nil {
		t.Fatal(err)
	}
	for _, stopped := range []bool{true, false} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.serve(ctx, listener, there.WebhookSecret()) }()
		if stopped {
			stop()
		} else {
			listener.Close()
		}
		if err := <-ended; (err == nil) != stopped {
			t.Errorf("stopped %t: %v", stopped, err)
		}
		stop()
	}
}
