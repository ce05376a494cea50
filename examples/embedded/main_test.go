package main

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestEmbedded starts the application with three users in Clerk; one more signs up, and leaves.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	there := clerktest.NewServer(t, clerktest.Config{Users: 3, HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
	db := pgtest.New(t)
	db.MustExec(`INSERT INTO clerk.events (id, received_at, outcome, attempts) VALUES ('msg_old', now() - interval '40 days', 'updated', 1)`)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	there.SetWebhookURL("http://" + listener.Addr().String() + "/api/webhooks/clerk")
	var mu sync.Mutex
	var mails []string
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, db, listener, config{
			clerk: clerksync.APIConfig{
				SecretKey: there.SecretKey(), URL: there.URL(), RateLimit: -1, Transport: &http.Transport{DisableKeepAlives: true},
			},
			secret: there.WebhookSecret(),
			welcome: func(_ context.Context, address string) error {
				mu.Lock()
				defer mu.Unlock()
				mails = append(mails, address)
				return nil
			},
		})
	}()
	count := func(query string) (n int) {
		if err := db.GetContext(t.Context(), &n, query); err != nil {
			return -1 // the tables are not there yet
		}
		return n
	}
	const projects = `SELECT count(*) FROM projects JOIN clerk.active_users AS u ON u.id = owner`
	wait(t, "the three users to have projects", func() bool { return count(projects) == 3 })

	wait(t, "what is old to be removed", func() bool { return count(`SELECT count(*) FROM clerk.events WHERE id = 'msg_old'`) == 0 })
	id := there.MustCreateUser(clerktest.Person("Ada", "Lovelace").Email("ada@example.com"))
	wait(t, "Ada to have a project and a mail", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return count(projects) == 4 && slices.Equal(mails, []string{"ada@example.com"})
	})
	if err := there.DeleteUser(id); err != nil {
		t.Fatal(err)
	}
	wait(t, "Ada to be gone", func() bool { return count(projects) == 3 })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(mails) != 1 {
		t.Errorf("mails to %v, want one to Ada", mails)
	}
}

func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited too long for ", what)
		}
	}
}
