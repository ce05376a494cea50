package feed_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestNotify tells a session that listens of every change, in order.
func TestNotify(t *testing.T) {
	t.Parallel()
	url := pgtest.Direct(t) // LISTEN is of a session
	listener := pq.NewListener(url, time.Second, time.Second, nil)
	defer listener.Close()
	if err := listener.Listen("clerksync"); err != nil {
		t.Fatal(err)
	}
	db, err := sqlx.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m := open(t, db)
	r, err := feed.NewNotify(m)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, m, feed.Relay{Name: "notify", Receiver: r, Batch: feed.NotifyBatch})
	defer stop()
	at := time.Now()
	apply(t, m, user("user_1", at))
	apply(t, m, gone("user_1", at))
	type payload struct {
		Seq                        int64
		Instance, Resource, ID, Op string
		Version                    int
	}
	for _, want := range []payload{{1, instance, "users", "user_1", "created", 1}, {2, instance, "users", "user_1", "deleted", 2}} {
		select {
		case n := <-listener.Notify:
			var got payload
			if err := json.Unmarshal([]byte(n.Extra), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("notification (-want +got):\n%s", diff)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no notification came")
		}
	}
	if _, err := feed.NewNotify(open(t, pgtest.SQLite(t))); err == nil {
		t.Error("SQLite is said to have LISTEN")
	}
}
