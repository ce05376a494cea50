package sync_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// due lists what is due of a kind.
func due(t testing.TB, m *clerksync.Mirror, k clerksync.Kind, age time.Duration) (ids []string) {
	t.Helper()
	for id, err := range m.Due(t.Context(), k, age) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// TestDue counts the age from the deletion and from when it was told, whichever is later.
func TestDue(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := long()
		p, lives, stranger := person{word: "quokka", born: start}, person{word: "wombat", born: start}, person{word: "bilby", born: start}
		p.arrive(t, m, start)
		lives.arrive(t, m, start)
		p.leave(t, m, start+day)
		stranger.leave(t, m, start+2*day) // never seen here: nobody could miss him
		if got := due(t, m, clerksync.Users, time.Hour); !cmp.Equal(got, []string{stranger.id()}) {
			t.Errorf("within the hour in which it was told, %q are due", got)
		}
		if got := due(t, m, clerksync.Users, 0); !cmp.Equal(got, []string{p.id(), stranger.id()}) {
			t.Errorf("%q are due, want the one who was deleted first and the stranger", got)
		}
		if got := due(t, m, clerksync.Sessions, 0); len(got) > 0 {
			t.Errorf("%q of the sessions are due", got)
		}
		p.erase(t, m, clerksync.Anonymize)
		if got := due(t, m, clerksync.Users, 0); !cmp.Equal(got, []string{stranger.id()}) {
			t.Errorf("after one was erased, %q are due", got)
		}
	})
}

// TestReturned finds what arrives in the moment of an erasure, as a transaction does that does not see it yet.
func TestReturned(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := long()
		p := person{word: "quokka", born: start}
		p.arrive(t, m, start)
		p.leave(t, m, start+day)
		p.erase(t, m, clerksync.Anonymize)
		db.MustExec(m.SQL(`UPDATE {sessions} SET erased_at = NULL, city = 'quokka' WHERE user_id = $1`), p.id())
		ids, err := m.Returned(t.Context(), clerksync.Users, time.Hour)
		if err != nil || !cmp.Equal(ids, []string{p.id()}) {
			t.Fatalf("%q, %v", ids, err)
		}
		p.erase(t, m, clerksync.Anonymize)
		if ids, err := m.Returned(t.Context(), clerksync.Users, time.Hour); err != nil || len(ids) > 0 {
			t.Errorf("%q, %v", ids, err)
		}
	})
}

// erasedLongAgo dates all erasures back.
func erasedLongAgo(t testing.TB, m *clerksync.Mirror) {
	t.Helper()
	for _, k := range clerksync.Kinds() {
		m.DB().MustExec(m.SQL(`UPDATE {` + string(k) + `} SET erased_at = '2026-01-02T03:04:05.000Z' WHERE erased_at IS NOT NULL`))
	}
}

// TestPruneTombstones removes what hard has left after 100 days, but for what somebody refers to, and then doubts what is as old.
func TestPruneTombstones(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		if db.DriverName() == "sqlite" {
			db.SetMaxOpenConns(1)
			db.MustExec(`PRAGMA foreign_keys = ON`)
		}
		m := everything(t, db)
		start := time.Now().UnixMilli() - 200*day
		old, held, young := person{word: "quokka", born: start}, person{word: "wombat", born: start}, person{word: "bilby", born: start}
		lives := person{word: "numbat", born: start}
		for _, p := range []person{old, held, young, lives} {
			p.arrive(t, m, start)
		}
		old.leave(t, m, start+day)
		held.leave(t, m, start+day)
		young.leave(t, m, start+150*day)
		orders := admin(t, db)
		orders.MustExec(m.SQL(`CREATE TABLE {orders} (id text, user_id text REFERENCES {users} (id))`))
		orders.MustExec(m.SQL(`INSERT INTO {orders} VALUES ('1', $1)`), held.id())
		prune := func() int64 {
			n, err := m.PruneTombstones(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := prune(); n != 0 {
			t.Errorf("%d were removed that nobody had erased", n)
		}
		for _, p := range []person{old, held, young} {
			p.erase(t, m, clerksync.Hard)
		}
		if n := prune(); n != 0 {
			t.Errorf("%d were removed whose erasure the feed may not have told of yet", n)
		}
		erasedLongAgo(t, m)
		if n := prune(); n != 1 {
			t.Errorf("%d were removed, want 1", n)
		}
		left := rows(t, m)
		for _, p := range []person{old, held, young, lives} {
			if _, found := left[p.id()]; found == (p == old) {
				t.Errorf("%s is there: %t", p.word, found)
			}
		}
		if n := text(t, db, m.SQL(`SELECT cast(count(*) AS text) FROM {sessions} WHERE user_id = $1`), old.id()); n != "0" {
			t.Errorf("%s sessions are left of one who is removed", n)
		}

		results := apply(t, m,
			tells("msg_old", clerksync.Users, old.id(), old.user(start), start),
			tells("msg_unknown", clerksync.Users, "user_new", person{word: "new", born: start}.user(start+2*day), start+2*day),
			tells("msg_recent", clerksync.Users, old.id(), old.user(start+199*day), start+199*day))
		if r := results[0]; r.Outcome != clerksync.Stale || !r.Conflict {
			t.Errorf("an event as old as a forgotten deletion: %+v", r)
		}
		for i := range 2 {
			if r := results[i+1]; r.Outcome != clerksync.Created {
				t.Errorf("event %d: %+v", i+1, r)
			}
		}
	})
}

// TestPruneWhatBelongs removes what is left of an organization: nothing of its memberships stays in the feed, and how late
// one of them was told of is not forgotten.
func TestPruneWhatBelongs(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		start := time.Now().UnixMilli() - 300*day
		tell := func(k clerksync.Kind, id string, object string, at int64) clerksync.Result {
			if object != "" {
				object = fmt.Sprintf(object, id, at)
			}
			e := tells(fmt.Sprint("msg_", id, at, object == ""), k, id, []byte(object), at)
			if object == "" {
				e.Object = nil
			}
			return apply(t, m, e)[0]
		}
		const (
			organization = `{"object":"organization","id":%q,"created_at":%d,"updated_at":%[2]d}`
			membership   = `{"object":"organization_membership","id":%q,"organization":{"id":"org_1"},"public_user_data":{"user_id":"user_1","identifier":"ada@example.com"},"created_at":%d,"updated_at":%[2]d}`
		)
		erase := func() {
			if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Organizations, ID: "org_1", Policy: clerksync.Hard}); err != nil {
				t.Fatal(err)
			}
			erasedLongAgo(t, m)
		}
		prune := func() int64 {
			n, err := m.PruneTombstones(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		tell(clerksync.Organizations, "org_1", organization, start)
		tell(clerksync.OrganizationMemberships, "orgmem_1", membership, start)
		tell(clerksync.OrganizationMemberships, "orgmem_2", membership, start)
		tell(clerksync.Organizations, "org_1", "", start+day)
		tell(clerksync.OrganizationMemberships, "orgmem_1", membership, start+9*day)
		erase()
		db.MustExec(m.SQL(`UPDATE {organization_memberships} SET erased_at = NULL WHERE id = 'orgmem_2'`)) // as one that came in this very moment
		if n := prune(); n != 0 {
			t.Errorf("%d were removed to which something belongs", n)
		}
		if n := text(t, db, m.SQL(`SELECT cast(count(*) AS text) FROM {organization_memberships}`)); n != "2" {
			t.Errorf("%s memberships are left of what stays", n)
		}
		erase()
		if n := prune(); n != 1 {
			t.Errorf("%d were removed, want the organization", n)
		}
		if n := text(t, db, m.SQL(`SELECT cast(count(*) AS text) FROM {changes}`)); n != "0" {
			t.Errorf("the feed still has %s changes", n)
		}
		if r := tell(clerksync.OrganizationMemberships, "orgmem_1", membership, start+5*day); r.Outcome != clerksync.Stale || !r.Conflict {
			t.Errorf("an event as old as what is forgotten: %+v", r)
		}
	})
}

// TestPruneChanges removes what is old, unless somebody has still to read it.
func TestPruneChanges(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		for i := range 5 {
			apply(t, m, tells(fmt.Sprint("msg_", i), clerksync.Users, fmt.Sprint("user_", i), fmt.Appendf(nil,
				`{"object":"user","id":"user_%d","updated_at":1,"created_at":1}`, i), long()))
		}
		first := changes(t, m, 0)[0].Seq
		db.MustExec(m.SQL(`UPDATE {changes} SET created_at = '2026-01-02T03:04:05.000Z' WHERE seq <= $1`), first+2)
		prune := func(age time.Duration, before int64) (left int) {
			if _, err := m.PruneChanges(t.Context(), age, before); err != nil {
				t.Fatal(err)
			}
			return len(changes(t, m, 0))
		}
		got := []int{prune(0, first+10), prune(time.Hour, first), prune(time.Hour, first+1), prune(time.Hour, first+10)}
		if want := []int{5, 5, 4, 2}; !slices.Equal(got, want) {
			t.Errorf("%v changes are left, want %v", got, want)
		}
	})
}

// TestPruneChangesBesideALock gives up where a program of the team's keeps a change locked, as one does for days that has forgotten to
// commit: all other upkeep waits behind it.
func TestPruneChangesBesideALock(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	apply(t, m, user{ID: "user_1", Updated: past, Created: past}.told())
	db.MustExec(m.SQL(`UPDATE {changes} SET created_at = '2026-01-02T03:04:05.000Z'`))
	tx := pgtest.Superuser(t, db).MustBegin()
	defer tx.Rollback()
	tx.MustExec(m.SQL(`SELECT 1 FROM {changes} FOR UPDATE`))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if n, err := m.PruneChanges(ctx, time.Hour, math.MaxInt64); n != 0 || !errors.Is(err, clerksync.ErrUnavailable) || ctx.Err() != nil {
		t.Errorf("%d removed, %v, %v", n, err, ctx.Err())
	}
}

// TestPruneSessions removes what ended long ago, whatever ended it.
func TestPruneSessions(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		now := time.Now().UnixMilli()
		for id, s := range map[string]struct {
			status          string
			created, active int64
			expire          int64
		}{
			"sess_ended":   {"ended", now - 500*day, now - 499*day, now + day},
			"sess_expired": {"active", now - 500*day, now - 499*day, now - 490*day},
			"sess_alive":   {"active", now - 500*day, now - 499*day, now + day},
			"sess_active":  {"ended", now - 500*day, now - 5*day, now - day},
			"sess_young":   {"ended", now - 5*day, now - 5*day, now - day},
		} {
			at := now - 500*day
			apply(t, m, tells("msg_"+id, clerksync.Sessions, id, fmt.Appendf(nil, `{"object":"session","id":%q,"user_id":"user_1","status":%q,
"last_active_at":%d,"expire_at":%d,"abandon_at":%d,"created_at":%d,"updated_at":%d}`, id, s.status, s.active, s.expire, s.expire, s.created, at), at))
		}
		for _, age := range []time.Duration{0, 400 * 24 * time.Hour} {
			if _, err := m.PruneSessions(t.Context(), age); err != nil {
				t.Fatal(err)
			}
			var left []string
			if err := db.Select(&left, m.SQL(`SELECT id FROM {sessions} ORDER BY id`)); err != nil {
				t.Fatal(err)
			}
			want := []string{"sess_active", "sess_alive", "sess_ended", "sess_expired", "sess_young"}
			if age > 0 {
				want = []string{"sess_active", "sess_alive", "sess_young"}
			}
			if diff := cmp.Diff(want, left); diff != "" {
				t.Errorf("after %s (-want +got)\n%s", age, diff)
			}
		}
	})
}

// TestPruneBesideRowsThatStay removes the sessions behind one that a trigger of the team's keeps, and none whose erasure is recent: the feed
// has that to tell.
func TestPruneBesideRowsThatStay(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := everything(t, db)
		begin := time.Now().UnixMilli() - 500*day
		for i := range int64(5) {
			at := begin + i*day
			id := fmt.Sprint("sess_", i)
			apply(t, m, tells("msg_"+id, clerksync.Sessions, id,
				fmt.Appendf(nil, `{"object":"session","id":%q,"user_id":"user_%d","status":"ended","created_at":%d,"updated_at":%[3]d}`, id, i, at), at))
		}
		apply(t, m, toldGone("user_3", begin+10*day))
		if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: "user_3"}); err != nil {
			t.Fatal(err)
		}
		if db.DriverName() == "sqlite" {
			db.MustExec(`CREATE TRIGGER keep BEFORE DELETE ON clerk_sessions WHEN OLD.id = 'sess_0' BEGIN SELECT RAISE(ABORT, 'no'); END`)
		} else {
			pgtest.Superuser(t, db).MustExec(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF OLD.id = 'sess_0' THEN RAISE 'no'; END IF; RETURN OLD; END $$;
CREATE TRIGGER keep BEFORE DELETE ON clerk.sessions FOR EACH ROW EXECUTE FUNCTION keep()`)
		}
		n, err := m.PruneSessions(t.Context(), 365*24*time.Hour)
		var left []string
		if err := db.Select(&left, m.SQL(`SELECT id FROM {sessions} ORDER BY id`)); err != nil {
			t.Fatal(err)
		}
		if want := []string{"sess_0", "sess_3"}; n != 3 || err != nil || !slices.Equal(left, want) {
			t.Errorf("%d removed, %v, %q left; want 3 and %q", n, err, left, want)
		}
	})
}

// TestForgottenTogether has two processes forget at once: what is noted is the latest of the deletions, so that an older replay about one of
// them makes nobody anew.
func TestForgottenTogether(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	cfg := clerksync.Config{InstanceID: instance, Kinds: []clerksync.Kind{clerksync.Users, clerksync.Sessions}}
	a, b := open(t, db, cfg), open(t, db, cfg)
	now := time.Now().UnixMilli()
	apply(t, a, user{ID: "user_1", Updated: now - 300*day}.told())
	object := fmt.Appendf(nil, `{"object":"session","id":"sess_1","user_id":"user_2","status":"active","created_at":%d,"updated_at":%[1]d}`, now-400*day)
	apply(t, a, tells("m1", clerksync.Sessions, "sess_1", object, now-400*day))
	apply(t, a, tells("m2", clerksync.Sessions, "sess_1", nil, now-350*day), toldGone("user_1", now-150*day))
	if _, err := a.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: "user_1", Policy: clerksync.Hard}); err != nil {
		t.Fatal(err)
	}
	erasedLongAgo(t, a)
	if err := a.WriteState(t.Context(), "forgotten", map[string]int64{"until": 1}); err != nil {
		t.Fatal(err)
	}
	tx := admin(t, db).MustBegin()
	defer tx.Rollback()
	tx.MustExec(`SELECT 1 FROM clerk.state WHERE key = 'forgotten' FOR UPDATE`)
	var both errgroup.Group
	both.Go(func() error { _, err := a.PruneTombstones(t.Context()); return err })
	waitFor(t, "the one", func() bool { return waitingForLocks(t, db) == 1 })
	both.Go(func() error { _, err := b.PruneSessions(t.Context(), 200*24*time.Hour); return err })
	waitFor(t, "the other", func() bool { return waitingForLocks(t, db) == 2 })
	tx.Rollback()
	if err := both.Wait(); err != nil {
		t.Fatal(err)
	}
	if r := apply(t, a, told(user{ID: "user_1", Updated: now - 200*day}, now-200*day)); r[0].Outcome != clerksync.Stale {
		t.Errorf("an event that is older than a deletion which is forgotten: %+v", r)
	}
}
