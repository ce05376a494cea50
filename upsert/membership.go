package upsert

import (
	"context"
	"errors"

	clerksync "github.com/clerksync/clerksync/sync"
)

type membershipKey struct{}

// MembershipFromContext returns the signed-in user's place in the session's active organization, as the mirror has it:
// [Upserter.Middleware] puts it there. It reports false where no organization is active, where the mirror does not keep organizations
// and memberships, and where it knows of no such membership: it ended, or began a moment ago and has not arrived. It is remembered
// with the session, so a role may be as old as [Config.MaxAge] where another process or Mirror feeds the tables; that of the claims
// (clerk.SessionClaims.HasRole) is a minute old at most. It is shared like the user of [FromContext].
func MembershipFromContext(ctx context.Context) (clerksync.Membership, bool) {
	m, ok := ctx.Value(membershipKey{}).(*clerksync.Membership)
	if !ok {
		return clerksync.Membership{}, false
	}
	return *m, true
}

// place is a membership that a session remembers.
type place struct {
	membership clerksync.Membership
	epoch      uint64 // of places, from before the membership was read
}

// membership returns a session's place in an organization, from memory if it can; nil if there is none.
func (u *Upserter) membership(ctx context.Context, e *entry, organizationID string) (*clerksync.Membership, error) {
	if organizationID == "" || !u.keepsPlaces() {
		return nil, nil
	}
	epoch := u.sessions.places.Load()
	if p := e.place.Load(); p != nil && p.epoch == epoch && p.membership.Organization.ID == organizationID {
		return &p.membership, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	m, err := await(ctx, func() (clerksync.Membership, error) { return u.cfg.Mirror.Membership(ctx, organizationID, e.user.ID) })
	if errors.Is(err, clerksync.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &place{m, epoch}
	e.place.Store(p)
	return &p.membership, nil
}

func (u *Upserter) keepsPlaces() bool {
	return u.cfg.Mirror.Mirrors(clerksync.Organizations) && u.cfg.Mirror.Mirrors(clerksync.OrganizationMemberships)
}
