package upsert_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
)

// The errors, by what a login can end with.
var sentinels = []error{upsert.ErrDeleted, upsert.ErrNotFound, upsert.ErrUnavailable, clerksync.ErrWrongInstance}

// mustBe checks an error against all sentinels: those in want, and no other.
func mustBe(t *testing.T, err error, want ...error) {
	t.Helper()
	if len(want) == 0 && err != nil {
		t.Fatalf("the login failed: %v", err)
	}
	for _, s := range sentinels {
		if got := errors.Is(err, s); got != slices.Contains(want, s) {
			t.Fatalf("the login's error is %v; errors.Is(%v) = %v", err, s, got)
		}
	}
}

const (
	young = 5 * time.Minute
	old   = 3 * time.Hour
)

// TestLogin goes through every combination of what the mirror has and what Clerk answers.
func TestLogin(t *testing.T) {
	t.Parallel()
	none := func(h *house) string { return h.signUp() }
	has := func(ago time.Duration) func(h *house) string {
		return func(h *house) string { return h.mirrored(ago) }
	}
	deleted := func(ago time.Duration) func(h *house) string {
		return func(h *house) string {
			id := h.mirrored(ago + old)
			h.tellGone(id, ago)
			return id
		}
	}
	// A user whose last change Clerk dates just now, although the mirror's last word of him is old.
	alive := func(h *house) string {
		id := h.signUp()
		h.tell(id, old)
		return id
	}

	here := func(*house, string) {}
	gone := func(h *house, id string) { h.leave(id) }
	fault := func(f clerktest.Faults) func(*house, string) {
		return func(h *house, _ string) { h.faults(f) }
	}
	down := fault(clerktest.Faults{ErrorRate: 1})
	foreign := fault(clerktest.Faults{WrongInstance: "ins_other"})
	fails := func(h *house, _ string) { // not before it is asked for the user
		f := func() { h.faults(clerktest.Faults{ErrorRate: 1}) }
		h.asked.Store(&f)
	}

	apart := fault(clerktest.Faults{Skew: 5 * time.Minute})
	update := func(f clerktest.Fields) func(*house, string) {
		return func(h *house, id string) {
			if err := h.clerk.UpdateUser(id, f); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	ahead := update(clerktest.Fields{"updated_at": time.Now().Add(time.Hour).UnixMilli()})
	poison := update(clerktest.Fields{"unsafe_metadata": json.RawMessage(`{"a":"\u0000"}`)})

	type effect string
	const (
		nothing effect = "no row moves"
		read    effect = "the row is visible and says that a login has just read it"
		hidden  effect = "the row is hidden"
		visible effect = "the row stays visible"
	)
	wrong := []error{upsert.ErrUnavailable, clerksync.ErrWrongInstance}
	cases := []struct {
		name   string
		mirror func(*house) string
		clerk  func(*house, string)
		want   []error
		result string
		asks   int // of Clerk, for the user
		effect effect
	}{
		{"young row", has(young), here, nil, upsert.ResultFresh, 0, nothing},
		{"young row, gone", has(young), gone, nil, upsert.ResultFresh, 0, nothing},
		{"young row, Clerk down", has(young), down, nil, upsert.ResultFresh, 0, nothing},
		{"young row, wrong key", has(young), foreign, nil, upsert.ResultFresh, 0, nothing},

		{"old row", has(old), here, nil, upsert.ResultRead, 1, read},
		{"old row, gone", has(old), gone, []error{upsert.ErrDeleted}, upsert.ResultDeleted, 1, hidden},
		{"old row, Clerk down", has(old), down, nil, upsert.ResultStale, 0, nothing},
		{"old row, Clerk fails", has(old), fails, nil, upsert.ResultStale, 2, nothing},
		{"old row, key refused", has(old), fault(clerktest.Faults{Unauthorized: true}), nil, upsert.ResultStale, 0, nothing},
		{"old row, rate limit", has(old), fault(clerktest.Faults{RateLimit: 1}), nil, upsert.ResultStale, 1, nothing},
		{"old row, clocks apart", has(old), apart, nil, upsert.ResultRead, 1, read},
		{"old row, clocks apart, gone", has(old), func(h *house, id string) { gone(h, id); apart(h, id) }, []error{upsert.ErrUnavailable, clerksync.ErrSkewed}, upsert.ResultUnavailable, 1, nothing},
		{"old row, dated ahead", has(old), ahead, nil, upsert.ResultRead, 1, nothing},
		{"old row, poisoned", has(old), poison, nil, upsert.ResultRead, 1, read},
		{"old row, wrong key", has(old), foreign, wrong, upsert.ResultWrongInstance, 0, nothing},
		{"row alive within the margin, gone", alive, gone, []error{upsert.ErrNotFound}, upsert.ResultNotFound, 1, visible},

		{"no row", none, here, nil, upsert.ResultRead, 1, read},
		{"no row, gone", none, gone, []error{upsert.ErrNotFound}, upsert.ResultNotFound, 1, nothing},
		{"no row, Clerk down", none, down, []error{upsert.ErrUnavailable}, upsert.ResultUnavailable, 0, nothing},
		{"no row, Clerk fails", none, fails, []error{upsert.ErrUnavailable}, upsert.ResultUnavailable, 2, nothing},
		{"no row, dated ahead", none, ahead, []error{upsert.ErrUnavailable}, upsert.ResultUnavailable, 1, nothing},
		{"no row, poisoned", none, poison, nil, upsert.ResultRead, 1, read},
		{"no row, wrong key", none, foreign, wrong, upsert.ResultWrongInstance, 0, nothing},

		{"just deleted, stale read", deleted(0), here, []error{upsert.ErrDeleted}, upsert.ResultDeleted, 1, hidden},
		{"just deleted, gone", deleted(0), gone, []error{upsert.ErrDeleted}, upsert.ResultDeleted, 1, hidden},
		{"deleted long ago, restored", deleted(old), here, nil, upsert.ResultRead, 1, read},
		{"deleted long ago, gone", deleted(old), gone, []error{upsert.ErrDeleted}, upsert.ResultDeleted, 1, hidden},
		{"deleted, Clerk down", deleted(old), down, []error{upsert.ErrUnavailable}, upsert.ResultUnavailable, 0, nothing},
		{"deleted, Clerk fails", deleted(old), fails, []error{upsert.ErrUnavailable}, upsert.ResultUnavailable, 2, nothing},
		{"deleted, wrong key", deleted(old), foreign, wrong, upsert.ResultWrongInstance, 0, nothing},
	}
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				h.t = t
				defer h.faults(clerktest.Faults{})
				defer h.asked.Store(nil)
				id := c.mirror(h)
				c.clerk(h, id)
				h.clerk.ResetRequests()
				told := &results{}
				logins := h.loginsTo(h.net, told)
				before, begun := h.rows(), time.Now().Truncate(time.Millisecond)

				user, err := logins.UpsertOnLogin(t.Context(), id)

				mustBe(t, err, c.want...)
				if got := user.ID; (got == id) != (len(c.want) == 0) || got != "" && *user.FirstName != "Ada" {
					t.Errorf("the login got the user %q", got)
				}
				if diff := cmp.Diff([]string{c.result}, told.take()); diff != "" {
					t.Errorf("observed (-want +got):\n%s", diff)
				}
				if got := h.asks("/v1/users/"); got != c.asks {
					t.Errorf("Clerk was asked %d times for the user, want %d", got, c.asks)
				}
				after := h.rows()
				i := slices.IndexFunc(after, func(r row) bool { return r.ID == id })
				switch {
				case c.effect == nothing:
					if diff := cmp.Diff(before, after); diff != "" {
						t.Errorf("rows moved (-before +after):\n%s", diff)
					}
				case i < 0:
					t.Error("there is no row")
				case c.effect == read:
					if r := after[i]; !r.Visible || r.SyncedAt.Before(begun) || r.Source != "login" {
						t.Errorf("the row is not what the login read: %+v", r)
					}
				case after[i].Visible != (c.effect == visible):
					t.Errorf("want that %s: %+v", c.effect, after[i])
				}
			})
		}
	})
}

// TestLoginAsksOncePerMaxAge checks that a login's read always moves synced_at, also when it shows nothing that was not known.
func TestLoginAsksOncePerMaxAge(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		id := h.mirrored(old)
		for range 3 {
			_, err := h.logins.UpsertOnLogin(t.Context(), id)
			mustBe(t, err)
		}
		if diff := cmp.Diff([]string{"read", "fresh", "fresh"}, h.told.take()); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
		if n := h.asks("/v1/users/"); n != 1 {
			t.Errorf("Clerk was asked %d times, want once", n)
		}
	})
}

func TestLoginRefusesWhatIsNoUser(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		for _, id := range []string{
			"", "user_", "ada", "org_2abc", "user_../count", "user_%2e%2e%2fcount", "user_a/../../instance", "user_a?x=y", "user_a#",
			"user_a b", "user_a\n", "user_ä", "user_\x00", "USER_a", " user_a", "user_a ", "users", "user_" + string(make([]byte, 1<<20)),
			"user_" + fmt.Sprintf("%0121d", 0),
		} {
			_, err := h.logins.UpsertOnLogin(t.Context(), id)
			mustBe(t, err, upsert.ErrNotFound)
		}
		if n := len(h.clerk.Requests()); n != 0 {
			t.Errorf("Clerk got %d requests, want none", n)
		}
	})
}

// TestLoginWithForeignKeyHidesNobody is the login helper with a development key on the production database: each of its reads
// would be a 404.
func TestLoginWithForeignKeyHidesNobody(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		ids := make([]string, 100)
		for i := range ids {
			ids[i] = h.mirrored(old)
		}
		foreign := loopback(t, clerktest.Config{Seed: 2})
		logins := h.loginsTo(foreign, &results{}, func(c *upsert.Config) { c.MaxDeletes = 1000 })
		before := h.rows()
		for _, id := range ids {
			_, err := logins.UpsertOnLogin(t.Context(), id)
			mustBe(t, err, upsert.ErrUnavailable, clerksync.ErrWrongInstance)
		}
		if diff := cmp.Diff(before, h.rows()); diff != "" {
			t.Errorf("rows moved (-before +after):\n%s", diff)
		}
		for _, r := range foreign.clerk.Requests() {
			if r.Path != "/v1/instance" {
				t.Errorf("the other instance was asked for %s", r.Path)
			}
		}
	})
}

// TestLoginGuardsDeletions has a Clerk that denies everybody.
func TestLoginGuardsDeletions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ max, users, want int }{{0, 30, 10}, {3, 30, 3}, {0, 260, 12}} {
		t.Run(fmt.Sprintf("%d of %d", c.want, c.users), func(t *testing.T) {
			t.Parallel()
			pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
				h := build(t, db, loopback, func(cfg *upsert.Config) { cfg.MaxDeletes = c.max })
				ids := make([]string, c.users)
				for i := range ids {
					ids[i] = h.mirrored(old)
				}
				for _, id := range ids[:20] {
					h.leave(id)
				}
				for i, id := range ids[:20] {
					_, err := h.logins.UpsertOnLogin(t.Context(), id)
					if i < c.want {
						mustBe(t, err, upsert.ErrDeleted)
						_, err = h.logins.UpsertOnLogin(t.Context(), id) // does not count again
						mustBe(t, err, upsert.ErrDeleted)
						continue
					}
					mustBe(t, err, upsert.ErrUnavailable)
					if !h.row(id).Visible {
						t.Fatalf("user %d was hidden in spite of the guard", i)
					}
				}
				if told := h.told.take(); told[len(told)-1] != upsert.ResultHeld {
					t.Errorf("observed %q, want %q", told[len(told)-1], upsert.ResultHeld)
				}
				_, err := h.logins.UpsertOnLogin(t.Context(), ids[20])
				mustBe(t, err) // the guard holds deletions, not logins
			})
		})
	}
}

func TestLoginsOfOneUserShareARequest(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		h.faults(clerktest.Faults{Latency: 20 * time.Millisecond})
		ids := make([]string, 50)
		for i := range ids {
			ids[i] = h.signUp()
		}
		var all sync.WaitGroup
		errs := make([]error, 1000)
		for i := range errs {
			all.Go(func() {
				user, err := h.logins.UpsertOnLogin(t.Context(), ids[i%50])
				if err == nil && user.ID != ids[i%50] {
					err = fmt.Errorf("got user %s instead of %s", user.ID, ids[i%50])
				}
				errs[i] = err
			})
		}
		all.Wait()
		mustBe(t, errors.Join(errs...))
		if n := h.asks("/v1/users/"); n != 50 {
			t.Errorf("Clerk was asked %d times for 50 users", n)
		}
		if n := h.asks("/v1/instance"); n != 1 {
			t.Errorf("Clerk was asked %d times for its instance", n)
		}
		if rows := h.rows(); len(rows) != 50 {
			t.Errorf("the mirror has %d rows, want 50", len(rows))
		}
	})
}

// gate makes Clerk wait, when it is asked for a user, until it is opened. reached tells that it was asked.
func (h *house) gate() (reached <-chan struct{}, open func()) {
	h.t.Helper()
	come, opened := make(chan struct{}), make(chan struct{})
	var once, onceOpen sync.Once
	wait := func() {
		once.Do(func() { close(come) })
		<-opened
	}
	h.asked.Store(&wait)
	open = func() { onceOpen.Do(func() { close(opened) }) }
	h.t.Cleanup(open)
	return come, open
}

// A deletion that is committed while Clerk is being asked counts, also for a login that begins after it and waits for the same answer.
func TestLoginDeletedWhileClerkHangs(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		id := h.mirrored(old)
		reached, open := h.gate()
		logins := make(chan error, 2)
		login := func() {
			_, err := h.logins.UpsertOnLogin(t.Context(), id)
			logins <- err
		}
		go login()
		<-reached
		h.tellGone(id, 0)
		go login()
		h.faults(clerktest.Faults{ErrorRate: 1})
		open()
		mustBe(t, <-logins, upsert.ErrUnavailable)
		mustBe(t, <-logins, upsert.ErrUnavailable)
	})
}

// A row that a wrong clock dated ahead is not fresh until then.
func TestLoginOfARowDatedAhead(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		id := h.mirrored(old)
		h.leave(id)
		db.MustExec(h.mirror.SQL(`UPDATE {users} SET synced_at = $1`), time.Now().Add(24*time.Hour).UTC().Format("2006-01-02T15:04:05.000Z"))
		_, err := h.logins.UpsertOnLogin(t.Context(), id)
		mustBe(t, err, upsert.ErrDeleted)
	})
}

// panicking is a network whose code is broken.
type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("broken") }

// A panic on the way to Clerk fails the login and not the process.
func TestLoginThatPanics(t *testing.T) {
	t.Parallel()
	h := build(t, pgtest.SQLite(t), func(t *testing.T, cfg clerktest.Config) network {
		n := loopback(t, cfg)
		n.transport = panicking{}
		return n
	})
	_, err := h.logins.UpsertOnLogin(t.Context(), h.mirrored(old))
	mustBe(t, err, upsert.ErrUnavailable)
}

func TestLoginThatGivesUpFailsNoOther(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		id := h.mirrored(old)
		reached, open := h.gate()

		hasty, giveUp := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := h.logins.UpsertOnLogin(hasty, id)
			first <- err
		}()
		<-reached
		second := make(chan error, 1)
		go func() {
			_, err := h.logins.UpsertOnLogin(t.Context(), id)
			second <- err
		}()
		giveUp()
		err := <-first
		mustBe(t, err, upsert.ErrUnavailable)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the login that gave up got %v", err)
		}
		open()
		mustBe(t, <-second)
		if n := h.asks("/v1/users/"); n != 1 {
			t.Errorf("Clerk was asked %d times, want once", n)
		}
	})
}

// TestLoginHoldsNoConnection lets Clerk hang while the database has one connection only.
func TestLoginHoldsNoConnection(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		db.SetMaxOpenConns(1)
		h := build(t, db, loopback)
		id := h.mirrored(old)
		reached, open := h.gate()
		done := make(chan error, 1)
		go func() {
			_, err := h.logins.UpsertOnLogin(t.Context(), id)
			done <- err
		}()
		<-reached
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := h.mirror.User(ctx, id); err != nil {
			t.Errorf("while Clerk hangs, another query gets no connection: %v", err)
		}
		open()
		mustBe(t, <-done)
	})
}

// TestLoginWhileDeleted deletes the user while Clerk is still showing him.
func TestLoginWhileDeleted(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		id := h.mirrored(old)
		reached, open := h.gate()
		done := make(chan error, 1)
		go func() {
			_, err := h.logins.UpsertOnLogin(t.Context(), id)
			done <- err
		}()
		<-reached
		h.tellGone(id, 0)
		open()
		mustBe(t, <-done, upsert.ErrDeleted)
	})
}

func TestLoginWithoutDatabase(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		id := h.mirrored(young)
		db.Close()
		_, err := h.logins.UpsertOnLogin(t.Context(), id)
		mustBe(t, err, upsert.ErrUnavailable)
	})
}

// TestLoginWithoutDatabaseAfterRead loses the database between Clerk's answer and the commit.
func TestLoginWithoutDatabaseAfterRead(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		h := build(t, db, loopback)
		id := h.mirrored(old)
		lose := func() { db.Close() }
		h.asked.Store(&lose)
		_, err := h.logins.UpsertOnLogin(t.Context(), id)
		mustBe(t, err, upsert.ErrUnavailable)
	})
}

// TestLoginThatAHookRefuses says why, to the caller and to the operator, and goes on with the row that is there.
func TestLoginThatAHookRefuses(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		refuse := func(context.Context, *sqlx.Tx, clerksync.Transition) error { return errors.New("no room for Ada") }
		mirror, err := clerksync.Open(t.Context(), db, clerksync.Config{
			Unprepared: pgtest.Unprepared(), Hooks: clerksync.Hooks{clerksync.Users: {OnCreated: refuse, OnUpdated: refuse}}})
		if err != nil {
			t.Fatal(err)
		}
		var log lines
		h := build(t, db, loopback, func(c *upsert.Config) { c.Mirror, c.Logger = mirror, slog.New(slog.NewTextHandler(&log, nil)) })
		id := h.signUp()
		_, err = h.logins.UpsertOnLogin(t.Context(), id)
		mustBe(t, err, upsert.ErrUnavailable)
		const reason = "the hook OnCreated of users failed"
		for what, text := range map[string]string{"error": err.Error(), "log": log.String()} {
			if !strings.Contains(text, reason) || strings.Contains(text, "Ada") {
				t.Errorf("the %s is %q, want the reason %q", what, text, reason)
			}
		}
		known := h.mirrored(old)
		if err := h.clerk.UpdateUser(known, clerktest.Fields{"first_name": "Grace"}); err != nil {
			t.Fatal(err)
		}
		if user, err := h.logins.UpsertOnLogin(t.Context(), known); err != nil || user.ID != known {
			t.Errorf("a known user whose change is refused: %v, %v", user.ID, err)
		}
		if got := log.String(); !strings.Contains(got, "OnUpdated") {
			t.Errorf("the log is %q, want a line about the change", got)
		}
	})
}

func TestNewRefusesBadConfig(t *testing.T) {
	t.Parallel()
	h := build(t, pgtest.SQLite(t), loopback)
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: "sk_test_x"})
	if err != nil {
		t.Fatal(err)
	}
	without, err := clerksync.Open(t.Context(), h.db, clerksync.Config{Unprepared: pgtest.Unprepared(), Kinds: []clerksync.Kind{clerksync.Organizations}})
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]upsert.Config{
		"no users":            {Mirror: without, Clerk: api},
		"no mirror":           {Clerk: api},
		"no Clerk":            {Mirror: h.mirror},
		"negative age":        {Mirror: h.mirror, Clerk: api, MaxAge: -1},
		"negative cache size": {Mirror: h.mirror, Clerk: api, CacheSize: -1},
		"negative guard":      {Mirror: h.mirror, Clerk: api, MaxDeletes: -1},
	} {
		if _, err := upsert.New(cfg); err == nil {
			t.Errorf("%s: New has no objection", name)
		}
	}
}

// TestLoginWithoutDatabaseAfterDenial loses the database after Clerk has denied the user: that is no word about too many deletions.
func TestLoginWithoutDatabaseAfterDenial(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		var told lines
		h := build(t, db, loopback, func(c *upsert.Config) { c.Logger = slog.New(slog.NewTextHandler(&told, nil)) })
		id := h.mirrored(old)
		h.leave(id)
		lose := func() { db.Close() }
		h.asked.Store(&lose)
		_, err := h.logins.UpsertOnLogin(t.Context(), id)
		mustBe(t, err, upsert.ErrUnavailable)
		if diff := cmp.Diff([]string{"unavailable"}, h.told.take()); diff != "" || strings.Contains(told.String(), "guard") {
			t.Errorf("observed (-want +got):\n%s\nthe log says %s", diff, told.String())
		}
	})
}
