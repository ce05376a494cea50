package sync_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

const another = "ins_2another"

// from makes an event one of another instance.
func from(instance string, e clerksync.Evidence) clerksync.Evidence {
	e.Event.InstanceID = instance
	return e
}

// TestPin ties a mirror to one instance for ever.
func TestPin(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{})
		if id, err := m.Pinned(t.Context()); id != "" || err != nil {
			t.Errorf("Pinned = %q, %v before any pin", id, err)
		}
		if err := m.Pin(t.Context(), "sk_live_secret"); err == nil || !strings.Contains(err.Error(), "ins_") || strings.Contains(err.Error(), "secret") {
			t.Errorf("pinning to what is no instance = %v", err)
		}
		for range 2 {
			if err := m.Pin(t.Context(), instance); err != nil {
				t.Error(err)
			}
		}
		if err := m.Pin(t.Context(), another); !errors.Is(err, clerksync.ErrWrongInstance) {
			t.Errorf("pinning to another one = %v, want ErrWrongInstance", err)
		}
		if _, err := clerksync.Open(t.Context(), db, clerksync.Config{Unprepared: pgtest.Unprepared(), InstanceID: another}); !errors.Is(err, clerksync.ErrWrongInstance) {
			t.Errorf("opening as another one's = %v, want ErrWrongInstance", err)
		}
		for _, m := range []*clerksync.Mirror{m, open(t, db, clerksync.Config{})} {
			if id, err := m.Pinned(t.Context()); id != instance || err != nil {
				t.Errorf("Pinned = %q, %v, want %s", id, err, instance)
			}
		}
	})
}

// TestPinBesideALook has an answer come late that there is no pin, from before it was set: the pin is known all the same, or else reads
// would be refused for seconds.
func TestPinBesideALook(t *testing.T) {
	t.Parallel()
	m := pinned(t, pgtest.SQLite(t))
	m.NotePin("")
	if id, err := m.Pinned(t.Context()); id != instance || err != nil {
		t.Errorf("Pinned = %q, %v, want %s", id, err, instance)
	}
}

// TestDryReaderPinsNothing reads for a mirror that is not pinned. What it read can be compared and not be applied, and the mirror can still
// become another instance's.
func TestDryReaderPinsNothing(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{ReadMargin: -1})
		clerk := clerktest.NewServer(t, clerktest.Config{Users: 2})
		api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: clerk.SecretKey(), URL: clerk.URL()})
		if err != nil {
			t.Fatal(err)
		}
		r := clerksync.NewDryReader(m, api, clerksync.Reconcile)
		page, err := r.List(t.Context(), clerksync.Users, nil)
		if err != nil || len(page) != 2 {
			t.Fatalf("%d users, %v", len(page), err)
		}
		if results, err := m.Compare(t.Context(), page[0].Evidence); err != nil || results[0].Outcome != clerksync.Created {
			t.Errorf("compared as %+v, %v", results, err)
		}
		if err := m.Pin(t.Context(), another); err != nil {
			t.Fatalf("after a dry read: %v", err)
		}
		if results, err := m.Apply(t.Context(), page[0].Evidence); err == nil {
			t.Errorf("applied to a mirror of another instance: %+v", results)
		}
		if _, err := r.Instance(t.Context()); !errors.Is(err, clerksync.ErrWrongInstance) {
			t.Errorf("reading for a mirror of another instance = %v, want ErrWrongInstance", err)
		}
	})
}

// TestCheckInstance fails where a pin would.
func TestCheckInstance(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{})
		if err := m.CheckInstance(t.Context(), "sk_live_secret"); err == nil {
			t.Error("what is no instance could be pinned")
		}
		if err := m.CheckInstance(t.Context(), another); err != nil {
			t.Errorf("of an empty mirror: %v", err)
		}
		apply(t, m, from(instance, at(0, "a").told()))
		if err := m.CheckInstance(t.Context(), another); !errors.Is(err, clerksync.ErrWrongInstance) {
			t.Errorf("although another one's event was applied: %v", err)
		}
		if id, err := m.Pinned(t.Context()); id != "" || err != nil {
			t.Errorf("Pinned = %q, %v, want none", id, err)
		}
	})
}

// TestForeignEvents leaves no trace of other instances' events but their number.
func TestForeignEvents(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		broken := from(another, at(0, "a").told())
		broken.Object = []byte(`{}`)
		for i, e := range (batch{
			from(another, at(0, "a").told()), from("ins_123", toldGone("user_1", past)), broken,
			from(another, clerksync.Evidence{Source: clerksync.Webhook, Event: event("email.created", "ema_1")}),
		}) {
			if got := apply(t, m, e)[0]; got.Outcome != clerksync.Ignored || !got.Foreign {
				t.Errorf("event %d: %+v, want it ignored as foreign", i, got)
			}
		}
		if users, kept := rows(t, m), events(t, m); len(users)+len(kept)+len(changes(t, m, 0)) != 0 {
			t.Errorf("users %+v, events %+v", users, kept)
		}
		var foreign clerksync.Foreign
		if found, err := m.ReadState(t.Context(), "foreign", &foreign); !found || err != nil || foreign.Count != 4 || foreign.Last != another {
			t.Errorf("counted as %+v, %t, %v; want 4, the last of %s", foreign, found, err, another)
		}
		// One that names no instance was signed with our own secret. Beside a foreign one, both get their own answer.
		got := apply(t, m, from("", at(0, "a").told()), from(another, at(1, "b").told()))
		if got[0].Outcome != clerksync.Created || got[0].Foreign || !got[1].Foreign {
			t.Errorf("together: %+v", got)
		}
	})
}

// TestSampleInstances merges nothing that Clerk's published examples and its dashboard send, unless the mirror is pinned to them.
func TestSampleInstances(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{})
		for _, sample := range []string{"ins_123", "ins_2g7np7Hrk0SN6kj5EDMLDaKNL0S"} {
			if got := apply(t, m, from(sample, at(0, "a").told()))[0]; !got.Foreign {
				t.Errorf("%s: %+v, want it ignored as foreign", sample, got)
			}
		}
		if users, kept := rows(t, m), events(t, m); len(users)+len(kept) != 0 {
			t.Errorf("users %+v, events %+v", users, kept)
		}
		if err := m.Pin(t.Context(), "ins_123"); err != nil {
			t.Fatal(err)
		}
		if got := apply(t, m, from("ins_123", at(0, "a").told()))[0]; got.Outcome != clerksync.Created {
			t.Errorf("pinned to it: %+v", got)
		}
	})
}

// TestPinAfterForeignEvents refuses a pin once events of another instance have been merged, but not for events that were only kept.
func TestPinAfterForeignEvents(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{})
		quarantined := from(another, at(0, "a").told())
		quarantined.Object = []byte(`{}`)
		deferred := from(another, told(user{ID: "user_1", Updated: 1 << 50}, past))
		ignored := from(another, clerksync.Evidence{Source: clerksync.Webhook, Event: event("email.created", "ema_1")})
		apply(t, m, quarantined, deferred, ignored, from("", at(0, "a").told()))
		if err := open(t, db, clerksync.Config{}).Pin(t.Context(), instance); err != nil {
			t.Errorf("after events that merged nothing: %v", err)
		}
		forgetful := admin(t, db)
		for _, table := range []string{"{events}", "{state} WHERE key = 'instance'"} {
			forgetful.MustExec(m.SQL(`DELETE FROM ` + table))
		}
		m = open(t, db, clerksync.Config{})
		apply(t, m, from(another, at(1, "b").told()))
		if err := m.Pin(t.Context(), instance); !errors.Is(err, clerksync.ErrWrongInstance) {
			t.Errorf("after an event that was merged: %v, want ErrWrongInstance", err)
		}
		if err := m.Pin(t.Context(), another); err != nil {
			t.Errorf("pinning to the instance of the events: %v", err)
		}
	})
}

// TestPinByAnotherProcess has a process that still believes there is no pin receive an event of another instance.
func TestPinByAnotherProcess(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		unaware := open(t, db, clerksync.Config{})
		apply(t, unaware, from(instance, at(0, "a").told()))
		pinned(t, db)
		got := apply(t, unaware, from(another, at(1, "b").told()), from(instance, at(2, "c").told()))
		if !got[0].Foreign || got[1].Outcome != clerksync.Updated {
			t.Errorf("%+v, want the first to be foreign, the second merged", got)
		}
	})
}

// TestPinRacesWithEvents pins while events of another instance are being merged: one of the two must lose.
func TestPinRacesWithEvents(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		forgetful := admin(t, db)
		for round := range togetherRounds {
			m := open(t, db, clerksync.Config{})
			empty(t, m)
			forgetful.MustExec(m.SQL(`DELETE FROM {state} WHERE key = 'instance'`))
			one, other := open(t, db, clerksync.Config{}), open(t, db, clerksync.Config{})
			pin := make(chan error, 1)
			go func() { pin <- one.Pin(t.Context(), instance) }()
			merged := false
			var group errgroup.Group
			results := make([]clerksync.Result, 4)
			for i := range results {
				group.Go(func() error {
					all, err := other.Apply(t.Context(), from(another, numbered(i)))
					if err == nil {
						results[i] = all[0]
					}
					return err
				})
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				merged = merged || !r.Foreign
			}
			if err := <-pin; merged != errors.Is(err, clerksync.ErrWrongInstance) || !merged && err != nil {
				t.Fatalf("round %d: pinning = %v, but the events became %+v", round, err, results)
			}
			if n := len(rows(t, m)); (n > 0) != merged {
				t.Fatalf("round %d: %d rows, although merged is %t", round, n, merged)
			}
		}
	})
}

// TestReadsNeedAReader refuses evidence from reads that no Reader made, and all of it while there is no pin.
func TestReadsNeedAReader(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		unpinned := open(t, db, clerksync.Config{})
		for _, e := range (batch{read(at(0, "a"), past), readGone("user_1", past)}) {
			if results, err := unpinned.Apply(t.Context(), e); err == nil {
				t.Errorf("without a pin: %+v", results)
			}
		}
		m := pinned(t, db)
		for _, source := range []clerksync.Source{clerksync.Reconcile, clerksync.Delta, clerksync.Login, clerksync.Resync, ""} {
			for _, object := range [][]byte{at(0, "a").JSON(), nil} {
				e := clerksync.Evidence{Kind: clerksync.Users, ID: "user_1", Object: object, At: past, Source: source}
				if results, err := m.Apply(t.Context(), e); err == nil {
					t.Errorf("%q by hand: %+v", source, results)
				}
			}
		}
		if len(rows(t, m)) != 0 {
			t.Error("something was written")
		}
	})
}

// TestFirstReadThatGivesUp has several first reads wait for the answer to one question, and the one that asked go away.
func TestFirstReadThatGivesUp(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, m *clerksync.Mirror, n *near) {
		n.instance = "" // so that answer is asked
		n.answer = func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(time.Second):
				return says(200, fmt.Sprintf(`{"id":%q}`, instance)), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
		r := clerksync.NewReader(m, client(t, n, clerksync.APIConfig{RateLimit: -1}), clerksync.Login)
		ctx, cancel := context.WithCancel(t.Context())
		var group errgroup.Group
		group.Go(func() error {
			if _, err := r.Instance(ctx); !errors.Is(err, clerksync.ErrUnavailable) && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("the one that gave up: %w", err)
			}
			return nil
		})
		synctest.Wait()
		for range 3 {
			group.Go(func() error {
				_, err := r.Instance(t.Context())
				return err
			})
		}
		synctest.Wait()
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}
