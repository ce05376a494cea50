package feed_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestHooksAfterCommit goes through a user's life, and ends the process in the middle: between the commit and the call, and between the
// call and the position. What was not told is told by the next process, and nothing is left out.
func TestHooksAfterCommit(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		var mu sync.Mutex
		var calls []string
		note := func(name string) feed.Hook {
			return func(_ context.Context, m feed.Message) error {
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, fmt.Sprintf("%s %d %t", name, m.Change.Version, strings.Contains(string(m.Object), "Ada")))
				switch len(calls) {
				case 1:
					return errors.New("try again")
				case 3:
					panic("and again")
				}
				return nil
			}
		}
		hooks := feed.Hooks{clerksync.Users: {
			OnCreated: note("OnCreated"), OnUpdated: note("OnUpdated"), OnDeleted: note("OnDeleted"), OnRevived: note("OnRevived"), OnErased: note("OnErased"),
		}}
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(calls)
		}
		relay := feed.Relay{Name: "hooks", Receiver: hooks, Data: true}
		m := open(t, db)
		began := time.Now()
		// The first process commits, and dies before it calls anybody.
		apply(t, m, user("user_1", began))
		apply(t, m, user("user_1", began.Add(time.Second)))
		second := open(t, db)
		stop := run(t, second, relay)
		eventually(t, "what was committed before", func() bool { return count() >= 4 })
		stop()
		apply(t, second, gone("user_1", began.Add(2*time.Second)))
		apply(t, second, user("user_1", began.Add(20*time.Second)))
		apply(t, second, gone("user_1", began.Add(21*time.Second)))
		if _, err := second.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: "user_1"}); err != nil {
			t.Fatal(err)
		}
		apply(t, second, told(clerksync.Organizations, began, // which nobody has a hook for
			fmt.Sprintf(`{"id":"org_1","object":"organization","name":"Ada's","created_at":%d,"updated_at":%[1]d}`, began.UnixMilli())))
		// The second process dies after it has called, before its position is written.
		db.MustExec(m.SQL(`UPDATE {relays} SET seq = 1`))
		run(t, open(t, db), relay)
		eventually(t, "the rest", func() bool { return count() >= 9 })
		want := []string{
			"OnCreated 1 true", "OnCreated 1 true", "OnUpdated 2 true", "OnUpdated 2 true",
			"OnUpdated 2 false", "OnDeleted 3 false", "OnRevived 4 false", "OnDeleted 5 false", "OnErased 6 false",
		}
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(want, calls); diff != "" {
			t.Errorf("calls (-want +got)\n%s", diff)
		}
	})
}
