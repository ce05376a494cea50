package sync_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// product makes the team's own tables.
func product(t testing.TB, db *sqlx.DB) {
	t.Helper()
	owner := admin(t, db)
	owner.MustExec(`CREATE TABLE workspaces (owner text PRIMARY KEY)`)
	owner.MustExec(`CREATE TABLE journal (object_id text, op text, version bigint, UNIQUE (object_id, version))`)
	if db.DriverName() != "sqlite" {
		owner.MustExec(`GRANT ALL ON workspaces, journal TO PUBLIC`)
	}
}

// list reads texts.
func list(t testing.TB, db *sqlx.DB, query string) (all []string) {
	t.Helper()
	if err := db.SelectContext(t.Context(), &all, query); err != nil {
		t.Fatal(err)
	}
	return all
}

// same makes one hook of all sorts of changes.
func same(hook clerksync.Hook) clerksync.KindHooks {
	return clerksync.KindHooks{OnCreated: hook, OnUpdated: hook, OnDeleted: hook, OnRevived: hook, OnErased: hook}
}

// journal is a hook that writes down what it is called for.
func journal(ctx context.Context, tx *sqlx.Tx, c clerksync.Transition) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO journal (object_id, op, version) VALUES ($1, $2, $3)`, c.ObjectID, c.Op, c.Version)
	return err
}

// name reads the first name from Clerk's JSON.
func name(t testing.TB, object []byte) string {
	t.Helper()
	if object == nil {
		return "-"
	}
	var u struct {
		FirstName string `json:"first_name"`
	}
	if err := json.Unmarshal(object, &u); err != nil {
		t.Errorf("%q: %v", object, err)
	}
	return u.FirstName
}

// TestHooks goes through a user's life. What is no visible change calls nobody.
func TestHooks(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		product(t, db)
		var calls []string
		hooks := same(nil)
		for op, hook := range map[string]*clerksync.Hook{
			"created": &hooks.OnCreated, "updated": &hooks.OnUpdated, "deleted": &hooks.OnDeleted, "revived": &hooks.OnRevived, "erased": &hooks.OnErased,
		} {
			*hook = func(ctx context.Context, tx *sqlx.Tx, c clerksync.Transition) error {
				var visible bool // as the row has it already
				if err := tx.GetContext(ctx, &visible, tx.Rebind(`SELECT deleted_at IS NULL FROM `+table(db, "users")+` WHERE id = ?`), c.ObjectID); err != nil {
					return err
				}
				calls = append(calls, fmt.Sprintf("%s: %s %s %d by %s, %s to %s %v, visible %t, confirmed %t",
					op, c.ObjectID, c.Op, c.Version, c.Source, name(t, c.Before), name(t, c.After), c.Fields, visible, c.Confirmed()))
				return journal(ctx, tx, c)
			}
		}
		m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: hooks}})
		banned := at(2, "c")
		banned.Banned = true
		first := at(0, "a")
		first.Created = time.Now().UnixMilli()
		create := first.told()
		for _, e := range (batch{
			create, create, at(1, "b").told(), banned.told(), toldGone("user_1", past+10*minute), at(3, "d").told(), toldGone("user_1", past+11*minute),
			read(at(19, "e"), past+19*minute), readGone("user_1", past+25*minute), toldGone("user_2", past),
		}) {
			apply(t, m, e)
		}
		if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: "user_1", Source: clerksync.Upkeep}); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"created: user_1 created 1 by webhook, - to a [], visible true, confirmed false",
			"updated: user_1 updated 2 by webhook, a to b [created_at first_name], visible true, confirmed false",
			"updated: user_1 updated 3 by webhook, b to c [banned first_name], visible true, confirmed false",
			"deleted: user_1 deleted 4 by webhook, c to - [], visible false, confirmed false",
			"revived: user_1 revived 5 by reconcile, c to e [banned first_name], visible true, confirmed false",
			"deleted: user_1 deleted 6 by reconcile, e to - [], visible false, confirmed true",
			"erased: user_1 erased 7 by upkeep, e to - [], visible false, confirmed true",
		}
		if diff := cmp.Diff(want, calls); diff != "" {
			t.Errorf("calls (-want +got)\n%s", diff)
		}
		told := list(t, db, m.SQL(`SELECT object_id || ' ' || op || ' ' || version FROM {changes} ORDER BY seq`))
		if diff := cmp.Diff(told, list(t, db, `SELECT object_id || ' ' || op || ' ' || version FROM journal ORDER BY version`)); diff != "" {
			t.Errorf("the journal (-feed +journal)\n%s", diff)
		}
	})
}

// table is the name of a table of the mirror's.
func table(db *sqlx.DB, name string) string {
	if db.DriverName() == "sqlite" {
		return "clerk_" + name
	}
	return "clerk." + name
}

var errNo = errors.New("no, Ada Lovelace")

// failures are ways for a hook to fail.
var failures = []struct {
	name, reason string
	fail         clerksync.Hook
	postgres     bool // it takes too long, or is no failure, elsewhere
}{
	{"an error", "failed", func(context.Context, *sqlx.Tx, clerksync.Transition) error { return errNo }, false},
	{"a panic", "panicked at hooks_test.go:", func(context.Context, *sqlx.Tx, clerksync.Transition) error { panic(errNo) }, false},
	{"a violated constraint", "failed", func(ctx context.Context, tx *sqlx.Tx, _ clerksync.Transition) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO workspaces (owner) VALUES ('taken')`)
		return err
	}, false},
	{"an error that it passes over", "failed with SQLSTATE 25P02", func(ctx context.Context, tx *sqlx.Tx, _ clerksync.Transition) error {
		_, _ = tx.ExecContext(ctx, `INSERT INTO missing DEFAULT VALUES`)
		return nil
	}, true},
	{"a transaction that it ends", "ended the transaction", func(_ context.Context, tx *sqlx.Tx, _ clerksync.Transition) error {
		return tx.Rollback()
	}, false},
	{"a transaction that it ends by SQL", "ended the transaction", func(ctx context.Context, tx *sqlx.Tx, _ clerksync.Transition) error {
		_, err := tx.ExecContext(ctx, `ROLLBACK`)
		return err
	}, false},
	{"rows that it does not close", "left a query open", func(ctx context.Context, tx *sqlx.Tx, _ clerksync.Transition) error {
		_, err := tx.QueryxContext(ctx, `SELECT generate_series(1, 100000)`)
		return err
	}, true},
	{"rows that it does not close when it fails", "left a query open", func(ctx context.Context, tx *sqlx.Tx, _ clerksync.Transition) error {
		rows, err := tx.QueryxContext(ctx, `SELECT 'Ada' FROM generate_series(1, 100000)`)
		if err != nil {
			return err
		}
		var n int
		rows.Next()
		return rows.Scan(&n)
	}, true},
	{"a query that it ends", "ended a query by a context of its own", func(ctx context.Context, tx *sqlx.Tx, _ clerksync.Transition) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		_, err := tx.ExecContext(ctx, `SELECT pg_sleep(60)`)
		return err
	}, true},
	{"no end", "did not end in time", func(ctx context.Context, _ *sqlx.Tx, _ clerksync.Transition) error {
		<-ctx.Done()
		return nil
	}, true},
}

// TestHookFailureStandsAlone has one hook fail among many, for users that share a transaction.
func TestHookFailureStandsAlone(t *testing.T) {
	t.Parallel()
	for _, failure := range failures {
		t.Run(failure.name, func(t *testing.T) {
			t.Parallel()
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				if failure.postgres && db.DriverName() == "sqlite" {
					return
				}
				product(t, db)
				db.MustExec(`INSERT INTO workspaces (owner) VALUES ('taken')`)
				fail := true
				m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: {
					OnCreated: func(ctx context.Context, tx *sqlx.Tx, c clerksync.Transition) error {
						if _, err := tx.ExecContext(ctx, `INSERT INTO workspaces (owner) VALUES ($1)`, c.ObjectID); err != nil {
							return err
						}
						if fail && (c.ObjectID == "user_07" || c.ObjectID == "user_09") {
							return failure.fail(ctx, tx, c)
						}
						return nil
					},
				}}})
				var page batch
				for i := range 10 {
					page = append(page, user{ID: fmt.Sprintf("user_%02d", i), Updated: past, Created: time.Now().UnixMilli(), Name: "Ada"}.told())
				}
				page = append(page, read(user{ID: "user_10", Updated: past, Created: time.Now().UnixMilli()}, past))
				results := apply(t, m, page...)
				for i, r := range results {
					want := clerksync.Created
					if i == 7 || i == 9 || failure.name == "no end" && i > 9 { // after two that take all of the time no hook could be called any more
						want = clerksync.Quarantined
					}
					if r.Outcome != want {
						t.Errorf("piece %d: %+v, want %s", i, r, want)
					}
				}
				e := events(t, m)[page[7].Event.ID]
				if want := "the hook OnCreated of users " + failure.reason; e.Error == nil || !strings.HasPrefix(*e.Error, want) || results[7].Reason != *e.Error {
					t.Errorf("the reason %q, want %q", *e.Error, want)
				}
				if e.Outcome != clerksync.Quarantined || !e.Due || len(e.Payload) == 0 || strings.Contains(*e.Error, "Ada") {
					t.Errorf("the event %+v", e)
				}
				// Nothing of it is there until it works; then all is there once.
				both := `SELECT owner FROM workspaces WHERE owner <> 'taken' ORDER BY owner`
				ids := m.SQL(`SELECT id FROM {users} ORDER BY id`)
				if got := list(t, db, both); slices.Contains(got, "user_07") || !slices.Equal(got, list(t, db, ids)) {
					t.Errorf("workspaces of %v, users %v", got, list(t, db, ids))
				}
				fail = false
				apply(t, m, page...)
				if got := list(t, db, both); len(got) != 11 || !slices.Equal(got, list(t, db, ids)) {
					t.Errorf("in the end, workspaces of %v, users %v", got, list(t, db, ids))
				}
				if e := events(t, m)[page[7].Event.ID]; e.Outcome != clerksync.Created || e.Due {
					t.Errorf("the event in the end %+v", e)
				}
				checkVersions(t, m)
			})
		})
	}
}

// TestHookFailureOfARead waits in quarantine like anything read that cannot be stored, with nothing to try again by itself: the next pass
// brings it again. So does one that made its row by COPY.
func TestHookFailureOfARead(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		product(t, db)
		fail := true
		m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: same(
			func(ctx context.Context, tx *sqlx.Tx, c clerksync.Transition) error {
				if fail && c.ObjectID == "user_30" {
					return errNo
				}
				return journal(ctx, tx, c)
			})}})
		page := make(batch, 60)
		for i := range page {
			page[i] = read(user{ID: fmt.Sprintf("user_%02d", i), Updated: past, Created: time.Now().UnixMilli()}, past+hour)
		}
		for attempts := 1; attempts <= 2; attempts++ {
			if r := apply(t, m, page...)[30]; r.Outcome != clerksync.Quarantined || r.Reason != "the hook OnCreated of users failed" {
				t.Errorf("the read %+v", r)
			}
			kept := events(t, m)
			if e := kept["read:users:user_30"]; len(kept) != 1 || e.Outcome != clerksync.Quarantined || e.Due || e.Attempts != attempts ||
				*e.Error != "the hook OnCreated of users failed" {
				t.Errorf("kept after try %d: %+v", attempts, kept)
			}
		}
		fail = false
		if r := apply(t, m, page...)[30]; r.Outcome != clerksync.Created {
			t.Errorf("the read in the end %+v", r)
		}
		if got := list(t, db, `SELECT object_id FROM journal`); len(got) != 60 {
			t.Errorf("%d hooks were called, want 60", len(got))
		}
	})
}

// TestHookFailureOfAnEvent refuses the user within an event about a session: the event waits as a whole, until it is due.
func TestHookFailureOfAnEvent(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		fail := true
		var calls []string
		refuse := func(_ context.Context, _ *sqlx.Tx, c clerksync.Transition) error {
			if fail && c.Kind == clerksync.Users {
				return errNo
			}
			if !fail {
				calls = append(calls, c.ObjectID)
			}
			return nil
		}
		m := open(t, db, clerksync.Config{
			InstanceID: instance, Kinds: []clerksync.Kind{clerksync.Users, clerksync.Sessions},
			Hooks: clerksync.Hooks{clerksync.Users: same(refuse), clerksync.Sessions: same(refuse)},
		})
		now := time.Now().UnixMilli()
		told := user{ID: "user_1", Updated: now, Created: now}.told()
		session := clerksync.Evidence{
			Kind: clerksync.Sessions, At: now, Source: clerksync.Webhook, Event: told.Event,
			Object: fmt.Appendf(nil, `{"object":"session","id":"sess_1","user_id":"user_1","status":"active","created_at":%d,"updated_at":%d}`, now, now),
		}
		other := user{ID: "user_1", Updated: now, Created: now}.told() // another event about the same user
		for i, r := range apply(t, m, session, told, other) {
			if r.Outcome != clerksync.Quarantined {
				t.Errorf("piece %d: %+v", i, r)
			}
		}
		waiting := func() int {
			events, err := m.Waiting(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(events)
		}
		if n := waiting(); n != 0 {
			t.Errorf("%d events are due at once", n)
		}
		db.MustExec(m.SQL(`UPDATE {events} SET due_at = received_at`))
		if n := waiting(); n != 2 {
			t.Errorf("%d events are due, want 2", n)
		}
		fail = false
		apply(t, m, session, told, other)
		if diff := cmp.Diff([]string{"user_1", "sess_1"}, calls); diff != "" {
			t.Errorf("calls (-want +got)\n%s", diff)
		}
		if n := waiting(); n != 0 {
			t.Errorf("%d events are due in the end", n)
		}
	})
}

// TestHookPauses looks at when an event is tried again that has waited for a while.
func TestHookPauses(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.SQLite(t), clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{
		clerksync.Users: same(func(context.Context, *sqlx.Tx, clerksync.Transition) error { return errNo }),
	}})
	for waited, want := range map[time.Duration]time.Duration{0: 10 * time.Second, 20 * time.Minute: 20 * time.Minute, 24 * time.Hour: time.Hour} {
		e := user{ID: "user_1", Updated: past, Created: time.Now().UnixMilli()}.told()
		e.Event.ReceivedAt = time.Now().Add(-waited)
		apply(t, m, e)
		logged, err := m.Log(t.Context(), clerksync.LogQuery{IDs: []string{e.Event.ID}})
		if err != nil || len(logged) != 1 || logged[0].DueAt == nil {
			t.Fatal(logged, err)
		}
		if got := time.Until(*logged[0].DueAt) - want; got.Abs() > 5*time.Second {
			t.Errorf("after %s the pause is %s off %s", waited, got, want)
		}
	}
}

// TestDueWithoutContent has a hook refuse an event of which nothing is kept, and one that has waited until its content went: nobody is told
// that they are tried again.
func TestDueWithoutContent(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		hooks := clerksync.Hooks{clerksync.Users: same(func(context.Context, *sqlx.Tx, clerksync.Transition) error { return errNo })}
		e := user{ID: "user_1", Updated: past, Created: time.Now().UnixMilli()}.told()
		apply(t, open(t, db, clerksync.Config{InstanceID: instance, Hooks: hooks, EventPayloads: clerksync.PayloadsNone}), e)
		if r := events(t, pinned(t, db))[e.Event.ID]; r.Outcome != clerksync.Quarantined || r.Payload != nil || r.Due {
			t.Errorf("refused, and not kept: %+v", r)
		}
		e = user{ID: "user_2", Updated: past, Created: time.Now().UnixMilli()}.told()
		e.Event.ReceivedAt = time.Now().Add(-8 * 24 * time.Hour)
		m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: hooks})
		apply(t, m, e)
		if r := events(t, m)[e.Event.ID]; r.Payload == nil || !r.Due {
			t.Errorf("refused: %+v", r)
		}
		if _, err := m.Prune(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if r := events(t, m)[e.Event.ID]; r.Outcome != clerksync.Quarantined || r.Payload != nil || r.Due {
			t.Errorf("refused a week ago: %+v", r)
		}
	})
}

// TestSentAgainWithoutContent has Clerk send an event again whose content was kept for a week and is gone: what it brings is kept from then on.
func TestSentAgainWithoutContent(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{
			clerksync.Users: same(func(context.Context, *sqlx.Tx, clerksync.Transition) error { return errNo }),
		}})
		e := user{ID: "user_1", Updated: past, Created: time.Now().UnixMilli()}.told()
		e.Event.ReceivedAt = time.Now().Add(-8 * 24 * time.Hour)
		apply(t, m, e)
		prune := func() {
			if _, err := m.Prune(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
		}
		prune()
		e.Event.ReceivedAt = time.Now()
		apply(t, m, e)
		prune()
		if r := events(t, m)[e.Event.ID]; r.Outcome != clerksync.Quarantined || r.Payload == nil || !r.Due {
			t.Errorf("sent again: %+v", r)
		}
	})
}

// TestHooksOfInitial calls nobody for what is older than the mirror, unless that is wanted.
func TestHooksOfInitial(t *testing.T) {
	t.Parallel()
	for _, initial := range []bool{false, true} {
		t.Run(fmt.Sprintf("initial %t", initial), func(t *testing.T) {
			t.Parallel()
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				created := map[string]int{}
				m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: {
					OnCreated: func(_ context.Context, _ *sqlx.Tx, c clerksync.Transition) error {
						created[c.ObjectID]++
						return nil
					},
					Initial: initial,
				}}})
				backfill := make(batch, 1000)
				for i := range backfill {
					backfill[i] = read(user{ID: fmt.Sprintf("user_%04d", i), Updated: past, Created: past}, past+hour)
				}
				for page := range slices.Chunk(backfill, 500) {
					apply(t, m, page...)
				}
				apply(t, m, user{ID: "user_old", Updated: past, Created: past}.told())                          // as a session's event carries it
				lost := read(user{ID: "user_new", Updated: past, Created: time.Now().UnixMilli()}, past+2*hour) // whose webhook got lost
				apply(t, m, lost)
				apply(t, m, lost)
				want := 1
				if initial {
					want = 1002
				}
				if len(created) != want || created["user_new"] != 1 {
					t.Errorf("OnCreated was called for %d users, %d times for the lost one; want %d, 1", len(created), created["user_new"], want)
				}
			})
		})
	}
}

// TestHooksTogether has two processes write the same few users: each change has its hook once, with what was before it.
func TestHooksTogether(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		product(t, db)
		names := struct {
			sync.Mutex
			after map[string]string // by id and version
			calls []clerksync.Transition
		}{after: map[string]string{}}
		hooks := same(func(ctx context.Context, tx *sqlx.Tx, c clerksync.Transition) error {
			names.Lock()
			defer names.Unlock()
			names.calls = append(names.calls, c)
			names.after[fmt.Sprint(c.ObjectID, c.Version)] = name(t, c.After)
			return journal(ctx, tx, c)
		})
		hooks.Initial = true
		var writers errgroup.Group
		for w := range 4 {
			m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: hooks}})
			writers.Go(func() error {
				for turn := range 25 {
					var page batch
					for i := range 4 {
						id, at := fmt.Sprint("user_", (i*(w+1)+turn)%7), past+int64(turn*4+w)
						if turn%5 == w {
							page = append(page, toldGone(id, at-10*second))
						}
						page = append(page, user{ID: id, Updated: at, Name: fmt.Sprint(turn, w)}.told())
					}
					if _, err := m.Apply(t.Context(), page...); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := writers.Wait(); err != nil {
			t.Fatal(err)
		}
		q := `SELECT object_id || ' ' || op || ' ' || version FROM %s ORDER BY object_id, version`
		feed := list(t, db, fmt.Sprintf(q, table(db, "changes")))
		if diff := cmp.Diff(feed, list(t, db, fmt.Sprintf(q, "journal"))); diff != "" || len(feed) < 20 {
			t.Errorf("the journal (-feed +journal)\n%s", diff)
		}
		for _, c := range names.calls {
			if was, known := names.after[fmt.Sprint(c.ObjectID, c.Version-1)]; known && c.Op == clerksync.Updated && name(t, c.Before) != was {
				t.Errorf("version %d of %s was %s before, want %s", c.Version, c.ObjectID, name(t, c.Before), was)
			}
		}
	})
}

// TestHookFailureOfAnErasure erases nothing.
func TestHookFailureOfAnErasure(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		fail := true
		var told []string
		m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: {
			OnErased: func(_ context.Context, _ *sqlx.Tx, c clerksync.Transition) error {
				if fail {
					return errNo
				}
				told = append(told, name(t, c.Before))
				return nil
			},
		}}})
		apply(t, m, at(0, "Ada").told())
		apply(t, m, toldGone("user_1", past+hour))
		order := clerksync.Erasure{Kind: clerksync.Users, ID: "user_1"}
		_, err := m.Erase(t.Context(), order)
		if !errors.Is(err, clerksync.ErrHook) || strings.Contains(err.Error(), "Ada") {
			t.Errorf("Erase: %v", err)
		}
		if r := rows(t, m)["user_1"]; r.Erased || r.Data == nil {
			t.Errorf("the row %+v", r)
		}
		fail = false
		if _, err := m.Erase(t.Context(), order); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"Ada"}, told); diff != "" {
			t.Errorf("told (-want +got)\n%s", diff)
		}
	})
}

// TestErasureWithManyHooks erases a person to whom so much belongs that the hooks of all of it take longer than those of one transaction may.
func TestErasureWithManyHooks(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var calls int
	m := open(t, db, clerksync.Config{InstanceID: instance, Kinds: []clerksync.Kind{clerksync.Users, clerksync.Sessions}, Hooks: clerksync.Hooks{clerksync.Sessions: {
		OnErased: func(ctx context.Context, tx *sqlx.Tx, _ clerksync.Transition) error {
			calls++
			_, err := tx.ExecContext(ctx, `SELECT pg_sleep(0.05)`)
			return err
		},
	}}})
	const many = 70
	start := long()
	apply(t, m, user{ID: "user_1", Updated: start, Created: start}.told())
	var evidence []clerksync.Evidence
	for i := range many {
		id := fmt.Sprint("sess_", i)
		evidence = append(evidence, tells("msg_"+id, clerksync.Sessions, id,
			fmt.Appendf(nil, `{"object":"session","id":%q,"user_id":"user_1","status":"ended","created_at":%d,"updated_at":%[2]d}`, id, start), start))
	}
	apply(t, m, evidence...)
	apply(t, m, toldGone("user_1", start+day))
	done, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: "user_1"})
	if err != nil || done.Rows[clerksync.Sessions] != many || calls != many {
		t.Errorf("%+v, %v after %d calls, want %d", done.Rows, err, calls, many)
	}
}

// TestTimeBehindHooks has a trigger tell under which limit the feed tells of an erasure that had hooks: the server's own, and not what is left
// for a hook to end. Much may belong to an object, and all of it is told at once.
func TestTimeBehindHooks(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	admin(t, db).MustExec(`CREATE TABLE clerk.limits (said text); GRANT ALL ON clerk.limits TO PUBLIC;
CREATE FUNCTION clerk.tell_limit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
INSERT INTO clerk.limits VALUES (current_setting('statement_timeout')); RETURN NULL; END $$;
CREATE TRIGGER tell_limit AFTER INSERT ON clerk.changes FOR EACH ROW WHEN (NEW.op = 'erased') EXECUTE FUNCTION clerk.tell_limit()`)
	m := open(t, db, clerksync.Config{InstanceID: instance, Hooks: clerksync.Hooks{clerksync.Users: {
		OnErased: func(context.Context, *sqlx.Tx, clerksync.Transition) error { return nil },
	}}})
	apply(t, m, at(0, "Ada").told())
	apply(t, m, toldGone("user_1", past+hour))
	if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: "user_1"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list(t, db, `SHOW statement_timeout`), list(t, db, `SELECT said FROM clerk.limits`)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestHooksOfNothing refuses hooks that could never be called.
func TestHooksOfNothing(t *testing.T) {
	t.Parallel()
	_, err := clerksync.Open(t.Context(), pgtest.SQLite(t), clerksync.Config{Hooks: clerksync.Hooks{clerksync.Sessions: {}}})
	if err == nil || !strings.Contains(err.Error(), "Config.Kinds") {
		t.Errorf("Open: %v", err)
	}
}

// TestHooksLockInOrder has a process with hooks and one without write about the same two users, one of whom is not there yet: they do not
// lock each other out. With this database that would last until both give up.
func TestHooksLockInOrder(t *testing.T) {
	t.Parallel()
	db := sqlx.MustOpen("postgres", pgtest.Direct(t))
	t.Cleanup(func() { db.Close() })
	admin(t, db).MustExec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''1min''', current_database()); END $$`)
	db.SetMaxIdleConns(0) // for connections made before do not know
	db.SetMaxIdleConns(4)
	hooked, plain := open(t, db, detour()), pinned(t, db)
	apply(t, plain, user{ID: "user_z", Updated: past}.told())
	tx := db.MustBegin()
	defer tx.Rollback()
	tx.MustExec(`SELECT 1 FROM clerk.users WHERE id = 'user_z' FOR UPDATE`)
	var writers errgroup.Group
	for i, m := range []*clerksync.Mirror{hooked, plain} {
		writers.Go(func() error {
			a, z := user{ID: "user_a", Updated: past + 1, Name: fmt.Sprint(i)}, user{ID: "user_z", Updated: past + 1, Name: fmt.Sprint(i)}
			_, err := m.Apply(t.Context(), a.told(), z.told())
			return err
		})
		waitFor(t, "it to wait", func() bool { return waitingForLocks(t, db) == i+1 })
	}
	tx.Rollback()
	if err := writers.Wait(); err != nil {
		t.Error(err)
	}
	checkVersions(t, plain)
}

// TestHookFailureOfAReplay has an event wait that was of no interest when it came first, and that a hook refuses when it comes again, weeks
// later: its content is kept as long as that of any other.
func TestHookFailureOfAReplay(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		e := tells("msg_again", clerksync.Organizations, "org_1", fmt.Appendf(nil, `{"object":"organization","id":"org_1","created_at":%d,"updated_at":%[1]d}`, past), past)
		e.Event.ReceivedAt = time.Now().Add(-20 * 24 * time.Hour)
		apply(t, open(t, db, clerksync.Config{InstanceID: instance, Kinds: []clerksync.Kind{clerksync.Users}}), e)
		e.Event.ReceivedAt = time.Time{}
		m := open(t, db, clerksync.Config{InstanceID: instance, Kinds: clerksync.Kinds(), Hooks: clerksync.Hooks{clerksync.Organizations: {
			Initial: true, OnCreated: func(context.Context, *sqlx.Tx, clerksync.Transition) error { return errors.New("no") },
		}}})
		r := apply(t, m, e)
		if _, err := m.Prune(t.Context(), 30*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		if e := events(t, m)["msg_again"]; r[0].Outcome != clerksync.Quarantined || e.Outcome != clerksync.Quarantined || e.Payload == nil || !e.Due || e.Attempts != 2 {
			t.Errorf("it is %+v, its row %+v", r[0], e)
		}
	})
}
