package clerksync_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
	"github.com/clerksync/clerksync/webhook"
)

const (
	fewConnections = 4
	manyEvents     = 500
	manyLogins     = 50
	answerTime     = 5 * time.Second // for an event, held in the long form
)

// TestClerkHangs lets Clerk answer nothing while a pass and fifty logins wait for it, and tells five hundred events at once to a mirror
// that has four connections. None of those who wait holds one, and every event is answered.
func TestClerkHangs(t *testing.T) {
	t.Parallel()
	begun, rounds := time.Now(), torture.Size(t, 1, 20)
	var slowest time.Duration
	for range rounds {
		slowest = max(slowest, hang(t))
	}
	if torture.Long && slowest > answerTime {
		t.Errorf("an event was answered after %s, want %s at most", slowest, answerTime)
	}
	torture.Record(t, begun, torture.Run{
		What: fmt.Sprintf("Tells %d events at once to a mirror with %d connections, while Clerk hangs and a pass and %d logins wait for it.", manyEvents, fewConnections, manyLogins),
		Size: fmt.Sprint(rounds, " rounds"),
		Figures: []torture.Figure{
			{Name: "slowest answer", Value: slowest.Round(time.Millisecond).String(), Bound: answerTime.String()},
			{Name: "connections held across a call of Clerk", Value: "0", Bound: "0"},
		},
	})
}

// hang makes one round, and returns how long the slowest answer took.
func hang(t *testing.T) (slowest time.Duration) {
	t.Helper()
	var asked atomic.Int64
	clerk := clerktest.NewServer(t, clerktest.Config{Users: manyLogins, OnRequest: func(*http.Request) { asked.Add(1) }})
	db := pgtest.New(t)
	db.SetMaxOpenConns(fewConnections)
	mirror, err := clerksync.Open(t.Context(), db, clerksync.Config{InstanceID: clerk.InstanceID(), ReadMargin: -1, Unprepared: pgtest.Unprepared()})
	if err != nil {
		t.Fatal(err)
	}
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: clerk.SecretKey(), URL: clerk.URL(), RateLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	passes := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api})
	if _, err := passes.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	logins, err := upsert.New(upsert.Config{Mirror: mirror, Clerk: api, MaxAge: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	defer logins.Close()
	if err := clerk.SetFaults(clerktest.Faults{Hang: 1}); err != nil {
		t.Fatal(err)
	}
	asked.Store(0)

	var waiting sync.WaitGroup
	for id := range clerk.Users() {
		waiting.Go(func() {
			if _, err := logins.UpsertOnLogin(t.Context(), id); err != nil {
				t.Errorf("a login while Clerk hangs: %v, want the row as it is", err)
			}
		})
	}
	passing, stopPass := context.WithCancel(t.Context())
	defer stopPass()
	waiting.Go(func() { _, _ = passes.RunOnce(passing) }) // which ends with its context
	settle(t, "all wait for Clerk", func() bool { return asked.Load() > manyLogins })
	settle(t, "none of them holds a connection", func() bool { return db.Stats().InUse == 0 })

	handler := webhook.NewHandler(webhook.Config{Mirror: mirror, Secrets: []string{clerk.WebhookSecret()}})
	var telling sync.WaitGroup
	took := make([]time.Duration, manyEvents)
	for i := range took {
		telling.Go(func() {
			begun := time.Now()
			body := fmt.Sprintf(`{"object":"event","type":"user.created","timestamp":%d,"instance_id":%q,"data":{"id":"user_%d","object":"user","created_at":1,"updated_at":2,"email_addresses":[]}}`,
				begun.UnixMilli(), clerk.InstanceID(), i)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
			r.Header = clerk.Sign(fmt.Sprint("msg_", i), begun, []byte(body))
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if took[i] = time.Since(begun); w.Code != http.StatusNoContent {
				t.Errorf("event %d was answered %d, want 204", i, w.Code)
			}
		})
	}
	telling.Wait()
	stopPass()
	waiting.Wait()
	for _, one := range took {
		slowest = max(slowest, one)
	}
	return slowest
}
