package sync_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestHookThatWaitsForItself asks for what has to wait for its own transaction: by the context that it was given it is told so at once,
// and by any other it is left behind, so that it costs its object and nobody else's.
func TestHookThatWaitsForItself(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		var m *clerksync.Mirror
		at := time.Now().UnixMilli()
		other := func(id string) clerksync.Evidence { return user{ID: id, Updated: at, Created: at}.told() }
		told, waited := make(chan error, 2), make(chan error, 1)
		m = open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: {
			OnCreated: func(ctx context.Context, _ *sqlx.Tx, c clerksync.Transition) error {
				switch c.ObjectID {
				case "user_told":
					_, applied := m.Apply(ctx, other("user_x"))
					_, erased := m.Erase(ctx, clerksync.Erasure{Kind: clerksync.Users, ID: "user_x"})
					told <- applied
					told <- erased
					return applied
				case "user_waits":
					_, err := m.Apply(context.Background(), other("user_y"))
					waited <- err
				}
				return nil
			}}}})
		if r := apply(t, m, other("user_told"))[0]; r.Outcome != clerksync.Quarantined {
			t.Errorf("the event of a hook that was told so: %+v", r)
		}
		for range 2 {
			if err := <-told; err == nil || !strings.Contains(err.Error(), "a hook must not") {
				t.Errorf("the hook was told %v", err)
			}
		}
		results := apply(t, m, other("user_waits"), other("user_z"))
		if r := results[0]; r.Outcome != clerksync.Quarantined || !strings.Contains(r.Reason, "did not return") {
			t.Errorf("the event of a hook that waits for itself: %+v", r)
		}
		if err := <-waited; err != nil {
			t.Errorf("what the hook waited for: %v", err)
		}
		if got := list(t, db, m.SQL(`SELECT id FROM {users} WHERE id = 'user_y'`)); len(got) != 1 {
			t.Error("what the hook waited for is not there")
		}
		if r := apply(t, m, other("user_after"))[0]; r.Outcome != clerksync.Created {
			t.Errorf("afterwards: %+v", r)
		}
		checkVersions(t, m)
	})
}

// TestHookWhoseQueryHangs gives its query no context. It costs its own object and none of those that shared the transaction, nor any later
// one; the same in an erasure, whose caller has set no time.
func TestHookWhoseQueryHangs(t *testing.T) {
	t.Parallel()
	for _, pin := range []string{instance, ""} { // without a pin the transaction holds the feed's lock
		db := pgtest.New(t)
		at := time.Now().UnixMilli()
		told := func(id string) clerksync.Evidence { return user{ID: id, Updated: at, Created: at}.told() }
		holder := db.MustBegin()
		holder.MustExec(`SELECT pg_advisory_xact_lock(1)`)
		var returned sync.WaitGroup
		hang := func(_ context.Context, tx *sqlx.Tx, c clerksync.Transition) error {
			if c.ObjectID != "user_hangs" && c.Op != clerksync.ErasedOp {
				return nil
			}
			returned.Add(1)
			defer returned.Done()
			_, err := tx.Exec(`SELECT pg_advisory_xact_lock(1)`)
			return err
		}
		m := open(t, db, clerksync.Config{InstanceID: pin, Hooks: clerksync.Hooks{clerksync.Users: {OnCreated: hang, OnErased: hang}}})
		for i, r := range apply(t, m, told("user_a"), told("user_hangs"), told("user_z")) {
			if want := []clerksync.Outcome{clerksync.Created, clerksync.Quarantined, clerksync.Created}[i]; r.Outcome != want {
				t.Errorf("piece %d: %+v, want %s", i, r, want)
			}
		}
		if r := apply(t, m, told("user_after"))[0]; r.Outcome != clerksync.Created {
			t.Errorf("afterwards: %+v", r)
		}
		if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: "user_a", Force: true}); !errors.Is(err, clerksync.ErrHook) {
			t.Errorf("the erasure: %v, want ErrHook", err)
		}
		later := user{ID: "user_a", Updated: at + 1000, Created: at, Name: "Bea"}.told()
		if r := apply(t, m, later)[0]; r.Outcome != clerksync.Updated {
			t.Errorf("after the erasure: %+v", r)
		}
		if err := holder.Rollback(); err != nil {
			t.Fatal(err)
		}
		returned.Wait()
	}
}

// TestHookThatEndsItsGoroutine is known at once, and so is one whose caller goes away while it hangs.
func TestHookThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		stop := make(chan struct{})
		defer close(stop)
		m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: {
			OnCreated: func(context.Context, *sqlx.Tx, clerksync.Transition) error { runtime.Goexit(); return nil },
			OnErased:  func(context.Context, *sqlx.Tx, clerksync.Transition) error { <-stop; return nil },
		}}})
		e := user{ID: "user_1", Updated: past, Created: time.Now().UnixMilli()}.told()
		if r := apply(t, m, e)[0]; r.Outcome != clerksync.Quarantined || r.Reason != "the hook OnCreated of users failed" {
			t.Errorf("%+v", r)
		}
		apply(t, open(t, db, clerksync.Config{InstanceID: instance}), e)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := m.Erase(ctx, clerksync.Erasure{Kind: clerksync.Users, ID: "user_1", Force: true})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, clerksync.ErrHook) {
			t.Errorf("an erasure whose caller has gone: %v", err)
		}
	})
}

// TestOtherMirrorFromAHook may be written to: nothing waits for itself.
func TestOtherMirrorFromAHook(t *testing.T) {
	t.Parallel()
	other := open(t, pgtest.SQLite(t), clerksync.Config{InstanceID: instance})
	copied := user{ID: "user_1", Updated: past, Created: past}.told()
	m := open(t, pgtest.SQLite(t), clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: {Initial: true,
		OnCreated: func(ctx context.Context, _ *sqlx.Tx, _ clerksync.Transition) error {
			_, err := other.Apply(ctx, copied)
			return err
		}}}})
	if r := apply(t, m, user{ID: "user_1", Updated: past, Created: past}.told())[0]; r.Outcome != clerksync.Created {
		t.Errorf("%+v", r)
	}
}

// TestRefusedReadAndErasure keeps no content of a read that a hook refused, and leaves no row of it when its object is erased; one that is
// refused after that waits again.
func TestRefusedReadAndErasure(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		fail := false
		m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: same(
			func(context.Context, *sqlx.Tx, clerksync.Transition) error {
				if fail {
					return errNo
				}
				return nil
			})}})
		seen := func(n int64, name string) clerksync.Result {
			t.Helper()
			return apply(t, m, read(user{ID: "user_1", Updated: past + n*hour, Created: past, Name: name}, past+(n+1)*hour))[0]
		}
		seen(0, "Ada")
		fail = true
		if r := seen(1, "Bea"); r.Outcome != clerksync.Quarantined {
			t.Errorf("the refused read: %+v", r)
		}
		if e, ok := events(t, m)["read:users:user_1"]; !ok || len(e.Payload) > 0 {
			t.Errorf("kept: %+v", e)
		}
		fail = false
		if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: "user_1", Force: true}); err != nil {
			t.Fatal(err)
		}
		if kept := events(t, m); len(kept) != 0 {
			t.Errorf("after the erasure there are %+v", kept)
		}
		fail = true
		if r := apply(t, m, read(user{ID: "user_1", Updated: past + 2*hour, Created: past, Name: "Cleo"}, time.Now().UnixMilli()))[0]; r.Outcome != clerksync.Quarantined {
			t.Errorf("refused after the erasure: %+v", r)
		}
		for _, id := range []string{"user_\xff", "user_\x00"} {
			if done, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: id}); err != nil || done.Known {
				t.Errorf("erasing %q: %+v, %v", id, done, err)
			}
		}
	})
}
