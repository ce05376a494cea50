package clerktest

import (
	"math"
	"net/http"
	"net/url"
	"slices"
)

func (c *Clerk) memberRoutes() map[string]endpointFunc {
	return map[string]endpointFunc{
		"GET /v1/organization_memberships":                         c.listAllMembers,
		"GET /v1/organizations/{id}/memberships":                   c.listMembers,
		"POST /v1/organizations/{id}/memberships":                  c.postMember,
		"PATCH /v1/organizations/{id}/memberships/{user}":          c.patchMember,
		"DELETE /v1/organizations/{id}/memberships/{user}":         c.deleteMember,
		"PATCH /v1/organizations/{id}/memberships/{user}/metadata": c.patchMemberMetadata,
		"GET /v1/users/{id}/organization_memberships":              c.listOrganizationsOf,
	}
}

// memberOrders is what memberships can be sorted by beside created_at. The
// caller of the functions holds mu.
func (c *Clerk) memberOrders() map[string]func(*membership) sortKey {
	by := func(property func(*user) *string) func(*membership) sortKey {
		return func(m *membership) sortKey { return textKey(property(c.store.byID(m.userID))) }
	}
	return map[string]func(*membership) sortKey{
		"phone_number":  by(func(u *user) *string { return primary(u.phones, u.primaryPhone) }),
		"email_address": by(func(u *user) *string { return primary(u.emails, u.primaryEmail) }),
		"first_name":    by(func(u *user) *string { return u.firstName }),
		"last_name":     by(func(u *user) *string { return u.lastName }),
		"username":      by(func(u *user) *string { return u.username }),
	}
}

// pageOfMembers writes a page of memberships. The caller holds mu.
func (c *Clerk) pageOfMembers(w *writer, q url.Values, s selection[*membership]) *apiError {
	s.orders = c.memberOrders()
	return writePage(c, w, q, s, func(m *membership) { c.membership(w, "", m) })
}

func (c *Clerk) listAllMembers(w *writer, r *http.Request) *apiError {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.pageOfMembers(w, r.URL.Query(), selection[*membership]{rows: c.memberships.all})
}

func (c *Clerk) listOrganizationsOf(w *writer, r *http.Request) *apiError {
	id := r.PathValue("id")
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.store.byID(id) == nil {
		return errNoUser(id)
	}
	return c.pageOfMembers(w, r.URL.Query(), selection[*membership]{rows: c.memberships.group(id)})
}

func (c *Clerk) listMembers(w *writer, r *http.Request) *apiError {
	q, id := r.URL.Query(), r.PathValue("id")
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.organizations.byID[id] == nil {
		return errNoOrganization()
	}
	s := selection[*membership]{rows: c.memberships.group(id)}
	if err := s.choice(q, "role", false, func(m *membership, keys []string) bool { return slices.Contains(keys, c.roles.byID[m.roleID].key) }); err != nil {
		return err
	}
	if err := c.whereUser(&s, id, q); err != nil {
		return err
	}
	return c.pageOfMembers(w, q, s)
}

// whereUser keeps the members whom the parameters of GET /v1/users choose.
func (c *Clerk) whereUser(s *selection[*membership], organizationID string, q url.Values) *apiError {
	l := &listing{createdAfter: math.MinInt64, createdBefore: math.MaxInt64}
	for _, parse := range []func(url.Values) *apiError{l.parseChosen, l.parseTimes, l.parseSearch} {
		if err := parse(q); err != nil {
			return err
		}
	}
	for _, wanted := range l.chosen {
		if wanted.name == byUserID {
			s.rows = nil
			for _, id := range wanted.values {
				s.rows = append(s.rows, c.memberships.group(pairGroup(organizationID, id))...)
			}
			slices.SortFunc(s.rows, inOrder)
			s.rows = slices.Compact(s.rows)
			continue
		}
		s.where(func(m *membership) bool { return carries(c.store.byID(m.userID), wanted.name, wanted.values) })
	}
	if len(l.matches) > 0 || l.createdAfter != math.MinInt64 || l.createdBefore != math.MaxInt64 {
		s.where(func(m *membership) bool { return l.match(c.store.byID(m.userID)) })
	}
	return nil
}

func (c *Clerk) postMember(w *writer, r *http.Request) *apiError {
	f, err := bodyForm(r, memberParams...)
	if err != nil {
		return err
	}
	m, err := c.addMember(requestOrigin(r), r.PathValue("id"), f)
	return c.answerMember(w, m, err)
}

func (c *Clerk) patchMember(w *writer, r *http.Request) *apiError {
	f, err := bodyForm(r, "role")
	if err != nil {
		return err
	}
	f.need("role")
	m, err := c.updateMember(requestOrigin(r), r.PathValue("id"), r.PathValue("user"), f, false)
	return c.answerMember(w, m, err)
}

func (c *Clerk) patchMemberMetadata(w *writer, r *http.Request) *apiError {
	f, err := bodyForm(r, "public_metadata", "private_metadata")
	if err != nil {
		return err
	}
	m, err := c.updateMember(requestOrigin(r), r.PathValue("id"), r.PathValue("user"), f, true)
	return c.answerMember(w, m, err)
}

// answerMember writes a membership after a write, unless its organization or
// user was deleted in the meantime.
func (c *Clerk) answerMember(w *writer, m *membership, err *apiError) *apiError {
	return answer(c, m, err, func(m *membership) {
		if c.memberships.byID[m.id] != nil {
			c.membership(w, "", m)
		}
	})
}

func (c *Clerk) deleteMember(w *writer, r *http.Request) *apiError {
	_, err := c.removeMember(requestOrigin(r), r.PathValue("id"), r.PathValue("user"), w)
	return err
}
