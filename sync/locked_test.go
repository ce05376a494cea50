package sync_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestRowThatSomebodyLocks commits what shares a transaction with news about a row that a program of the team's holds locked.
func TestRowThatSomebodyLocks(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	people(t, m, 3)
	tx := pgtest.Superuser(t, db).MustBegin()
	defer tx.Rollback()
	tx.MustExec(`SELECT 1 FROM clerk.users WHERE id = 'user_0000' FOR UPDATE`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tell := func(id string, at int64) error {
		_, err := m.Apply(ctx, told(user{ID: id, Updated: at, Name: "x"}, at))
		return err
	}
	var first, rest errgroup.Group
	first.Go(func() error { return tell("user_0000", past+hour) })
	waitFor(t, "the first to wait for the row", func() bool { return waitingForLocks(t, db) == 1 })
	rest.Go(func() error { return tell("user_0001", past+hour) })
	rest.Go(func() error { return tell("user_0002", past+hour) })
	var another errgroup.Group
	another.Go(func() error { return tell("user_0000", past+2*hour) })
	waitFor(t, "three to wait for the first", func() bool { waiting, _ := m.Queue(); return waiting == 3 })
	for _, locked := range []error{first.Wait(), another.Wait()} {
		if !errors.Is(locked, clerksync.ErrUnavailable) {
			t.Errorf("whoever waits for the row gets %v, want ErrUnavailable", locked)
		}
	}
	if err := rest.Wait(); err != nil {
		t.Errorf("the others: %v", err)
	}
}
