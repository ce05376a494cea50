package sync_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// holdFeed keeps every commit with a change waiting until the function that it returns is called.
func holdFeed(t *testing.T, db *sqlx.DB, m *clerksync.Mirror) (release func()) {
	t.Helper()
	tx := db.MustBegin()
	t.Cleanup(func() { tx.Rollback() })
	tx.MustExec(m.SQL(`SELECT key FROM {state} WHERE key = 'feed' FOR UPDATE`))
	return func() { tx.Rollback() }
}

// holdUsers keeps every commit about users waiting before it has written anything.
func holdUsers(t *testing.T, db *sqlx.DB, m *clerksync.Mirror) (release func()) {
	t.Helper()
	tx := db.MustBegin()
	t.Cleanup(func() { tx.Rollback() })
	tx.MustExec(m.SQL(`LOCK TABLE {users} IN EXCLUSIVE MODE`))
	return func() { tx.Rollback() }
}

// callers applies one piece each by n callers at once, and returns how to wait for them.
func callers(ctx context.Context, m *clerksync.Mirror, n int, piece func(i int) clerksync.Evidence) (wait func() error) {
	var group errgroup.Group
	for i := range n {
		group.Go(func() error {
			_, err := m.Apply(ctx, piece(i))
			return err
		})
	}
	return group.Wait
}

func numbered(i int) clerksync.Evidence {
	return user{ID: fmt.Sprintf("user_%03d", i), Updated: past + int64(i)}.told()
}

// TestCallersShareTransactions holds up the first commits, and counts how many it takes for all who wait meanwhile.
func TestCallersShareTransactions(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	var mu sync.Mutex
	var sizes []int
	defer m.Watch(func(c clerksync.Commit) {
		mu.Lock()
		defer mu.Unlock()
		sizes = append(sizes, c.Pieces)
	})()
	release := holdUsers(t, db, m)
	const n = 300
	wait := callers(t.Context(), m, n, numbered)
	waitFor(t, "all callers to be in the queue or in flight", func() bool {
		waiting, flying := m.Queue()
		return waiting >= n-100 && flying > 0 && waitingForLocks(t, db) == flying
	})
	if got := len(rows(t, m)); got != 0 {
		t.Errorf("%d rows are there before any commit", got)
	}
	release()
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	pieces := 0
	for _, size := range sizes {
		pieces += size
	}
	if len(sizes) > 12 || pieces != n {
		t.Errorf("%d pieces in %d transactions: %v", pieces, len(sizes), sizes)
	}
	if waiting, flying := m.Queue(); waiting != 0 || flying != 0 {
		t.Errorf("afterwards %d callers wait, and %d batches are in flight", waiting, flying)
	}
	if got := len(rows(t, m)); got != n {
		t.Errorf("%d rows, want %d", got, n)
	}
}

// TestNextBatchBesideACommit holds up a commit itself, as a slow disk does: the next batch is written meanwhile, and those after it are
// gathered.
func TestNextBatchBesideACommit(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := open(t, db, detour())
	admin(t, db).MustExec(m.SQL(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {changes} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`))
	disk := db.MustBegin()
	defer disk.Rollback()
	disk.MustExec(`SELECT pg_advisory_xact_lock(1)`)
	var waits []func() error
	begin := func(i, waiting, flying, locks int) {
		t.Helper()
		waits = append(waits, callers(t.Context(), m, 1, func(int) clerksync.Evidence { return numbered(i) }))
		waitFor(t, "everybody to have a place", func() bool {
			w, f := m.Queue()
			return w == waiting && f == flying && waitingForLocks(t, db) == locks
		})
	}
	begin(0, 0, 1, 1)
	begin(1, 0, 2, 2) // waits for the feed
	begin(2, 1, 2, 2)
	if got := len(rows(t, m)); got != 0 {
		t.Errorf("%d rows are there before any commit", got)
	}
	disk.Rollback()
	for _, wait := range waits {
		if err := wait(); err != nil {
			t.Error(err)
		}
	}
	if got := len(rows(t, m)); got != len(waits) {
		t.Errorf("%d rows, want %d", got, len(waits))
	}
}

// TestAnsweredAfterTheCommit looks for each caller's row and event at the moment of the answer.
func TestAnsweredAfterTheCommit(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		var group errgroup.Group
		for i := range 150 {
			group.Go(func() error {
				e := numbered(i)
				results, err := m.Apply(t.Context(), e)
				if err != nil {
					return err
				}
				if results[0].Outcome != clerksync.Created {
					return fmt.Errorf("%s: %+v", e.ID, results)
				}
				var n int
				err = db.GetContext(t.Context(), &n, m.SQL(`SELECT count(*) FROM {users} u JOIN {events} e ON e.object_id = u.id
JOIN {changes} c ON c.object_id = u.id WHERE u.id = $1 AND e.id = $2`), e.ID, e.Event.ID)
				if err == nil && n != 1 {
					err = fmt.Errorf("%s: answered, and not there", e.ID)
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestCancelledCallers has callers give up while they wait: they get their context's error at once, their evidence is not
// committed, and the others do not notice.
func TestCancelledCallers(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	release := holdUsers(t, db, m)
	first := callers(t.Context(), m, 1, numbered)
	waitFor(t, "the first caller to commit", func() bool { return waitingForLocks(t, db) == 1 })

	patient := callers(t.Context(), m, 20, func(i int) clerksync.Evidence { return numbered(100 + i) })
	ctx, cancel := context.WithCancel(t.Context())
	hasty := callers(ctx, m, 20, func(i int) clerksync.Evidence { return numbered(200 + i) })
	waitFor(t, "all to wait", func() bool { waiting, _ := m.Queue(); return waiting == 40 })
	cancel()
	if err := hasty(); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled caller got %v", err)
	}
	if waiting, _ := m.Queue(); waiting != 20 {
		t.Errorf("%d callers wait, want the 20 who are patient", waiting)
	}
	release()
	if err := errors.Join(first(), patient()); err != nil {
		t.Fatal(err)
	}
	got := rows(t, m)
	if len(got) != 21 {
		t.Errorf("%d rows, want 21", len(got))
	}
	for id := range got {
		if id >= "user_200" {
			t.Errorf("%s was committed although its caller had left the queue", id)
		}
	}
}

// TestCancelledLeader cancels the caller whose goroutine commits for the others.
func TestCancelledLeader(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	release := holdUsers(t, db, m)
	ctx, cancel := context.WithCancel(t.Context())
	leader := callers(ctx, m, 1, numbered)
	waitFor(t, "the leader to commit", func() bool { return waitingForLocks(t, db) == 1 })
	others := callers(t.Context(), m, 10, func(i int) clerksync.Evidence { return numbered(100 + i) })
	waitFor(t, "the others to wait", func() bool { waiting, _ := m.Queue(); return waiting == 10 })
	cancel()
	release()
	if err := errors.Join(leader(), others()); err != nil {
		t.Errorf("%v: what was being committed when the leader was cancelled must be committed", err)
	}
	if got := len(rows(t, m)); got != 11 {
		t.Errorf("%d rows, want 11", got)
	}
}

// TestHurriedCallers cancels many callers at random moments. Whoever is answered finds his evidence committed, and the queue is
// empty and in order afterwards.
func TestHurriedCallers(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		var mu sync.Mutex
		answered := map[string]bool{}
		var group errgroup.Group
		for i := range 400 {
			group.Go(func() error {
				deadline := time.Now().Add(time.Duration(i%40) * time.Millisecond)
				ctx, cancel := context.WithDeadline(t.Context(), deadline)
				defer cancel()
				e := numbered(i)
				_, err := m.Apply(ctx, e)
				mu.Lock()
				defer mu.Unlock()
				if answered[e.ID] = err == nil; err != nil && time.Now().Before(deadline) { // a driver may notice before the context does
					return err
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		waitFor(t, "the queue to be empty", func() bool { waiting, flying := m.Queue(); return waiting == 0 && flying == 0 })
		got := rows(t, m)
		for id, yes := range answered {
			if _, found := got[id]; yes && !found {
				t.Errorf("%s was answered, and is not there", id)
			}
		}
		apply(t, m, numbered(999))
	})
}

// TestOneConnection applies through a pool of one connection: nobody may hold it while he asks for another.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		db.SetMaxOpenConns(1)
		for _, cfg := range []clerksync.Config{{}, {InstanceID: instance}, {InstanceID: instance, Unprepared: true}} {
			m := open(t, db, cfg)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			foreign := numbered(7)
			foreign.Event.InstanceID = "ins_123"
			pieces := []clerksync.Evidence{numbered(1), toldGone("user_001", past), foreign}
			if cfg.InstanceID != "" {
				pieces = append(pieces, read(user{ID: "user_9", Updated: past}, past), readGone("user_9", past))
			}
			if err := callers(ctx, m, 40, func(i int) clerksync.Evidence { return pieces[i%len(pieces)] })(); err != nil {
				t.Errorf("%+v: %v", cfg, err)
			}
		}
	})
}
