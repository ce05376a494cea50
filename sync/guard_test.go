package sync_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		limits  clerksync.Limits
		visible int64
		want    int64
	}{
		{clerksync.Limits{}, 0, 10}, {clerksync.Limits{}, 219, 10}, {clerksync.Limits{}, 220, 11}, {clerksync.Limits{}, 10_000, 500},
		{clerksync.Limits{}, 10_000_000, 500}, {clerksync.Limits{MaxDeletes: 3}, 1000, 3}, {clerksync.Limits{MaxDeletes: -1}, 1000, 0},
		{clerksync.Limits{MaxDeletePercent: 50}, 300, 150}, {clerksync.Limits{MaxDeletePercent: -1}, 1000, 10},
	} {
		if got := test.limits.Allows(test.visible); got != test.want {
			t.Errorf("%+v allows %d of %d, want %d", test.limits, got, test.visible, test.want)
		}
	}
}

// people makes n visible users.
func people(t testing.TB, m *clerksync.Mirror, n int) (ids []string) {
	t.Helper()
	var evidence []clerksync.Evidence
	for i := range n {
		id := fmt.Sprintf("user_%04d", i)
		ids = append(ids, id)
		evidence = append(evidence, told(user{ID: id, Updated: past}, past))
	}
	apply(t, m, evidence...)
	return ids
}

// denied is a login's 404.
func denied(id string) clerksync.Evidence {
	e := clerksync.Evidence{Kind: clerksync.Users, ID: id, At: past + hour, Source: clerksync.Login}
	return clerksync.Witness(e, margin, false)
}

// TestGuard lets eleven of 240 users be hidden on the word of logins, whichever process asks, and counts nobody twice.
func TestGuard(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		ids := people(t, m, 240)
		apply(t, m, toldGone(ids[220], past+hour), readGone(ids[221], past+hour)) // others' word is not counted here
		guards := []*clerksync.Guard{clerksync.NewGuard(m, clerksync.Limits{}, clerksync.Login), clerksync.NewGuard(pinned(t, db), clerksync.Limits{}, clerksync.Login)}
		for i := range 11 {
			for range 3 {
				if !guards[i%2].Admit(t.Context(), clerksync.Users, ids[i]) {
					t.Fatalf("user %d was not let through", i)
				}
			}
			apply(t, m, denied(ids[i]))
		}
		guards = append(guards, clerksync.NewGuard(pinned(t, db), clerksync.Limits{}, clerksync.Login)) // a process that has just begun
		for i, g := range guards {
			for _, id := range []string{ids[11], ids[12], ids[12]} {
				if g.Admit(t.Context(), clerksync.Users, id) {
					t.Errorf("guard %d let a twelfth user through", i)
				}
			}
			if !g.Admit(t.Context(), clerksync.Organizations, "org_1") {
				t.Errorf("guard %d counts kinds together", i)
			}
		}
		if !guards[0].Admit(t.Context(), clerksync.Users, ids[0]) {
			t.Error("a user who was let through is held when denied again")
		}
		if !clerksync.NewGuard(m, clerksync.Limits{}, clerksync.Resync).Admit(t.Context(), clerksync.Users, ids[11]) {
			t.Error("a guard counts other sources")
		}
		refusals := 0
		for _, e := range audit(t, m) {
			if e.Action == clerksync.AuditRefused {
				refusals++
				if e.Kind != clerksync.Users || e.Source != clerksync.Login || e.Detail != "allowed=11 within an hour" {
					t.Errorf("the audit log tells the refusal as %+v", e)
				}
			}
		}
		if refusals != len(guards) {
			t.Errorf("%d refusals in the audit log, want one of each guard", refusals)
		}
	})
}

// TestGuardTerm opens the guard again an hour later, also when it was asked all the time.
func TestGuardTerm(t *testing.T) {
	t.Parallel()
	db := pgtest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		m := pinned(t, db)
		ids := people(t, m, 15)
		g := clerksync.NewGuard(m, clerksync.Limits{}, clerksync.Login)
		begun, let := time.Now(), 0
		for let <= 10 {
			if g.Admit(t.Context(), clerksync.Users, ids[let]) {
				apply(t, m, denied(ids[let]))
				let++
			}
			time.Sleep(400 * time.Millisecond)
		}
		if waited := time.Since(begun); waited < time.Hour || waited > time.Hour+5*time.Second {
			t.Errorf("the eleventh user was let through after %s, want an hour", waited)
		}
		db.Close() // its goroutines belong to the bubble
	})
}

// TestGuardWithoutDatabase lets nobody through who cannot be counted.
func TestGuardWithoutDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.SQLite(t)
	g := clerksync.NewGuard(pinned(t, db), clerksync.Limits{}, clerksync.Login)
	db.Close()
	if g.Admit(t.Context(), clerksync.Users, "user_1") {
		t.Error("a user was let through uncounted")
	}
}

// TestGuardAfterOutage lets somebody through at once when the database answers again: that it could not be counted how many there are
// was no sign of too many, and the audit log does not say that there were.
func TestGuardAfterOutage(t *testing.T) {
	t.Parallel()
	db := pgtest.FaultySQLite(t)
	m := pinned(t, db.DB)
	ids := people(t, m, 240)
	g := clerksync.NewGuard(m, clerksync.Limits{}, clerksync.Login)
	for _, id := range ids[:10] {
		g.Admit(t.Context(), clerksync.Users, id)
		apply(t, m, denied(id))
	}
	db.Break()
	if g.Admit(t.Context(), clerksync.Users, ids[10]) {
		t.Error("a user was let through uncounted")
	}
	db.Heal()
	if !g.Admit(t.Context(), clerksync.Users, ids[10]) {
		t.Error("the guard refuses the eleventh of 240 after an outage")
	}
	var refusals int
	if err := db.Get(&refusals, m.SQL(`SELECT count(*) FROM {audit} WHERE action = 'refused'`)); err != nil || refusals != 0 {
		t.Errorf("%d refusals in the audit log, %v; want none", refusals, err)
	}
}

// TestGuardRests asks the database nothing for a second after it has refused somebody: when Clerk denies everybody, counting for each of
// them would be the next trouble. An hour later it works out anew how many it lets through, and not before.
func TestGuardRests(t *testing.T) {
	t.Parallel()
	db := pgtest.FaultySQLite(t)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.UnixMilli(past + 2*hour))) // a bubble begins in the year 2000
		m := pinned(t, db.DB)
		ids := people(t, m, 240)
		g := clerksync.NewGuard(m, clerksync.Limits{}, clerksync.Login)
		admits := func(id string) bool { return g.Admit(t.Context(), clerksync.Users, id) }
		asked := func(id string) bool {
			db.Fail(1, pgtest.Cut)
			if admits(id) {
				t.Errorf("%s was let through", id)
			}
			return db.Heal() != ""
		}
		for _, id := range ids[200:206] {
			apply(t, m, denied(id)) // another process let them through
		}
		for _, id := range ids[:5] { // together a twentieth of 234
			if !admits(id) {
				t.Fatalf("%s was not let through", id)
			}
		}
		if admits(ids[12]) {
			t.Error("the twelfth of 240 was let through")
		}
		if asked(ids[12]) {
			t.Error("the guard counted again at once")
		}
		time.Sleep(2 * time.Second)
		if !asked(ids[12]) {
			t.Error("the guard did not count again after a while")
		}
		people(t, m, 1000)
		time.Sleep(2 * time.Second)
		if admits(ids[12]) {
			t.Error("the guard worked its size out again within the hour")
		}
		time.Sleep(time.Hour)
		for _, id := range ids[20:69] { // a twentieth of 994
			if !admits(id) {
				t.Fatalf("%s was not let through an hour later", id)
			}
		}
		if admits(ids[69]) {
			t.Error("the fiftieth of 994 was let through")
		}
		db.Close() // its goroutines belong to the bubble
		db.Well.Close()
	})
}

// TestGuardTellsOnce has each call of the database fail while a guard refuses somebody: sooner or later the audit log is told, once.
func TestGuardTellsOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.FaultySQLite(t)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.UnixMilli(past + 2*hour))) // a bubble begins in the year 2000
		m := pinned(t, db.DB)
		id := people(t, m, 1)[0]
		for n, struck := 1, true; struck; n++ {
			g := clerksync.NewGuard(m, clerksync.Limits{MaxDeletes: -1}, clerksync.Login)
			db.Fail(n, pgtest.Refused)
			for tries := range 4 {
				if g.Admit(t.Context(), clerksync.Users, id) {
					t.Errorf("call %d: a user was let through", n)
				}
				if tries == 0 {
					struck = db.Heal() != ""
				}
				time.Sleep(2 * time.Second)
			}
			if got := tally(t, m)[clerksync.AuditRefused]; got != n {
				t.Fatalf("call %d: %d refusals in the audit log, want %d", n, got, n)
			}
		}
		db.Close() // its goroutines belong to the bubble
		db.Well.Close()
	})
}

// Whoever asks about an object first may go away: those who ask about it at the same moment get their answer all the same.
func TestGuardWhenTheFirstGoesAway(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := pinned(t, db)
	id := people(t, m, 1)[0]
	g := clerksync.NewGuard(m, clerksync.Limits{}, clerksync.Login)
	tx := admin(t, db).MustBegin()
	defer tx.Rollback()
	tx.MustExec(`LOCK TABLE clerk.audit`)
	first, leave := context.WithCancel(t.Context())
	var both errgroup.Group
	var admitted atomic.Int64
	ask := func(ctx context.Context) func() error {
		return func() error {
			if g.Admit(ctx, clerksync.Users, id) {
				admitted.Add(1)
			}
			return nil
		}
	}
	both.Go(ask(first))
	waitFor(t, "the first", func() bool { return waitingForLocks(t, db) == 1 })
	both.Go(ask(t.Context()))
	time.Sleep(50 * time.Millisecond) // the second waits with the first
	leave()
	tx.Rollback()
	if _ = both.Wait(); admitted.Load() != 2 {
		t.Errorf("%d of two were told that the guard lets the object through", admitted.Load())
	}
}
