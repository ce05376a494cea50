package upsert

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"

	clerksync "github.com/clerksync/clerksync/sync"
)

// Middleware makes sure of the signed-in user, and hands next a context that [FromContext] and [MembershipFromContext] read. The user
// comes from the verified claims that clerk-sdk-go's WithHeaderAuthorization or RequireHeaderAuthorization, which must run before
// it, leaves in the request's context. Without claims nobody is signed in, and next is called without a user.
//
// It answers 401 for [ErrDeleted] and [ErrNotFound], and 503 with Retry-After for [ErrUnavailable], with a line of plain text.
//
// A session is looked up once and then remembered: until what is known of its user is older than [Config.MaxAge], and no longer
// than until a commit of [Config.Mirror] changes or hides the user. What others commit, be it another Mirror of this process, shows
// when the entry ends. A session without an id is looked up with every request.
func (u *Upserter) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, ok := clerk.SessionClaimsFromContext(r.Context())
		if !ok || claims == nil {
			next.ServeHTTP(w, r)
			return
		}
		ctx, err := u.admit(r.Context(), claims)
		if err != nil {
			refuse(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// admit returns a context with what the mirror has of those whom the claims name.
func (u *Upserter) admit(ctx context.Context, claims *clerk.SessionClaims) (context.Context, error) {
	e, err := u.session(ctx, claims)
	if err != nil {
		return nil, err
	}
	member, err := u.membership(ctx, e, claims.ActiveOrganizationID)
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, userKey{}, &e.user)
	if member != nil {
		ctx = context.WithValue(ctx, membershipKey{}, member)
	}
	return ctx, nil
}

type userKey struct{}

// FromContext returns the user that [Upserter.Middleware] made sure of. It reports false where nobody is signed in. Under
// impersonation that is the impersonated one; clerk.SessionClaims.Actor tells who acts in his place. The user is shared by the
// requests of a session: what its pointers point to must not be changed.
func FromContext(ctx context.Context) (clerksync.User, bool) {
	user, ok := ctx.Value(userKey{}).(*clerksync.User)
	if !ok {
		return clerksync.User{}, false
	}
	return *user, true
}

// session returns the entry of a session, from memory if it can.
func (u *Upserter) session(ctx context.Context, claims *clerk.SessionClaims) (*entry, error) {
	if u.foreign(claims) {
		u.cfg.Observe(ResultNotFound)
		return nil, errForeign
	}
	if e := u.sessions.get(claims.SessionID, claims.Subject); e != nil && u.ctx.Err() == nil { // or a login that ends after Close would be remembered
		u.cfg.Observe(ResultSeen)
		return e, nil
	}
	s, err := u.login(ctx, claims.Subject)
	if err != nil {
		return nil, err
	}
	e := &entry{user: s.user, epoch: s.epoch, expires: u.expiry(s, time.Now())}
	if claims.SessionID != "" {
		u.sessions.put(claims.SessionID, e)
	}
	return e, nil
}

// errForeign refuses a token that clerk-sdk-go let pass because it has the key of its instance, too.
var errForeign = fmt.Errorf("signing in: the session token is another instance's: %w", ErrNotFound)

func (u *Upserter) foreign(claims *clerk.SessionClaims) bool {
	return u.cfg.Issuer != "" && claims.Issuer != u.cfg.Issuer
}

// respite is how long a session goes on with a row that should have been read again, before Clerk is tried once more. While Clerk
// is down, not every request can wait for it.
const respite = time.Minute

// expiry is when the row reaches its greatest age. A row dated ahead of our clock gains nothing by it.
func (u *Upserter) expiry(s sight, now time.Time) time.Time {
	if !u.fresh(s) {
		return now.Add(min(respite, u.cfg.MaxAge))
	}
	if s.user.SyncedAt.After(now) {
		return now.Add(u.cfg.MaxAge)
	}
	return s.user.SyncedAt.Add(u.cfg.MaxAge)
}

// retryAfter is what a refused client is told to wait, in seconds.
const retryAfter = "5"

func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case errors.Is(err, ErrDeleted):
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "this account was deleted", http.StatusUnauthorized)
	case errors.Is(err, ErrNotFound):
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "this account is not known yet; sign in again", http.StatusUnauthorized)
	default:
		w.Header().Set("Retry-After", retryAfter)
		http.Error(w, "accounts cannot be checked at the moment; try again soon", http.StatusServiceUnavailable)
	}
}
