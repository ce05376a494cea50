package feed_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestSerial refuses every other message of relays with large batches, to a URL and to hooks: each change is taken all the same, in
// order, and none again because a later one was refused.
func TestSerial(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		write(t, db, 1, 20)
		box := newInbox(t, func(n int64, w http.ResponseWriter) bool {
			if n%2 == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return n%2 == 1
		})
		posts := box.relay("posts")
		posts.Batch = 20
		var mu sync.Mutex
		var called []int64
		refuse := false
		hook := func(_ context.Context, m feed.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if refuse = !refuse; refuse {
				return errors.New("not now")
			}
			called = append(called, m.Change.Seq)
			return nil
		}
		hooks := feed.Hooks{clerksync.Users: {OnCreated: hook, OnUpdated: hook}}
		run(t, m, posts, feed.Relay{Name: "hooks", Batch: 20, Receiver: hooks})
		eventually(t, "every change to arrive", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(box.events()) >= 20 && len(called) >= 20
		})
		wantAll(t, m, box.events(), false)
		var want []int64
		for _, c := range changes(t, m) {
			want = append(want, c.Seq)
		}
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(want, called); diff != "" {
			t.Errorf("hooks were called for the changes (-want +got)\n%s", diff)
		}
	})
}

// TestReceiverThatNeverReturns has a receiver wait for what does not come, without a look at its context: nobody can send on before it
// returns, but an operator is told.
func TestReceiverThatNeverReturns(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.SQLite(t))
	apply(t, m, user("user_1", time.Now()))
	var told lines
	var calls atomic.Int64
	released := make(chan struct{})
	runAll(t, feed.Config{Mirror: m, Logger: slog.New(slog.NewTextHandler(&told, nil)), Relays: []feed.Relay{{
		Name: "stuck", Receiver: feed.ReceiverFunc(func(context.Context, ...feed.Message) error {
			calls.Add(1)
			<-released
			return nil
		}),
	}}}.WithLate(10*time.Millisecond))
	t.Cleanup(sync.OnceFunc(func() { close(released) }))
	eventually(t, "somebody to be told", func() bool { return strings.Contains(told.String(), "does not return") })
	if n := calls.Load(); n != 1 || !strings.Contains(told.String(), "relay=stuck seq=1") {
		t.Errorf("%d calls, and the log tells\n%s", n, told.String())
	}
}

// TestReceiverThatPanics has a function panic a few times: it is tried again like any receiver that fails, and an operator is told once.
func TestReceiverThatPanics(t *testing.T) {
	t.Parallel()
	m := open(t, pgtest.SQLite(t))
	apply(t, m, user("user_1", time.Now()))
	var told lines
	var calls atomic.Int64
	var failed atomic.Int64
	runAll(t, feed.Config{
		Mirror: m, Logger: slog.New(slog.NewTextHandler(&told, nil)),
		Observe: func(d feed.Delivery) {
			if d.Err != nil {
				failed.Add(1)
			}
		},
		Relays: []feed.Relay{{Name: "mad", Receiver: feed.ReceiverFunc(func(context.Context, ...feed.Message) error {
			if calls.Add(1) <= 5 {
				panic("user_1 is mad")
			}
			return nil
		})}},
	}.WithPauses(time.Millisecond, time.Millisecond))
	eventually(t, "the relay to be well again", func() bool { return strings.Contains(told.String(), "takes changes again") })
	if n := strings.Count(told.String(), "level=WARN"); n != 1 || failed.Load() != 5 || strings.Contains(told.String(), "is mad") {
		t.Errorf("%d failures were observed, and the log tells\n%s", failed.Load(), told.String())
	}
}

// TestAnotherFailure has a receiver that fails in one way, then in another one: an operator is told of both, of each once although their
// ports differ, and of no endless number of them.
func TestAnotherFailure(t *testing.T) {
	t.Parallel()
	m := open(t, sqlite(t))
	apply(t, m, user("user_1", time.Now()))
	var n atomic.Int64
	fails := feed.ReceiverFunc(func(context.Context, ...feed.Message) error {
		switch i := n.Add(1); {
		case i <= 10:
			return fmt.Errorf("127.0.0.1:%d->127.0.0.1:4222: connection refused", 40000+i)
		case i <= 20:
			return errors.New("no stream")
		case i <= 50:
			return fmt.Errorf("failure %d", i)
		}
		return nil
	})
	var log lines
	stop := runAll(t, feed.Config{Mirror: m, Logger: slog.New(slog.NewTextHandler(&log, nil)), Relays: []feed.Relay{{Name: "ill", Receiver: fails}}})
	eventually(t, "the receiver to be well", func() bool { return strings.Contains(log.String(), "takes changes again") })
	stop()
	for what, want := range map[string]int{"connection refused": 1, "no stream": 1, "does not take changes": 10} {
		if got := strings.Count(log.String(), what); got != want {
			t.Errorf("%q was told %d times, want %d:\n%s", what, got, want, log.String())
		}
	}
}

// TestCertificateThatHasExpired has a receiver fail for hours with an expired certificate, and then in another way: an operator is told of
// the first once, although the error tells the time, and so of the second.
func TestCertificateThatHasExpired(t *testing.T) {
	t.Parallel()
	m := open(t, sqlite(t))
	apply(t, m, user("user_1", time.Now()))
	expired := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var n atomic.Int64
	fails := feed.ReceiverFunc(func(context.Context, ...feed.Message) error {
		switch i := n.Add(1); {
		case i <= 30:
			now := expired.Add(time.Duration(i) * 63 * time.Minute)
			return x509.CertificateInvalidError{Reason: x509.Expired, Detail: fmt.Sprintf("current time %s is after %s", now.Format(time.RFC3339), expired.Format(time.RFC3339))}
		case i <= 35:
			return errors.New("it answers 404")
		}
		return nil
	})
	var log lines
	stop := runAll(t, feed.Config{Mirror: m, Logger: slog.New(slog.NewTextHandler(&log, nil)), Relays: []feed.Relay{{Name: "ill", Receiver: fails}}})
	eventually(t, "the receiver to be well", func() bool { return strings.Contains(log.String(), "takes changes again") })
	stop()
	for what, want := range map[string]int{"certificate has expired": 1, "it answers 404": 1} {
		if got := strings.Count(log.String(), what); got != want {
			t.Errorf("%q was told %d times, want %d:\n%s", what, got, want, log.String())
		}
	}
}

// TestFeedThatCannotBeRead takes from a relay's database what it needs to tell of an object: an operator is told what stands in its way.
func TestFeedThatCannotBeRead(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := open(t, db)
	apply(t, m, user("user_1", time.Now()))
	pgtest.Superuser(t, db).MustExec(m.SQL(`ALTER TABLE {users} RENAME COLUMN data TO moved`))
	var log lines
	took := feed.ReceiverFunc(func(context.Context, ...feed.Message) error { return nil })
	runAll(t, feed.Config{Mirror: m, Logger: slog.New(slog.NewTextHandler(&log, nil)), Relays: []feed.Relay{{Name: "blind", Receiver: took, Data: true}}})
	eventually(t, "an operator to be told", func() bool { return strings.Contains(log.String(), "a relay cannot read what it has to deliver") })
	pgtest.Superuser(t, db).MustExec(m.SQL(`ALTER TABLE {users} RENAME COLUMN moved TO data`))
	eventually(t, "the change to be delivered", func() bool { return position(t, m, "blind") == 1 })
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("an operator was told %d times:\n%s", n, log.String())
	}
}

// TestReceiverThatTakesOneAtATime takes a change and refuses the next one, as one that limits its rate does: nobody is told that the relay
// cannot read what it has to deliver.
func TestReceiverThatTakesOneAtATime(t *testing.T) {
	t.Parallel()
	m := open(t, sqlite(t))
	const changes = 40
	for i := range changes {
		apply(t, m, user(fmt.Sprint("user_", i), time.Now()))
	}
	var n atomic.Int64
	limited := feed.ReceiverFunc(func(context.Context, ...feed.Message) error {
		if n.Add(1)%2 == 0 {
			return errors.New("it answers 429")
		}
		return nil
	})
	var log lines
	stop := runAll(t, feed.Config{Mirror: m, Logger: slog.New(slog.NewTextHandler(&log, nil)), Relays: []feed.Relay{{Name: "limited", Receiver: limited, Batch: 1}}})
	eventually(t, "all to be taken", func() bool { return n.Load() >= 2*changes-1 })
	stop()
	if log.String() != "" {
		t.Errorf("an operator was told\n%s", log.String())
	}
}
