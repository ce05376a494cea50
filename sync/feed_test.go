package sync_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// appendByHand inserts a change in a transaction that stays open, and returns how to commit it. With the lock it does as Apply
// does; without, it is a writer that forgot to.
func appendByHand(t *testing.T, m *clerksync.Mirror, id string, lock bool) (commit func()) {
	t.Helper()
	tx := m.DB().MustBegin()
	t.Cleanup(func() { tx.Rollback() })
	if lock {
		tx.MustExec(m.SQL(`SELECT key FROM {state} WHERE key = 'feed' FOR UPDATE`))
	}
	tx.MustExec(m.SQL(`INSERT INTO {changes} (resource, object_id, op, version, source) VALUES ('users', $1, 'created', 1, 'webhook')`), id)
	return func() {
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	}
}

// relay reads the feed as a relay does: it remembers the last seq that it saw.
type relay struct {
	last int64
	seen []string
}

func (r *relay) read(t *testing.T, m *clerksync.Mirror) {
	t.Helper()
	for _, c := range changes(t, m, r.last) {
		r.last, r.seen = c.Seq, append(r.seen, c.ObjectID)
	}
}

// TestFeedInTheOrderOfCommits has a slow transaction take a seq before another one that commits first. The lock makes the other
// wait, so a relay sees both; the same without the lock shows that this is what it is for.
func TestFeedInTheOrderOfCommits(t *testing.T) {
	t.Parallel()
	for _, lock := range []bool{true, false} {
		t.Run(fmt.Sprintf("lock %t", lock), func(t *testing.T) {
			t.Parallel()
			m := pinned(t, pgtest.New(t))
			var r relay
			commit := appendByHand(t, m, "user_slow", lock)
			applied := make(chan error, 1)
			go func() {
				_, err := m.Apply(context.WithoutCancel(t.Context()), at(0, "a").told())
				applied <- err
			}()
			if lock {
				waitFor(t, "Apply to wait for the lock", func() bool { return waitingForLocks(t, m.DB()) == 1 })
			} else if err := <-applied; err != nil {
				t.Fatal(err)
			}
			r.read(t, m)
			commit()
			if lock {
				if err := <-applied; err != nil {
					t.Fatal(err)
				}
			}
			r.read(t, m)
			if missed := len(r.seen) < 2; missed == lock {
				t.Errorf("with lock %t the relay saw %v", lock, r.seen)
			}
		})
	}
}

// waitFor polls until something has happened.
func waitFor(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !happened() {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// waitingForLocks counts the database's statements that wait for another transaction.
func waitingForLocks(t *testing.T, db *sqlx.DB) (n int) {
	t.Helper()
	err := db.GetContext(t.Context(), &n, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRelayMissesNothing reads the feed while several processes write it.
func TestRelayMissesNothing(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		const writers, turns = 4, 60
		var callers errgroup.Group
		for w := range writers {
			m := pinned(t, db) // one for each, as in a process of its own
			callers.Go(func() error {
				for turn := range turns {
					u := user{ID: fmt.Sprintf("user_%d", w*turn%7), Updated: past + int64(turn*writers+w), Name: fmt.Sprint(w, turn)}
					if _, err := m.Apply(t.Context(), u.told()); err != nil {
						return err
					}
				}
				return nil
			})
		}
		done := make(chan error, 1)
		go func() { done <- callers.Wait() }()
		m := pinned(t, db)
		var r relay
		for reading := true; reading; {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				reading = false
			default:
			}
			r.read(t, m)
		}
		if all := changes(t, m, 0); len(all) != len(r.seen) || len(all) < turns {
			t.Errorf("the relay saw %d changes of %d", len(r.seen), len(all))
		}
		checkVersions(t, m)
	})
}
