package feed_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestSerial refuses every other message of relays with large batches, to a URL and to hooks: each change is taken all the same, in
// order, and none again because a later one was refused.
func TestSerial(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		write(t, db, 1, 20)
		box := newInbox(t, func(n int64, w http.ResponseWriter) bool {
			if n%2 == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return n%2 == 1
		})
		posts := box.relay("posts")
		posts.Batch = 20
		var mu sync.Mutex
		var called []int64
		refuse := false
		hook := func(_ context.Context, m feed.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if refuse = !refuse; refuse {
				return errors.New("not now")
			}
			called = append(called, m.Change.Seq)
			return nil
		}
		hooks := feed.Hooks{clerksync.Users: {OnCreated: hook, OnUpdated: hook}}
		run(t, m, posts, feed.Relay{Name: "hooks", Batch: 20, Receiver: hooks})
		eventually(t, "every change to arrive", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(box.events()) >= 20 && len(called) >= 20
		})
		wantAll(t, m, box.events(), false)
		var want []int64
		for _, c := range changes(t, m) {
			want = append(want, c.Seq)
		}
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(want, called); diff != "" {
			t.Errorf("hooks were called for the changes (-want +got)\n%s", diff)
		}
	})
}
