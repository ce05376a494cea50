package sync_test

import (
	"context"
	"strings"
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

// TestHookWhoseQueryHangs gives its query no context: the transaction is left to it, and all else goes on.
func TestHookWhoseQueryHangs(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	at := time.Now().UnixMilli()
	holder := db.MustBegin()
	defer holder.Rollback()
	holder.MustExec(`SELECT pg_advisory_xact_lock(1)`)
	returned := make(chan struct{})
	m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: {
		OnCreated: func(_ context.Context, tx *sqlx.Tx, c clerksync.Transition) error {
			if c.ObjectID != "user_hangs" {
				return nil
			}
			_, err := tx.Exec(`SELECT pg_advisory_xact_lock(1)`)
			close(returned)
			return err
		}}}})
	if r := apply(t, m, user{ID: "user_hangs", Updated: at, Created: at}.told())[0]; r.Outcome != clerksync.Quarantined {
		t.Errorf("the event of a hook that hangs: %+v", r)
	}
	if r := apply(t, m, user{ID: "user_after", Updated: at, Created: at}.told())[0]; r.Outcome != clerksync.Created {
		t.Errorf("afterwards: %+v", r)
	}
	if err := holder.Rollback(); err != nil {
		t.Fatal(err)
	}
	<-returned
}
