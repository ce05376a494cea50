package upsert_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/upsert"
)

// A login of a session that was seen takes neither the database nor Clerk nor the allocator; one of another session or user does.
func TestLoginOfSeenSession(t *testing.T) { // alone, since it counts allocations
	h := build(t, pgtest.SQLite(t), loopback)
	ada, bob := h.signUp(), h.signUp()
	claims := &clerk.SessionClaims{}
	claims.SessionID, claims.Subject = "sess_1", ada
	ctx := clerk.ContextWithSessionClaims(t.Context(), claims)
	if user, err := h.logins.UpsertOnLogin(ctx, ada); err != nil || user.ID != ada {
		t.Fatalf("the first login got %q, %v", user.ID, err)
	}
	if user, err := h.logins.UpsertOnLogin(ctx, bob); err != nil || user.ID != bob {
		t.Errorf("another user than the claims' got %q, %v", user.ID, err)
	}
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	asked := h.asks("/v1/")
	if n := testing.AllocsPerRun(100, func() {
		if user, err := h.logins.UpsertOnLogin(ctx, ada); err != nil || user.ID != ada {
			t.Errorf("a later login got %q, %v", user.ID, err)
		}
	}); n != 0 {
		t.Errorf("a login of a seen session makes %v allocations", n)
	}
	if n := h.asks("/v1/") - asked; n != 0 {
		t.Errorf("Clerk was asked %d times about a seen session", n)
	}
	for _, other := range []clerk.RegisteredClaims{{Subject: bob}, {Subject: ada}} {
		claims := &clerk.SessionClaims{RegisteredClaims: other}
		claims.SessionID = map[string]string{bob: "sess_1"}[other.Subject]
		_, err := h.logins.UpsertOnLogin(clerk.ContextWithSessionClaims(t.Context(), claims), other.Subject)
		if !errors.Is(err, upsert.ErrUnavailable) {
			t.Errorf("without a database, claims %+v got %v", other, err)
		}
	}
}

// However many logins come at once, Clerk is asked once for each user.
func TestManyFirstLogins(t *testing.T) {
	t.Parallel()
	const users, logins = 300, 3000 // the benchmark has more
	h := build(t, pgtest.New(t), loopback)
	ids := make([]string, users)
	for i := range ids {
		ids[i] = h.signUp()
	}
	var all sync.WaitGroup
	errs := make([]error, logins)
	for i := range errs {
		all.Go(func() {
			user, err := h.logins.UpsertOnLogin(t.Context(), ids[i%users])
			if err == nil && user.ID != ids[i%users] {
				err = fmt.Errorf("got user %s instead of %s", user.ID, ids[i%users])
			}
			errs[i] = err
		})
	}
	all.Wait()
	mustBe(t, errors.Join(errs...))
	if n := h.asks("/v1/users/"); n != users {
		t.Errorf("Clerk was asked %d times for %d users", n, users)
	}
	if n := len(h.rows()); n != users {
		t.Errorf("the mirror has %d rows", n)
	}
}
