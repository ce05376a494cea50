package feed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/migrations"
	clerksync "github.com/clerksync/clerksync/sync"
)

// page is an answer to a pull.
type page struct {
	Events []event `json:"events"`
	Next   int64   `json:"next"`
	Oldest int64   `json:"oldest"`
	Newest int64   `json:"newest"`
	Mirror string  `json:"mirror"`
	Error  string  `json:"error"`
}

func pull(t *testing.T, m *clerksync.Mirror, query string) (p page, code int) {
	t.Helper()
	return pullBy(t, feed.PullConfig{Mirror: m}, query)
}

func pullBy(t *testing.T, cfg feed.PullConfig, query string) (p page, code int) {
	t.Helper()
	w := httptest.NewRecorder()
	feed.NewPull(cfg).ServeHTTP(w, httptest.NewRequest("GET", "/api/changes?"+query, nil))
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return p, w.Code
}

// TestPull reads the feed by its cursor until there is nothing more, and then from there on.
func TestPull(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		write(t, db, 1, 12)
		var all []event
		var after int64
		for {
			p, code := pull(t, m, fmt.Sprintf("after=%d&limit=5", after))
			if code != 200 || p.Oldest != 1 {
				t.Fatalf("%d %+v", code, p)
			}
			if len(p.Events) == 0 {
				break
			}
			all, after = append(all, p.Events...), p.Next
		}
		wantAll(t, m, all, false)
		began := time.Now()
		if p, _ := pull(t, m, fmt.Sprintf("after=%d&wait=50ms", after)); p.Next != after || time.Since(began) < 50*time.Millisecond {
			t.Errorf("with nothing to read the answer is %+v after %s", p, time.Since(began))
		}
	})
}

// TestPullWaits answers as soon as there is something.
func TestPullWaits(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.SQLite(t))
	began, answered := time.Now(), make(chan page, 1)
	go func() {
		p, _ := pull(t, m, "wait=10s")
		answered <- p
	}()
	apply(t, m, user("user_1", time.Now()))
	if p := <-answered; len(p.Events) != 1 || p.Events[0].Subject != "user_1" || time.Since(began) > 9*time.Second {
		t.Errorf("answered %+v after %s, want user_1 at once", p, time.Since(began))
	}
}

// TestPullSkips moves on over what is older than the mirror.
func TestPullSkips(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.SQLite(t))
	for i := range 5 {
		apply(t, m, user(fmt.Sprint("user_", i), time.Now().Add(-time.Hour)))
	}
	apply(t, m, user("user_young", time.Now()))
	if p, _ := pull(t, m, "limit=2"); len(p.Events) != 1 || p.Events[0].Subject != "user_young" || p.Next != 6 {
		t.Errorf("answered %+v, want the one user who is younger than the mirror", p)
	}
}

// TestPullLooksOn reads what follows a big first pass, whose changes nobody wants: where looking takes too long for one answer, each
// moves on without events, at once and in large steps.
func TestPullLooksOn(t *testing.T) {
	t.Parallel()
	const first = 1200
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		db.MustExec(m.SQL(`INSERT INTO {changes} (resource, object_id, op, version, initial, source) WITH RECURSIVE users(n) AS
(SELECT 1 UNION ALL SELECT n + 1 FROM users WHERE n < $1) SELECT 'users', 'user_' || n, 'created', 1, true, 'reconcile' FROM users`), first)
		for i := range 3 {
			apply(t, m, user(fmt.Sprint("user_young_", i), time.Now()))
		}
		short := feed.PullConfig{Mirror: m}.WithLook(time.Nanosecond)
		began, answers := time.Now(), 1
		p, code := pullBy(t, short, "limit=10&wait=10s")
		for ; code == 200 && len(p.Events) == 0 && answers < first; answers++ {
			p, code = pullBy(t, short, fmt.Sprintf("after=%d&limit=10&wait=10s", p.Next))
		}
		if len(p.Events) != 3 || p.Next != first+3 || answers != 3 || time.Since(began) > 9*time.Second {
			t.Errorf("%d answers in %s, the last %d %+v; want the three young users in the third", answers, time.Since(began), code, p)
		}
		if p, _ := pull(t, m, "limit=1"); len(p.Events) != 1 || p.Events[0].Subject != "user_young_0" || p.Next != first+1 {
			t.Errorf("answered %+v, want the first young user alone", p)
		}
	})
}

// TestPullFromEmptied asks a feed from which everything was removed: whoever was away sees that it has missed something, and whoever was
// there that it has not.
func TestPullFromEmptied(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		if p, _ := pull(t, m, ""); p.Oldest != 1 {
			t.Errorf("of a feed that never had a change the oldest is %d, want 1, the first to come", p.Oldest)
		}
		stop := run(t, m, feed.Relay{Name: "all", Receiver: feed.Hooks{}}) // on PostgreSQL it remembers for roles that may not read sequences
		write(t, db, 1, 3)
		eventually(t, "the relay to have passed all", func() bool { return position(t, m, "all") == 3 })
		stop()
		db.MustExec(m.SQL(`DELETE FROM {changes}`))
		for _, after := range []int64{1, 3} {
			if p, _ := pull(t, m, fmt.Sprint("after=", after)); p.Oldest != 4 || p.Next != after {
				t.Errorf("after %d: %+v, want 4 as the oldest, the next to come", after, p)
			}
		}
		owner := open(t, pgtest.Superuser(t, db))
		owner.DB().MustExec(m.SQL(`DELETE FROM {relays}`))
		if p, _ := pull(t, owner, ""); p.Oldest != 4 {
			t.Errorf("where no relay remembers: %+v, want 4 as the oldest", p)
		}
	})
}

// TestPullFallenBack asks a feed that an older copy replaced for what follows a change that it does not have: the reader sees that by the
// newest one, and one that has missed nothing sees that, too, also where all changes were removed.
func TestPullFallenBack(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		if p, _ := pull(t, m, ""); p.Newest != 0 {
			t.Errorf("%+v of a feed that never had a change, want 0 as the newest", p)
		}
		write(t, db, 1, 20)
		if p, _ := pull(t, m, "limit=5"); p.Newest != 20 {
			t.Errorf("%+v, want 20 as the newest", p)
		}
		fallBack(t, m, 12)
		if p, _ := pull(t, m, "after=20"); p.Newest != 12 || p.Next != 20 || len(p.Events) > 0 {
			t.Errorf("%+v after the feed fell back, want 12 as the newest", p)
		}
		owner := open(t, pgtest.Superuser(t, db))
		owner.DB().MustExec(m.SQL(`DELETE FROM {changes}`))
		if p, _ := pull(t, owner, "after=12"); p.Newest != 12 {
			t.Errorf("%+v of an emptied feed, want 12 as the newest", p)
		}
	})
}

func TestPullMistakes(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.SQLite(t))
	for _, query := range []string{"after=x", "after=-1", "limit=0", "limit=501", "wait=11s", "wait=1", "wait=-1s", "since=5"} {
		if p, code := pull(t, m, query); code != 400 || p.Error == "" {
			t.Errorf("%s: %d %q, want 400 and a reason", query, code, p.Error)
		}
	}
	m.DB().Close()
	if p, code := pull(t, m, ""); code != 503 || p.Error == "" {
		t.Errorf("without a database: %d %q, want 503 and a reason", code, p.Error)
	}
}

// TestPullLeavesConnections has many read at once by a pool of no more connections than they may have together: nobody ever waits for one,
// so in a larger pool those who write have the others.
func TestPullLeavesConnections(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		write(t, db, 1, 20)
		db.SetMaxOpenConns(2)
		before := db.Stats().WaitCount
		handler := feed.NewPull(feed.PullConfig{Mirror: m, Data: true})
		var readers errgroup.Group
		for range 30 {
			readers.Go(func() error {
				for after := range 10 {
					w := httptest.NewRecorder()
					if handler.ServeHTTP(w, httptest.NewRequest("GET", fmt.Sprint("/api/changes?limit=1&after=", after), nil)); w.Code != http.StatusOK {
						return fmt.Errorf("answered %d: %s", w.Code, w.Body)
					}
				}
				return nil
			})
		}
		if err := readers.Wait(); err != nil {
			t.Fatal(err)
		}
		if waited := db.Stats().WaitCount - before; waited > 0 {
			t.Errorf("readers waited %d times for a connection, and so would have who writes", waited)
		}
	})
}

// TestPullWhoseTurnNeverComes gives up asking: while nobody gets an answer from the database, it stops waiting to ask.
func TestPullWhoseTurnNeverComes(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.New(t))
	locked := pgtest.Superuser(t, m.DB()).MustBegin()
	defer locked.Rollback()
	locked.MustExec(m.SQL(`LOCK TABLE {changes}`))
	handler := feed.NewPull(feed.PullConfig{Mirror: m})
	ctx, cancel := context.WithCancel(t.Context())
	var readers errgroup.Group
	for range 20 {
		readers.Go(func() error {
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/api/changes?wait=10s", nil))
			return nil
		})
	}
	eventually(t, "two readers to ask", func() (asking bool) { // PostgreSQL ignores the end of a statement that it has not begun, and lib/pq waits on
		err := locked.Get(&asking, m.SQL(`SELECT count(*) = 2 FROM pg_locks WHERE NOT granted AND relation = cast('{changes}' AS regclass)`))
		return err == nil && asking
	})
	cancel()
	if err := readers.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestPullTellsWhichMirror starts a mirror over, which by then has as many changes again: only what the answer calls the mirror, as the
// ids of messages do, shows whoever asks that it is another one.
func TestPullTellsWhichMirror(t *testing.T) {
	t.Parallel()
	db := pgtest.Superuser(t, pgtest.New(t)) // the schema made anew has no grants
	answer := func() (p page) {
		m := open(t, db)
		write(t, db, 1, 6)
		p, _ = pull(t, m, "limit=5")
		var id string
		stop := run(t, m, feed.Relay{Name: "all", Initial: true, Batch: 100, Receiver: feed.ReceiverFunc(func(_ context.Context, all ...feed.Message) error {
			id = all[0].ID
			return nil
		})})
		eventually(t, "the relay to have delivered", func() bool { return position(t, m, "all") >= 6 })
		stop()
		if want := fmt.Sprintf("%s-%d", p.Mirror, 1); id != want {
			t.Errorf("a message has the id %s, want %s", id, want)
		}
		return p
	}
	first := answer()
	if again, _ := pull(t, open(t, db), "after=5"); again.Mirror != first.Mirror {
		t.Errorf("the next process says that the mirror is %q, and the first said %q", again.Mirror, first.Mirror)
	}
	db.MustExec(`DROP SCHEMA clerk CASCADE`)
	if err := migrations.Up(t.Context(), db.DB, migrations.Options{Dialect: migrations.Postgres}); err != nil {
		t.Fatal(err)
	}
	if over := answer(); over.Mirror == first.Mirror || over.Next != first.Next || over.Newest != first.Newest {
		t.Errorf("started over, the answer is %+v after %+v, want another mirror alone", over, first)
	}
}
