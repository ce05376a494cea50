package upsert_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/upsert"
)

// nearby is a Clerk without a network, for a bubble: real sockets would keep its time from passing.
func nearby(t *testing.T, cfg clerktest.Config) network {
	t.Helper()
	clerk, err := clerktest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(clerk.Close)
	return network{clerk: clerk, transport: near{clerk}}
}

// near calls the emulator's handler itself.
type near struct{ clerk http.Handler }

func (n near) RoundTrip(r *http.Request) (*http.Response, error) {
	answered := make(chan *http.Response, 1)
	go func() {
		defer close(answered)
		defer func() { _ = recover() }() // http.ErrAbortHandler: the client has left
		w := httptest.NewRecorder()
		n.clerk.ServeHTTP(w, r)
		answered <- w.Result()
	}()
	select {
	case resp := <-answered:
		if resp == nil {
			return nil, errors.New("the connection was cut")
		}
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// bubble runs f in a house where time is what the test makes of it.
func bubble(t *testing.T, f func(t *testing.T, h *house), edit ...func(*upsert.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, build(t, pgtest.SQLite(t), nearby, edit...)) })
}

func TestMiddlewareForgetsWithMaxAge(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, h *house) {
		handler := h.logins.Middleware(greet)
		id := h.mirrored(10 * time.Minute)
		var told [][]string
		for _, pause := range []time.Duration{0, 5*time.Minute - time.Second, 2 * time.Second, 15*time.Minute - time.Second, 2 * time.Second} {
			time.Sleep(pause)
			expect(t, visit(handler, "sess_1", id), id)
			told = append(told, h.told.take())
		}
		if diff := cmp.Diff([][]string{{"fresh"}, {"seen"}, {"read"}, {"seen"}, {"read"}}, told); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
	})
}

// TestMiddlewareSparesClerkWhileDown checks that not every request of a session waits for a Clerk that is down.
func TestMiddlewareSparesClerkWhileDown(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, h *house) {
		handler := h.logins.Middleware(greet)
		id := h.mirrored(old)
		h.faults(clerktest.Faults{Hang: 1})
		var told [][]string
		for _, pause := range []time.Duration{0, 50 * time.Second, 11 * time.Second} {
			time.Sleep(pause)
			begun := time.Now()
			expect(t, visit(handler, "sess_1", id), id)
			if took := time.Since(begun); took > 6*time.Second {
				t.Errorf("the visit took %s", took)
			}
			told = append(told, h.told.take())
		}
		h.faults(clerktest.Faults{})
		time.Sleep(time.Minute)
		expect(t, visit(handler, "sess_1", id), id)
		told = append(told, h.told.take())
		if diff := cmp.Diff([][]string{{"stale"}, {"seen"}, {"stale"}, {"read"}}, told); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
	})
}

func TestGuardForgetsWithinAnHour(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, h *house) {
		leave := func() error {
			id := h.mirrored(old)
			h.leave(id)
			_, err := h.logins.UpsertOnLogin(t.Context(), id)
			return err
		}
		mustBe(t, leave(), upsert.ErrDeleted)
		time.Sleep(30 * time.Minute)
		mustBe(t, leave(), upsert.ErrDeleted)
		mustBe(t, leave(), upsert.ErrUnavailable)
		time.Sleep(30 * time.Minute)
		mustBe(t, leave(), upsert.ErrDeleted)
		mustBe(t, leave(), upsert.ErrUnavailable)
	}, func(c *upsert.Config) { c.MaxDeletes = 2 })
}

// lingering takes a second to write a line.
type lingering struct{ slog.Handler }

func (l lingering) Handle(ctx context.Context, r slog.Record) error {
	time.Sleep(time.Second)
	return l.Handler.Handle(ctx, r)
}

// TestClose closes while Clerk hangs: that ends the request at once, and waits for what the login still does about it.
func TestClose(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, h *house) {
		id := h.signUp()
		reached, _ := h.gate()
		done := make(chan error, 1)
		go func() {
			_, err := h.logins.UpsertOnLogin(t.Context(), id)
			done <- err
		}()
		<-reached
		begun := time.Now()
		h.logins.Close()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("closing took %s, want the second that the login's log line takes", took)
		}
		mustBe(t, <-done, upsert.ErrUnavailable)
		_, err := h.logins.UpsertOnLogin(t.Context(), id)
		mustBe(t, err, upsert.ErrUnavailable)
		h.logins.Close()
	}, func(c *upsert.Config) { c.Logger = slog.New(lingering{c.Logger.Handler()}) })
}

// TestLoginBehindReplicaLag is a fresh sign-up whom Clerk's replicas do not show yet.
func TestLoginBehindReplicaLag(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, h *house) {
		h.faults(clerktest.Faults{Lag: 3 * time.Second})
		id := h.signUp()
		_, err := h.logins.UpsertOnLogin(t.Context(), id)
		mustBe(t, err, upsert.ErrNotFound)
		if rows := h.rows(); len(rows) != 0 {
			t.Errorf("the 404 left a row: %+v", rows)
		}
		time.Sleep(4 * time.Second)
		_, err = h.logins.UpsertOnLogin(t.Context(), id)
		mustBe(t, err)
	})
}

// TestLoginTriesAgain is a user whom Clerk denies although he was alive a moment ago: within the margin nothing is decided, after
// it everything is.
func TestLoginTriesAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, h *house) {
		id := h.signUp()
		h.tell(id, 0)
		time.Sleep(2 * time.Second)
		h.leave(id)
		for range 3 { // one user, so the guard counts one
			_, err := h.logins.UpsertOnLogin(t.Context(), id)
			mustBe(t, err, upsert.ErrNotFound)
		}
		if !h.row(id).Visible {
			t.Error("a 404 within the margin hides the row")
		}
		time.Sleep(2*time.Minute + time.Second)
		_, err := h.logins.UpsertOnLogin(t.Context(), id)
		mustBe(t, err, upsert.ErrDeleted)
	}, func(c *upsert.Config) { c.MaxAge, c.MaxDeletes = time.Second, 1 })
}

// TestLoginWhileDatabaseHangs has somebody keep the only connection: logins come to an end all the same, also those whose request has
// no end of its own.
func TestLoginWhileDatabaseHangs(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, h *house) {
		ada, bob := h.mirrored(young), h.mirrored(young)
		lab := h.team("Lab", ada)
		handler := h.logins.Middleware(present)
		expect(t, switched(handler, "sess_1", ada, ""), "in none")
		h.db.SetMaxOpenConns(1)
		held, err := h.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		expect(t, switched(handler, "sess_1", ada, lab), unavailable)
		expect(t, switched(handler, "sess_2", bob, ""), unavailable)
		_, err = h.logins.UpsertOnLogin(context.Background(), bob)
		mustBe(t, err, upsert.ErrUnavailable)
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
		expect(t, switched(handler, "sess_1", ada, lab), "admin of Lab")
		expect(t, switched(handler, "sess_2", bob, ""), "in none")
	})
}

// TestLoginOnAConnectionThatHangs is of a driver that waits for the database longer than the context lasts, as lib/pq does: neither a look
// nor a flight keeps those who sign in waiting for it, nor those who come later.
func TestLoginOnAConnectionThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := pgtest.FaultySQLite(t)
		h := build(t, db.DB, nearby)
		ada, bob := h.mirrored(young), h.mirrored(old)
		lab := h.team("Lab", ada)
		handler := h.logins.Middleware(present)
		expect(t, switched(handler, "sess_1", ada, ""), "in none")
		asked := func() { db.Hang() } // once the flight's look is over
		h.asked.Store(&asked)
		_, err := h.logins.UpsertOnLogin(context.Background(), bob)
		mustBe(t, err, upsert.ErrUnavailable)
		h.asked.Store(nil)
		expect(t, switched(handler, "sess_1", ada, lab), unavailable)
		_, err = h.logins.UpsertOnLogin(context.Background(), bob)
		mustBe(t, err, upsert.ErrUnavailable)
		db.Heal()
		synctest.Wait()
		expect(t, switched(handler, "sess_1", ada, lab), "admin of Lab")
		_, err = h.logins.UpsertOnLogin(context.Background(), bob)
		mustBe(t, err)
	})
}
