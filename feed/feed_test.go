package feed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// write changes a few users again and again, as several processes.
func write(t *testing.T, db *sqlx.DB, writers, turns int) {
	t.Helper()
	began := time.Now()
	var all errgroup.Group
	for w := range writers {
		m := open(t, db)
		all.Go(func() error {
			for turn := range turns {
				n := turn*writers + w
				if _, err := m.Apply(t.Context(), user(fmt.Sprintf("user_%d", n%5), began.Add(time.Duration(n)*time.Millisecond))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestReceiversDoNotWaitForEachOther has a receiver that takes everything, one that fails half of the time in many ways, one that
// hangs and one that is not there, while several processes write.
func TestReceiversDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		good := newInbox(t, nil)
		flaky := newInbox(t, func(n int64, w http.ResponseWriter) bool {
			switch n % 6 {
			case 0:
				w.WriteHeader(http.StatusInternalServerError)
			case 2:
				panic(http.ErrAbortHandler) // cuts the connection
			case 4:
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(http.StatusTemporaryRedirect)
			}
			return n%2 == 0
		})
		gone := newInbox(t, nil)
		gone.server.Close()
		hangs := feed.ReceiverFunc(func(ctx context.Context, _ ...feed.Message) error {
			<-ctx.Done()
			return ctx.Err()
		})
		run(t, m, good.relay("good"), flaky.relay("flaky"), gone.relay("gone"), feed.Relay{Name: "hangs", Receiver: hangs})
		write(t, db, 4, 40)
		n := len(changes(t, m))
		eventually(t, "every change to arrive", func() bool { return len(good.events()) >= n && len(flaky.events()) >= n })
		wantAll(t, m, good.events(), false)
		wantAll(t, m, flaky.events(), false)
		for _, name := range []string{"gone", "hangs"} {
			if seq := position(t, m, name); seq != 0 {
				t.Errorf("the relay %s is at %d without having delivered anything", name, seq)
			}
		}
	})
}

func changes(t *testing.T, m *clerksync.Mirror) []clerksync.Change {
	t.Helper()
	all, err := m.Changes(t.Context(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNothingCommitsBehindTheRelay has a slow transaction take a seq before one that commits first. Writers hold a lock against that;
// the same without the lock shows that this test would miss the change.
func TestNothingCommitsBehindTheRelay(t *testing.T) {
	t.Parallel()
	for _, lock := range []bool{true, false} {
		t.Run(fmt.Sprintf("lock %t", lock), func(t *testing.T) {
			t.Parallel()
			m := open(t, pgtest.New(t))
			box := newInbox(t, nil)
			run(t, m, box.relay("box"))
			slow := m.DB().MustBegin()
			defer slow.Rollback()
			if lock {
				slow.MustExec(m.SQL(`SELECT key FROM {state} WHERE key = 'feed' FOR UPDATE`))
			}
			slow.MustExec(m.SQL(`INSERT INTO {changes} (resource, object_id, op, version, source) VALUES ('users', 'user_slow', 'created', 1, 'webhook')`))
			applied := make(chan error, 1)
			go func() {
				_, err := m.Apply(context.WithoutCancel(t.Context()), user("user_quick", time.Now()))
				applied <- err
			}()
			if !lock {
				eventually(t, "the change that commits first", func() bool { return len(box.events()) == 1 })
			}
			if err := slow.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := <-applied; err != nil {
				t.Fatal(err)
			}
			apply(t, m, user("user_last", time.Now()))
			eventually(t, "the last change", func() bool { e := box.events(); return len(e) > 0 && e[len(e)-1].Subject == "user_last" })
			if missed := len(box.events()) < 3; missed == lock {
				t.Errorf("with lock %t the receiver got %d changes of 3", lock, len(box.events()))
			}
		})
	}
}

// TestRestart stops the relay in the middle again and again: the next one goes on where it was, and nothing comes twice.
func TestRestart(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		box := newInbox(t, nil)
		write(t, db, 1, 60)
		for _, n := range []int{10, 20, 60} {
			stop := run(t, open(t, db), box.relay("box"))
			eventually(t, "some changes", func() bool { return len(box.events()) >= n })
			stop()
		}
		wantAll(t, m, box.events(), false)
		if got, want := position(t, m, "box"), last(t, m); got != want {
			t.Errorf("the position is %d, want %d", got, want)
		}
	})
}

// TestOldTerm takes a relay over while its process is stopped in the middle of a delivery. When that goes on, it can neither move the
// position nor deliver any more.
func TestOldTerm(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.New(t))
	write(t, m.DB(), 1, 30)
	var mu sync.Mutex
	var late []int64
	stopped, goOn := make(chan struct{}), make(chan struct{})
	stop := run(t, m, feed.Relay{Name: "box", Receiver: feed.ReceiverFunc(func(_ context.Context, all ...feed.Message) error {
		if all[0].Change.Seq == 10 {
			close(stopped)
			<-goOn
			time.Sleep(time.Second) // the position is due to be written
		}
		mu.Lock()
		defer mu.Unlock()
		late = append(late, all[0].Change.Seq)
		return nil
	})})
	<-stopped
	var lease map[string]any
	if _, err := m.ReadState(t.Context(), "lease:relay:box", &lease); err != nil {
		t.Fatal(err)
	}
	lease["expires"] = 0
	if err := m.WriteState(t.Context(), "lease:relay:box", lease); err != nil {
		t.Fatal(err)
	}
	box := newInbox(t, nil)
	run(t, open(t, m.DB()), box.relay("box"))
	eventually(t, "the other process to deliver the rest", func() bool { return position(t, m, "box") == last(t, m) })
	close(goOn)
	eventually(t, "the first process to go on", func() bool { mu.Lock(); defer mu.Unlock(); return len(late) >= 10 })
	stop()
	if n := len(late); n != 10 {
		t.Errorf("the first process delivered %d changes, want 10: it goes on in an old term", n)
	}
	if got, want := position(t, m, "box"), last(t, m); got != want {
		t.Errorf("the position is %d, want %d: an old term has moved it", got, want)
	}
	wantAll(t, m, box.events(), false)
}

// fallBack brings the feed and its relays back to a seq, as a failover that lost the last commits does, or a restore under the relays.
func fallBack(t *testing.T, m *clerksync.Mirror, seq int64) {
	t.Helper()
	fallBackTo(t, m, seq, fmt.Sprintf(`UPDATE {relays} SET seq = %[1]d WHERE seq > %[1]d`, seq))
}

// fallBackTo brings the feed back to a seq, and runs further statements with that.
func fallBackTo(t *testing.T, m *clerksync.Mirror, seq int64, statements ...string) {
	t.Helper()
	owner := pgtest.Superuser(t, m.DB())
	tx := owner.MustBegin()
	defer tx.Rollback()
	tx.MustExec(m.SQL(`DELETE FROM {changes} WHERE seq > $1`), seq)
	for _, statement := range statements {
		tx.MustExec(m.SQL(statement))
	}
	restart := `SELECT setval('clerk.changes_seq_seq', greatest($1::bigint, 1), $1 > 0)`
	if owner.DriverName() == "sqlite" {
		restart = `UPDATE sqlite_sequence SET seq = $1 WHERE name = 'clerk_changes'`
	}
	tx.MustExec(restart, seq)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// ids returns whom the changes after a seq are about.
func ids(t *testing.T, m *clerksync.Mirror, after int64) (all []string) {
	t.Helper()
	for _, c := range changes(t, m) {
		if c.Seq > after {
			all = append(all, c.ObjectID)
		}
	}
	return all
}

// TestFallBack has the database fall back under relays of several sorts that have delivered everything: they deliver what gets the
// same numbers then, and tell an operator.
func TestFallBack(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		write(t, db, 1, 20)
		var mu sync.Mutex
		taken := map[string][]string{}
		take := func(relay string, all ...feed.Message) error {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range all {
				taken[relay] = append(taken[relay], m.Change.ObjectID)
			}
			return nil
		}
		box := newInbox(t, nil)
		hook := func(_ context.Context, m feed.Message) error { return take("hooks", m) }
		var log lines
		runAll(t, feed.Config{Mirror: m, Logger: slog.New(slog.NewTextHandler(&log, nil)), Relays: []feed.Relay{
			box.relay("posts"),
			{Name: "hooks", Receiver: feed.Hooks{clerksync.Users: {OnCreated: hook, OnUpdated: hook}}},
			{Name: "batches", Batch: 7, Receiver: feed.ReceiverFunc(func(_ context.Context, all ...feed.Message) error { return take("batches", all...) })},
		}})
		names := []string{"posts", "hooks", "batches"}
		for _, name := range names {
			eventually(t, "the position of "+name+" to be written", func() bool { return position(t, m, name) == last(t, m) })
		}
		fallBack(t, m, 12)
		for i := range 12 {
			apply(t, m, user(fmt.Sprint("user_again_", i), time.Now()))
		}
		want := ids(t, m, 12)
		for _, name := range names {
			eventually(t, "what was written since to arrive by "+name, func() bool {
				mu.Lock()
				defer mu.Unlock()
				got := taken[name]
				if name == "posts" {
					got = nil
					for _, e := range box.events() {
						got = append(got, e.Subject)
					}
				}
				return endsWith(got, want)
			})
			if told := regexp.MustCompile("relay=" + name + " reached=[0-9]+ seq=12\n"); !told.MatchString(log.String()) { // on a busy machine it gets on before it looks
				t.Errorf("the log does not tell that %s went back:\n%s", name, log.String())
			}
		}
	})
}

func endsWith(all, end []string) bool {
	return len(all) >= len(end) && slices.Equal(all[len(all)-len(end):], end)
}

// TestFallBackBehindTheLastWrite has the database lose changes that were delivered after the position was written last, so that the row
// is as it was: their numbers are given to others by the time the receiver has taken the last of them.
func TestFallBackBehindTheLastWrite(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		write(t, db, 1, 20)
		var mu sync.Mutex
		var taken []string
		receiver, blocked, goOn := stopping(func(c clerksync.Change) bool { return c.Seq == 15 && !strings.Contains(c.ObjectID, "again") },
			func(c clerksync.Change) {
				mu.Lock()
				defer mu.Unlock()
				taken = append(taken, c.ObjectID)
			})
		run(t, m, feed.Relay{Name: "box", Receiver: receiver})
		t.Cleanup(goOn)
		<-blocked
		written := position(t, m, "box")
		fallBack(t, m, written)
		for i := range 30 {
			apply(t, m, user(fmt.Sprint("user_again_", i), time.Now()))
		}
		goOn()
		want := ids(t, m, written)
		eventually(t, "what was written since to arrive", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return endsWith(taken, want)
		})
	})
}

// TestNumbersFallBack has the feed restored alone from a backup, so that the relays' positions are ahead of its numbers: what gets numbers
// that they have passed is delivered, and comes once, and an operator is told. Who begins only then delivers it, too.
func TestNumbersFallBack(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		for _, left := range []int64{12, 0} { // 0 is a feed of which the backup had nothing
			m := open(t, db)
			write(t, db, 1, 20)
			box, later := newInbox(t, nil), newInbox(t, nil)
			name := fmt.Sprint("later", left)
			once, err := feed.New(feed.Config{Mirror: m, Relays: []feed.Relay{later.relay(name)}})
			if err != nil {
				t.Fatal(err)
			}
			if err := once.RunOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			sent := len(later.events())
			var log lines
			stop := runAll(t, feed.Config{Mirror: m, Logger: slog.New(slog.NewTextHandler(&log, nil)), Relays: []feed.Relay{box.relay(fmt.Sprint("box", left))}})
			eventually(t, "the position to be written", func() bool { return position(t, m, fmt.Sprint("box", left)) == last(t, m) })
			restoreFeed(t, m, left)
			for i := range 3 {
				apply(t, m, user(fmt.Sprintf("user_%d_%d", left, i), time.Now()))
			}
			want := ids(t, m, left)
			endsWith := func(all []event) bool {
				var got []string
				for _, e := range all {
					got = append(got, e.Subject)
				}
				return endsWith(got, want)
			}
			eventually(t, "what was written since to arrive", func() bool { return endsWith(box.events()) })
			eventually(t, "an operator to be told", func() bool { return strings.Contains(log.String(), fmt.Sprint(" seq=", left, "\n")) })
			stop()
			if err := once.RunOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			if all := later.events(); !endsWith(all) || len(all) != sent+len(want) {
				t.Errorf("after %d: a relay that began later sent %d, want %d", left, len(all)-sent, len(want))
			}
			if n := strings.Count(log.String(), "goes on from the position"); n != 1 {
				t.Errorf("after %d: an operator is told %d times:\n%s", left, n, log.String())
			}
		}
	})
}

// restoreFeed makes the feed that of a backup, some time before the relays had been moved last, and nothing else.
func restoreFeed(t *testing.T, m *clerksync.Mirror, seq int64) {
	t.Helper()
	ago := func(column string, d time.Duration) string {
		return fmt.Sprintf(`%s = '%s'`, column, time.Now().Add(-d).UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	fallBackTo(t, m, seq, `UPDATE {changes} SET `+ago("created_at", time.Hour), `UPDATE {relays} SET `+ago("moved_at", time.Minute/2))
}

// stopping returns a receiver that takes changes one by one, and at one of them tells that it is blocked and waits for goOn.
func stopping(at func(clerksync.Change) bool, take func(clerksync.Change)) (r feed.Receiver, blocked <-chan struct{}, goOn func()) {
	there, released := make(chan struct{}), make(chan struct{})
	return feed.ReceiverFunc(func(_ context.Context, all ...feed.Message) error {
		if at(all[0].Change) {
			close(there)
			<-released
		}
		take(all[0].Change)
		return nil
	}), there, sync.OnceFunc(func() { close(released) })
}

// TestLastChangeRemoved has the change removed that a receiver took last, as with an old tombstone, before the position is written. That
// cannot be told from a database that fell back: what was sent since comes again, and an operator is told of both.
func TestLastChangeRemoved(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		write(t, db, 1, 20)
		var mu sync.Mutex
		var taken []int64
		var log lines
		receiver, blocked, goOn := stopping(func(c clerksync.Change) bool { return c.Seq == 20 }, func(c clerksync.Change) {
			mu.Lock()
			defer mu.Unlock()
			taken = append(taken, c.Seq)
		})
		runAll(t, feed.Config{Mirror: m, Logger: slog.New(slog.NewTextHandler(&log, nil)), Relays: []feed.Relay{{Name: "box", Receiver: receiver}}})
		t.Cleanup(goOn)
		<-blocked
		db.MustExec(m.SQL(`DELETE FROM {changes} WHERE seq = 20`))
		goOn()
		eventually(t, "an operator to be told", func() bool { return strings.Contains(log.String(), "or the change that it had sent last was removed") })
		apply(t, m, user("user_later", time.Now()))
		eventually(t, "the next change to arrive", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return taken[len(taken)-1] == last(t, m)
		})
	})
}

// TestPositionMoved has an operator move a relay past a change that its receiver never takes, and back to have changes again, as the
// documentation tells.
func TestPositionMoved(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		write(t, db, 1, 10)
		var mu sync.Mutex
		var taken []int64
		run(t, m, feed.Relay{Name: "box", Receiver: feed.ReceiverFunc(func(_ context.Context, all ...feed.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if all[0].Change.Seq == 5 {
				return errors.New("never")
			}
			taken = append(taken, all[0].Change.Seq)
			return nil
		})})
		arrive := func(want ...int64) {
			t.Helper()
			eventually(t, fmt.Sprint(want, " to arrive"), func() bool {
				mu.Lock()
				defer mu.Unlock()
				return slices.Equal(taken, want)
			})
		}
		arrive(1, 2, 3, 4)
		db.MustExec(m.SQL(`UPDATE {relays} SET seq = 5 WHERE name = 'box'`))
		arrive(1, 2, 3, 4, 6, 7, 8, 9, 10)
		eventually(t, "the position to be written", func() bool { return position(t, m, "box") == 10 })
		db.MustExec(m.SQL(`UPDATE {relays} SET seq = 8 WHERE name = 'box'`))
		arrive(1, 2, 3, 4, 6, 7, 8, 9, 10, 9, 10)
	})
}

// TestRunOnce delivers what there is, leaves a dead receiver for the next time, and says so.
func TestRunOnce(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		write(t, db, 1, 20)
		box := newInbox(t, nil)
		dead := errors.New("dead")
		tries := 0
		f, err := feed.New(feed.Config{Mirror: m, Relays: []feed.Relay{box.relay("box"), {Name: "dead", Receiver: feed.ReceiverFunc(
			func(context.Context, ...feed.Message) error { tries++; return dead })}}}.WithPauses(time.Millisecond, time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.RunOnce(t.Context()); !errors.Is(err, dead) {
			t.Errorf("error %v, want the dead receiver's", err)
		}
		wantAll(t, m, box.events(), false)
		if tries != 5 {
			t.Errorf("%d tries, want 5", tries)
		}
	})
}

// TestWanted leaves out what is older than the mirror unless it is wanted, and moves on all the same; batches are as large as they may be.
func TestWanted(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.New(t))
	for i := range 7 {
		e := user(fmt.Sprint("user_", i), time.Now())
		if i%2 == 0 { // older than the mirror
			e.Object = fmt.Appendf(nil, `{"id":"user_%d","object":"user","created_at":1600000000000,"updated_at":%d}`, i, time.Now().UnixMilli())
		}
		apply(t, m, e)
	}
	for _, c := range []struct {
		initial bool
		want    string
	}{{false, "[user_1 user_3] [user_5] "}, {true, "[user_0 user_1] [user_2 user_3] [user_4 user_5] [user_6] "}} {
		got := ""
		name := fmt.Sprint("initial-", c.initial)
		f, err := feed.New(feed.Config{Mirror: m, Relays: []feed.Relay{{Name: name, Batch: 2, Initial: c.initial,
			Receiver: feed.ReceiverFunc(func(_ context.Context, all ...feed.Message) error {
				var ids []string
				for _, m := range all {
					ids = append(ids, m.Change.ObjectID)
				}
				got += fmt.Sprint(ids, " ")
				return nil
			})}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.RunOnce(t.Context()); err != nil || got != c.want {
			t.Errorf("initial %t: %s (%v), want %s", c.initial, got, err, c.want)
		}
		if seq := position(t, m, name); seq != last(t, m) {
			t.Errorf("initial %t: the position is %d, want %d", c.initial, seq, last(t, m))
		}
	}
}

// TestNewRefuses what would be delivered to nobody, or would end the process when it is.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.SQLite(t))
	nobody := feed.ReceiverFunc(func(context.Context, ...feed.Message) error { return nil })
	hook := feed.KindHooks{OnCreated: func(context.Context, feed.Message) error { return nil }}
	for says, cfg := range map[string]feed.Config{
		`"" is no name`:             {Mirror: m, Relays: []feed.Relay{{Receiver: nobody}}},
		`"a b" is no name`:          {Mirror: m, Relays: []feed.Relay{{Name: "a b", Receiver: nobody}}},
		"two of the name a":         {Mirror: m, Relays: []feed.Relay{{Name: "a", Receiver: nobody}, {Name: "a", Receiver: nobody}}},
		"a has no Receiver":         {Mirror: m, Relays: []feed.Relay{{Name: "a"}}},
		`a has hooks for "usres"`:   {Mirror: m, Relays: []feed.Relay{{Name: "a", Receiver: feed.Hooks{"usres": hook}}}},
		`a has hooks for "clients"`: {Mirror: m, Relays: []feed.Relay{{Name: "a", Receiver: feed.Hooks{"clients": hook}}}},
		"Config.Mirror is missing":  {Relays: []feed.Relay{{Name: "a", Receiver: nobody}}},
	} {
		if _, err := feed.New(cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want that it says %q", err, says)
		}
	}
}

// TestPanickingReceiver has a receiver panic with somebody's name: the error does not tell it, the lease is given back, and the next
// run delivers what the first one did not.
func TestPanickingReceiver(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.SQLite(t))
	if _, err := m.Apply(t.Context(), user("user_1", time.Now())); err != nil {
		t.Fatal(err)
	}
	sent := 0
	f, err := feed.New(feed.Config{Mirror: m, Relays: []feed.Relay{{Name: "odd", Receiver: feed.ReceiverFunc(func(context.Context, ...feed.Message) error {
		if sent++; sent == 1 {
			panic("Canaria")
		}
		return nil
	})}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.RunOnce(t.Context()); err == nil || strings.Contains(err.Error(), "Canaria") || !strings.Contains(err.Error(), "TestPanickingReceiver") {
		t.Errorf("%v, want an error that tells where it was and not with what", err)
	}
	if err := f.RunOnce(t.Context()); err != nil || sent != 2 {
		t.Errorf("the next run: %v, after %d tries; want the second to do", err, sent)
	}
}
