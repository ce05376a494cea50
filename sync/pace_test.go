package sync_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestManyHooks has hooks of which each takes a moment, and all for a page of a first pass, or for events that come at once, more time than
// a transaction has for them: everybody is there in the end, since nobody is at fault.
func TestManyHooks(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: {
		Initial: true,
		OnCreated: func(ctx context.Context, tx *sqlx.Tx, c clerksync.Transition) error {
			moment := 0.012
			if strings.HasPrefix(c.ObjectID, "user_slow") {
				moment = 0.05
			}
			_, err := tx.ExecContext(ctx, `SELECT pg_sleep($1)`, moment)
			return err
		},
	}}})
	page := make(batch, 300)
	for i := range page {
		page[i] = read(user{ID: fmt.Sprintf("user_%04d", i), Updated: past, Created: past}, past+hour)
	}
	for _, r := range apply(t, m, page...) {
		if r.Outcome != clerksync.Created {
			t.Fatalf("a user of the page is %s: %s", r.Outcome, r.Reason)
		}
	}
	var events errgroup.Group
	var late atomic.Bool // this machine takes too long for what follows, and what is told must be told again
	tell := func(id string) {
		events.Go(func() error {
			for {
				results, err := m.Apply(t.Context(), user{ID: id, Updated: past, Created: past}.told())
				if err == nil && results[0].Outcome != clerksync.Created {
					err = fmt.Errorf("an event is %s: %s", results[0].Outcome, results[0].Reason)
				}
				if !late.Load() || !errors.Is(err, clerksync.ErrUnavailable) {
					return err
				}
			}
		})
	}
	lock, err := db.BeginTxx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback()
	if _, err := lock.Exec(m.SQL(`LOCK TABLE {users} IN EXCLUSIVE MODE`)); err != nil {
		t.Fatal(err)
	}
	tell("user_quick")
	waitFor(t, "the first event to wait for the lock", func() bool { return waitingForLocks(t, db) == 1 })
	for i := range 80 {
		tell(fmt.Sprint("user_slow", i))
	}
	told := time.Now()
	waitFor(t, "the others to wait for the first", func() bool {
		late.Store(time.Since(told) > 4*time.Second)
		waiting, _ := m.Queue()
		return waiting == 80 || late.Load()
	})
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := events.Wait(); err != nil {
		t.Error(err)
	}
}
