package sync_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestOutage takes the server away from a mirror and gives it back.
func TestOutage(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Own(t, pgtest.Options{})
	db := pgtest.Migrated(t, cluster)
	m := pinned(t, db)
	apply(t, m, numbered(0))
	for round := range 2 {
		if err := cluster.Kill(); err != nil {
			t.Fatal(err)
		}
		allUnavailable(t, m, 100*round+1)
		if err := cluster.Restart(); err != nil {
			t.Fatal(err)
		}
		if err := callers(t.Context(), m, 20, func(i int) clerksync.Evidence { return numbered(100*round + 1 + i) })(); err != nil {
			t.Error("after the outage: ", err)
		}
		if got, want := len(rows(t, m)), 1+20*(round+1); got != want {
			t.Errorf("%d rows, want %d", got, want)
		}
	}
	checkVersions(t, m)
}

// allUnavailable has callers meet a database that cannot answer.
func allUnavailable(t *testing.T, m *clerksync.Mirror, first int) {
	t.Helper()
	var group errgroup.Group
	for i := range 20 {
		group.Go(func() error {
			results, err := m.Apply(t.Context(), numbered(first+i))
			if !errors.Is(err, clerksync.ErrUnavailable) || results != nil {
				return fmt.Errorf("Apply = %v, %v, want ErrUnavailable", results, err)
			}
			if strings.Contains(err.Error(), "127.0.0.1") && strings.Contains(err.Error(), "password") {
				return fmt.Errorf("the error tells too much: %w", err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// TestServersFault quarantines nothing for what is the server's fault or the operator's.
func TestServersFault(t *testing.T) {
	t.Parallel()
	for state, what := range map[string]string{
		"25006": "read-only, as after a failover", "42501": "a right that is missing", "53100": "a full disk", "53200": "no memory",
		"53300": "too many connections", "57014": "a statement_timeout", "57P01": "a shutdown", "58030": "a disk that fails", "08006": "a cut connection",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			m := pinned(t, db)
			admin(t, db).MustExec(trigger(`RAISE EXCEPTION 'no' USING ERRCODE = '` + state + `'`))
			results, err := m.Apply(t.Context(), user{ID: "user_1", Updated: past, Name: "bad"}.told())
			if !errors.Is(err, clerksync.ErrUnavailable) {
				t.Errorf("Apply = %v, %v, want ErrUnavailable", results, err)
			}
			if kept := events(t, m); len(kept) != 0 {
				t.Errorf("events: %+v", kept)
			}
		})
	}
}

// TestMissingTable blames nobody's evidence for tables that are not there.
func TestMissingTable(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		owner := admin(t, db)
		owner.MustExec(m.SQL(`ALTER TABLE {users} RENAME TO mislaid`))
		allUnavailable(t, m, 0)
		if db.DriverName() == "sqlite" {
			owner.MustExec(`ALTER TABLE mislaid RENAME TO clerk_users`)
		} else {
			owner.MustExec(`ALTER TABLE clerk.mislaid RENAME TO users`)
		}
		apply(t, m, numbered(0))
		if kept := events(t, m); len(kept) != 1 {
			t.Errorf("%d events, want 1: evidence was quarantined for a table's sake", len(kept))
		}
	})
}

// TestCutConnections ends the server's sessions under the mirror, again and again. What was answered is there.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	stop := make(chan struct{})
	var cutter errgroup.Group
	cutter.Go(func() error {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return nil
			case <-tick.C:
				// This session may be cut by the next round's, and then there is nothing to do.
				_, _ = db.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
			}
		}
	})
	answered := make([]bool, 200)
	var group errgroup.Group
	group.SetLimit(8)
	for i := range answered {
		group.Go(func() error {
			_, err := m.Apply(t.Context(), numbered(i))
			if answered[i] = err == nil; err != nil && !errors.Is(err, clerksync.ErrUnavailable) {
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	close(stop)
	if err := cutter.Wait(); err != nil {
		t.Error(err)
	}
	for i := range answered {
		waitFor(t, "the database to answer again", func() bool {
			_, err := m.Apply(t.Context(), numbered(i))
			return err == nil
		})
	}
	checkVersions(t, m)
	if got := len(rows(t, m)); got != len(answered) {
		t.Errorf("%d rows, want %d", got, len(answered))
	}
	for id, e := range events(t, m) {
		if e.Outcome == clerksync.Quarantined {
			t.Errorf("%s was quarantined: %s", id, *e.Error)
		}
	}
}

// TestDeadlock makes the mirror the victim of somebody else's locks, taken in the other order. It tries again.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	apply(t, m, numbered(1), numbered(2))
	tx := admin(t, db).MustBegin()
	defer tx.Rollback()
	tx.MustExec(`SET LOCAL deadlock_timeout = '1min'`) // the victim is whoever looks first
	tx.MustExec(`SELECT 1 FROM clerk.users WHERE id = 'user_002' FOR UPDATE`)
	newer := func(i int) clerksync.Evidence {
		return user{ID: fmt.Sprintf("user_%03d", i), Updated: past + hour, Name: "later"}.told()
	}
	done := make(chan error, 1)
	go func() {
		_, err := m.Apply(t.Context(), newer(1), newer(2))
		done <- err
	}()
	waitFor(t, "Apply to wait", func() bool { return waitingForLocks(t, db) == 1 })
	tx.MustExec(`SELECT 1 FROM clerk.users WHERE id = 'user_001' FOR UPDATE`)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for id, r := range rows(t, m) {
		if r.Version != 2 {
			t.Errorf("%s has version %d, want 2", id, r.Version)
		}
	}
}

// TestLockedForLong answers before Clerk's sender gives up, which is after 15 seconds.
func TestLockedForLong(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	release := holdFeed(t, db, m)
	began := time.Now()
	allUnavailable(t, m, 0)
	if took := time.Since(began); took > 14*time.Second {
		t.Errorf("the answer took %v", took)
	}
	release()
	apply(t, m, numbered(0))
	if got := len(rows(t, m)); got != 1 && db.DriverName() != "pgx" { // which leaves a server alone with what it has begun
		t.Errorf("%d rows, want 1", got)
	}
}
