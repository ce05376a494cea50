package sync_test

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestTriggerBesideTheFeed has the team's own transaction hold its own row of user_1. An event about user_1 has to wait for it; one about
// user_2, in another process, does not: whatever waits for rows of the team's must not hold the feed.
func TestTriggerBesideTheFeed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m, other := pinned(t, db), pinned(t, db)
	first, second := user{ID: "user_1", Updated: past}, user{ID: "user_2", Updated: past}
	admin(t, db).MustExec(`CREATE TABLE public.users (id text PRIMARY KEY, name text, theme text);
CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO public.users (id, name) VALUES (NEW.id, NEW.first_name) ON CONFLICT (id) DO UPDATE SET name = excluded.name; RETURN NULL;
END $$;
CREATE TRIGGER keep AFTER INSERT OR UPDATE ON clerk.users FOR EACH ROW EXECUTE FUNCTION public.keep()`)
	apply(t, m, first.told(), second.told())
	tx := admin(t, db).MustBegin()
	defer tx.Rollback()
	tx.MustExec(`UPDATE public.users SET theme = 'dark' WHERE id = 'user_1'`)
	first.Name, first.Updated = "Later", past+1
	second.Name, second.Updated = "Later", past+1
	wait := callers(t.Context(), m, 1, func(int) clerksync.Evidence { return first.told() })
	waitFor(t, "it to wait", func() bool { return waitingForLocks(t, db) == 1 })
	apply(t, other, second.told())
	if waitingForLocks(t, db) != 1 {
		t.Error("another user's event had to wait until the one in front of it gave up")
	}
	tx.Rollback()
	if err := wait(); err != nil {
		t.Error(err)
	}
}

// TestForeignKeyBesideTheFeed is the same with a foreign key from the mirror's table to one of the team's.
func TestForeignKeyBesideTheFeed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m, other := pinned(t, db), pinned(t, db)
	admin(t, db).MustExec(`CREATE TABLE public.accounts (id text PRIMARY KEY); INSERT INTO public.accounts VALUES ('acc_1');
ALTER TABLE clerk.users ADD FOREIGN KEY (external_id) REFERENCES public.accounts`)
	tx := admin(t, db).MustBegin()
	defer tx.Rollback()
	tx.MustExec(`SELECT 1 FROM public.accounts FOR UPDATE`)
	wait := callers(t.Context(), m, 1, func(int) clerksync.Evidence {
		return user{ID: "user_1", Updated: past, More: `,"external_id":"acc_1"`}.told()
	})
	waitFor(t, "it to wait", func() bool { return waitingForLocks(t, db) == 1 })
	apply(t, other, numbered(2))
	if waitingForLocks(t, db) != 1 {
		t.Error("another user's event had to wait until the one in front of it gave up")
	}
	tx.Rollback()
	if err := wait(); err != nil {
		t.Error(err)
	}
}

// TestTriggerInOneOrder has a trigger count all rows in one of the team's, while one process creates users and another one deletes some:
// they never lock each other out.
func TestTriggerInOneOrder(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := pinned(t, db), pinned(t, db)
	const n = 40
	for i := range n {
		apply(t, a, numbered(i))
	}
	admin(t, db).MustExec(`CREATE TABLE public.counts (n bigint); INSERT INTO public.counts VALUES (0);
CREATE FUNCTION public.counting() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN UPDATE public.counts SET n = n + 1; RETURN NULL; END $$;
CREATE TRIGGER count AFTER INSERT OR UPDATE ON clerk.users FOR EACH ROW EXECUTE FUNCTION public.counting()`)
	var group errgroup.Group
	for i, e := range []func(int) clerksync.Evidence{
		func(i int) clerksync.Evidence { return numbered(1000 + i) },
		func(i int) clerksync.Evidence { return toldGone(fmt.Sprintf("user_%03d", i), past+hour) },
	} {
		m := []*clerksync.Mirror{a, b}[i]
		group.Go(func() error {
			for i := range n {
				if _, err := m.Apply(t.Context(), e(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	var deadlocks int64
	waitFor(t, "the statistics", func() bool { // which come late
		var commits int64
		if err := db.QueryRow(`SELECT deadlocks, xact_commit FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks, &commits); err != nil {
			t.Fatal(err)
		}
		return commits > 3*n
	})
	if deadlocks > 0 {
		t.Errorf("%d deadlocks", deadlocks)
	}
}
